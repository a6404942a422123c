"""Reading ledgers into a `Book`, once: public parts of records, evidence that proves to belong to them, settings."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab import contract as contracts
from lab import custody, schema, shares
from lab.contract import Contract
from lab.errors import SiteError
from lab.ledger import Ledger, Run
from lab.site import beside, glance, sanitize
from lab.site.book import Board, Book, Entry, Shelf, Site
from lab.site.redact import Redactor
from lab.site.sanitize import Withheld

EVIDENCE_RUN_LIMIT = 1_500  # above it, only promoted runs carry their evidence: hosts count files


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
    names = store.record_names(contract)
    desk = _Desk(
        contract=contract,
        store=store,
        redactor=redactor,
        many=len(names) > EVIDENCE_RUN_LIMIT,
        folder=os.fspath(store.folder(contract.name)),
        beside=frozenset(_beside(store.folder(contract.name))),
    )
    read = shares.spread(lambda some: [desk.read(name) for name in some], names)
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


def _beside(folder: Path) -> Iterator[str]:
    """Names of the clips and archives that the folder of a contract holds."""
    for name in ("clips", "archives"):
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder / name) as found:
            yield from (f"{name}/{item.name}" for item in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Where the records of one contract are read; of `many`, evidence of promoted runs only."""

    contract: Contract
    store: Ledger
    redactor: Redactor | None
    many: bool
    folder: str
    beside: Set[str]

    def read(self, name: str) -> tuple[Entry, list[Withheld]]:
        """A record and its evidence, and what of them is withheld."""
        text = schema.text(f"{self.folder}/runs/{name}", f"{self.contract.name}/runs/{name}")
        run = self.store.parse(text, name, self.contract)
        where = f"{self.contract.name}/{run.id}"
        public: Mapping[str, Any] = run.data
        withheld: list[Withheld] = []
        if not glance.is_public(public, text):
            public, withheld = sanitize.public_record(public, where)
        if self.redactor:
            public = self.redactor.value(public, "", where, withheld)
        plain = self.many and run.verdict != "promoted"  # its evidence stays in the ledger
        found = beside.NOTHING if plain else beside.read(f"{self.folder}/evidence/{run.id}", run, where, self.redactor)
        withheld += found.withheld
        state, clip = run.data["contract_sha256"], f"clips/{run.id}.mp4"
        entry = Entry(
            run=Run(data=public, score=run.score),
            contract=self.store.state(self.contract, state) or self.contract,
            former=state != self.contract.digest,
            evidence=found.files,
            anatomy=found.anatomy,
            pairs=found.pairs,
            curve=found.curve,
            clip=Path(self.folder, clip) if clip in self.beside else None,
            archive=self._archive(run, where),
            plain=plain,
            flags=tuple(f"{item.field}: {item.reason}" for item in withheld),
        )
        return entry, withheld

    def _archive(self, run: Run, where: str) -> Path | None:
        digest = run.data["custody"]["archive_sha256"]
        if f"archives/{digest}.zip" not in self.beside:
            return None
        archive = self.store.archive(self.contract.name, digest)
        custody.expect_file(archive, digest, f"archive of {where}")
        return archive
