"""Reading ledgers into a `Book`, once: public parts of records, evidence that proves to belong to them, settings."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab import contract as contracts
from lab import custody, schema, shares
from lab.contract import Contract
from lab.errors import SiteError
from lab.ledger import Ledger, Run
from lab.site import beside, glance, kept, sanitize
from lab.site.book import Board, Book, Entry, Shelf, Site
from lab.site.kept import Kept, Known, Look, Seen
from lab.site.parcel import Parcel
from lab.site.redact import Redactor
from lab.site.sanitize import Withheld

_TURNS = 8  # shares for each process: what another one has read must be sent as well
EVIDENCE_RUN_LIMIT = 1_500  # above it, only promoted runs carry their evidence: hosts count files


def load(source: Path, ledgers: Path, redactor: Redactor | None = None, kept: Kept | None = None) -> Book:
    """Read prose settings and every ledger under a folder; with a redactor, its records and evidence without leaks.

    Args:
        kept: what this process has read before, at first an empty dictionary: entries of runs that have not changed
            since are the very same ones, and nothing of them is read again.

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
    if kept:
        for name in kept.keys() - set(names):
            del kept[name]
    shelves = tuple(_shelf(contracts.load(name, ledgers), store, withheld, site, redactor, kept) for name in names)
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
    contract: Contract,
    store: Ledger,
    withheld: list[Withheld],
    site: Site,
    redactor: Redactor | None,
    memory: Kept | None,
) -> Shelf:
    folder = os.fspath(store.folder(contract.name))
    names = store.record_names(contract.name)
    many = len(names) > EVIDENCE_RUN_LIMIT
    with kept.opened(folder) as handle:
        states = kept.listed(handle, "states")
        held: Mapping[str, Look | None] = kept.listed(handle, "clips", "archives")
        reading = kept.reading(memory, contract.name, (contract, store.root, site, redactor, many, states))
        held = reading.held if held == reading.held else held
        contract = reading.under[0]
        desk = _Desk(
            contract=contract,
            store=store,
            redactor=redactor,
            many=many,
            folder=folder,
            held=held,
            watched=handle if memory is not None else None,
        )
        changed = reading.changed(names, handle, held)
        read = shares.spread(lambda some: Parcel([desk.read(name) for name in some]), changed, turns=_TURNS)
    fresh = dict(zip(changed, (known for parcel in read for known in parcel.runs), strict=True))
    taken, reading.held = reading.keep(names, fresh), held
    withheld.extend(item for known in taken for item in known.withheld)
    entries = reading.superseded(taken)
    comparable: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.current:
            comparable.setdefault(entry.run.axis, []).append(entry)
    boards = [
        Board(contract=contract, axis=axis, entries=tuple(comparable[axis]), baseline=site.baseline)
        for axis in sorted(comparable, key=lambda axis: (axis != "cpu", axis))
    ]
    return Shelf(contract=contract, entries=tuple(entries), boards=tuple(boards))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Where the records of one contract are read.

    Attributes:
        many: of so many runs only promoted ones carry their evidence.
        folder: where everything of the contract lies.
        held: names of the clips and archives in it.
        watched: the open folder, where it is taken down how everything looks that is read.
    """

    contract: Contract
    store: Ledger
    redactor: Redactor | None
    many: bool
    folder: str
    held: Mapping[str, Look | None]
    watched: int | None

    def read(self, name: str) -> Known:
        """A record and its evidence, and what of them is withheld."""
        seen = Seen.at(name.removesuffix(".json"), self.watched) if self.watched is not None else None
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
        if seen and not plain:
            seen = seen.and_files(run.id, self.watched)
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
            clip=Path(self.folder, clip) if clip in self.held else None,
            archive=self._archive(run, where),
            plain=plain,
            flags=tuple([f"{item.field}: {item.reason}" for item in withheld]),
        )
        return Known(
            entry=entry,
            withheld=withheld,
            order=entry.run.order(),
            replaces=str(public["supersedes"] or ""),
            seen=seen and self._whole(seen, run, entry),
        )

    def _whole(self, seen: Seen, run: Run, entry: Entry) -> Seen:
        """How a run looked, its clip, its archive and copies of its evidence included."""
        held = (f"clips/{run.id}.mp4", f"archives/{run.data['custody']['archive_sha256']}.zip")
        inside = f"{self.folder}/evidence/"
        return replace(
            seen,
            held=tuple((name, self.held.get(name)) for name in held),
            copies=tuple(str(file.path) for file in entry.evidence if not str(file.path).startswith(inside)),
        )

    def _archive(self, run: Run, where: str) -> Path | None:
        digest = run.data["custody"]["archive_sha256"]
        if f"archives/{digest}.zip" not in self.held:
            return None
        archive = self.store.archive(self.contract.name, digest)
        custody.expect_file(archive, digest, f"archive of {where}")
        return archive
