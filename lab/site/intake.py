"""Reading ledgers into a `Book`, once: public parts of records, evidence that proves to belong to them, settings."""

from __future__ import annotations

import csv
import io
import math
import tomllib
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from lab import contract as contracts
from lab import custody, shares
from lab.contract import Contract
from lab.errors import SiteError
from lab.ledger import Ledger, Run
from lab.site import anatomy, sanitize, training
from lab.site.anatomy import Anatomy
from lab.site.book import Board, Book, Entry, EvidenceFile, Shelf, Site
from lab.site.redact import Redactor
from lab.site.sanitize import Withheld

EVIDENCE_LIMIT_BYTES = 4 << 20
EVIDENCE_RUN_LIMIT = 1_500  # above it, only promoted runs carry their evidence: hosts count files
PAIR_TOLERANCE = 1e-5


def load(source: Path, ledgers: Path, redactor: Redactor | None = None) -> Book:
    """Read prose settings and every ledger under a folder; with a redactor, its records and evidence without leaks.

    Raises:
        SiteError, LedgerError, ContractError: something does not hold together; the message names it.
    """
    site = load_site(source / "site.toml")
    store = Ledger(ledgers)
    known = contracts.names(ledgers)
    names = store.contracts()
    if site.default_contract in known and site.default_contract not in names:
        names = [*names, site.default_contract]
    names.sort(key=lambda name: (name != site.default_contract, name))
    withheld: list[Withheld] = []
    shelves = tuple(_shelf(contracts.load(name, ledgers), store, withheld, site.baseline, redactor) for name in names)
    filled = [shelf for shelf in shelves if shelf.entries]
    main = filled[0] if filled else (shelves[0] if shelves else None)
    return Book(site=site, source=source, ledgers=ledgers, shelves=shelves, main=main, withheld=tuple(withheld))


def load_site(path: Path) -> Site:
    """The settings of the publication.

    Raises:
        SiteError: a key is missing or unknown.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        return Site(**settings | {"declared": tuple(settings.get("declared", ()))})
    except (OSError, TypeError, tomllib.TOMLDecodeError) as error:
        raise SiteError(
            path.name, expected="the settings of a site", found=str(error), fix="see lab.site.book"
        ) from None


def _shelf(
    contract: Contract, store: Ledger, withheld: list[Withheld], baseline: str, redactor: Redactor | None
) -> Shelf:
    paths = store.record_paths(contract)
    many = len(paths) > EVIDENCE_RUN_LIMIT
    beside = frozenset(
        f"{name}/{path.name}"
        for name in ("clips", "archives")
        for path in (store.folder(contract.name) / name).glob("*")
    )
    read = shares.spread(lambda some: [_read(path, contract, store, redactor, many, beside) for path in some], paths)
    taken = sorted((one for share in read for one in share), key=lambda one: one[0].run.order())
    withheld.extend(item for _, kept_back in taken for item in kept_back)
    entries = [entry for entry, _ in taken]
    replaced = {str(entry.data["supersedes"]): entry.id for entry in entries if entry.data["supersedes"]}
    entries = [replace(e, superseded_by=replaced[e.id]) if e.id in replaced else e for e in entries]
    axes = sorted({entry.run.axis for entry in entries}, key=lambda axis: (axis != "cpu", axis))
    boards = []
    for axis in axes:
        comparable = tuple(entry for entry in entries if entry.run.axis == axis and entry.current)
        if comparable:
            boards.append(Board(contract=contract, axis=axis, entries=comparable, baseline=baseline))
    return Shelf(contract=contract, entries=tuple(entries), boards=tuple(boards))


def _read(
    path: Path, contract: Contract, store: Ledger, redactor: Redactor | None, many: bool, beside: Set[str]
) -> tuple[Entry, list[Withheld]]:
    """A record and its evidence, and what of them is withheld; of `many`, evidence of promoted runs only.

    Args:
        beside: names of the clips and archives that the contract's folder holds.
    """
    run = store.read(path, contract)
    withheld: list[Withheld] = []
    return _entry(run, contract, store, withheld, redactor, many and run.verdict != "promoted", beside), withheld


def _entry(
    run: Run,
    contract: Contract,
    store: Ledger,
    withheld: list[Withheld],
    redactor: Redactor | None,
    plain: bool,
    beside: Set[str],
) -> Entry:
    """Args:
    plain: its evidence stays in the ledger, and nothing is drawn from what is not published.
    """
    where = f"{contract.name}/{run.id}"
    public, kept_back = sanitize.public_record(run.data, where)
    if redactor:
        public = redactor.value(public, "", where, kept_back)
    files = []
    folder = None if plain else store.evidence(contract.name, run.id)
    for path in sorted(folder.glob("*")) if folder and folder.is_dir() else ():
        if path.name not in sanitize.PUBLIC_EVIDENCE or path.is_symlink() or not path.is_file():
            kept_back.append(
                Withheld(where=where, field=f"evidence/{sanitize.inert(path.name)}", reason="not declared public")
            )
        elif path.stat().st_size > EVIDENCE_LIMIT_BYTES:
            kept_back.append(Withheld(where=where, field=f"evidence/{path.name}", reason="larger than evidence may be"))
        elif (data := path.read_bytes()) and path.suffix == ".png" and not training.is_picture(data):
            kept_back.append(Withheld(where=where, field=f"evidence/{path.name}", reason="not a picture"))
        else:
            shown = redactor.evidence(path, where, kept_back) if redactor else path
            data = data if shown == path else shown.read_bytes()
            digest = custody.sha256_bytes(data)
            files.append(EvidenceFile(name=path.name, path=shown, n_bytes=len(data), sha256=digest))
    texts = {item.name: item.path for item in files}
    withheld.extend(kept_back)
    digest = str(run.data["custody"]["archive_sha256"])
    archive = store.archive(contract.name, digest) if f"archives/{digest}.zip" in beside else None
    if archive:
        custody.expect_file(archive, digest, f"archive of {where}")
    clip = f"clips/{run.id}.mp4"
    return Entry(
        run=Run(data=public, score=run.score),
        contract=store.state(contract, run.data["contract_sha256"]) or contract,
        former=run.data["contract_sha256"] != contract.digest,
        evidence=tuple(files),
        anatomy=_anatomy(texts.get("anatomy.json"), run, where),
        pairs=_pairs(texts.get("pairs.csv"), run, where),
        curve=training.curve(training.log_texts(texts), f"{where}, training.csv"),
        clip=store.folder(contract.name) / clip if clip in beside else None,
        archive=archive,
        plain=plain,
        flags=tuple(f"{item.field}: {item.reason}" for item in kept_back),
    )


def _anatomy(path: Path | None, run: Run, where: str) -> Anatomy | None:
    if path is None:
        return None
    return anatomy.parse(
        path.read_text(encoding="utf-8", errors="replace"),
        f"{where}, anatomy.json",
        archive_bytes=run.archive_bytes,
        archive_sha256=str(run.data["custody"]["archive_sha256"]),
    )


def _pairs(path: Path | None, run: Run, where: str) -> tuple[tuple[float, float], ...]:
    """(segnet, posenet) of every pair, in order; their means are the components on record."""
    if path is None:
        return ()
    measured = run.data["evaluation"]
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        pairs = tuple((float(row["segnet"]), float(row["posenet"])) for row in rows)
        if not rows or len(rows) != measured["n_pairs"] or any(int(row["pair"]) != i for i, row in enumerate(rows)):
            raise ValueError(f"{len(rows)} rows, or pairs out of order")
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise SiteError(
            f"{where}, pairs.csv",
            expected=f"pair,segnet,posenet for {measured['n_pairs']} pairs",
            found=str(error)[:200],
        ) from None
    for column, name in enumerate(("segnet", "posenet")):
        mean = math.fsum(pair[column] for pair in pairs) / len(pairs)
        if not math.isclose(mean, measured[name], rel_tol=PAIR_TOLERANCE, abs_tol=1e-12):
            raise SiteError(f"{where}, pairs.csv", expected=f"a mean {name} of {measured[name]!r}", found=repr(mean))
    return pairs
