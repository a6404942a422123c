"""The packets beside the pages, so that site and packet name the same digests.

    packet/frontier/...      the packet of the frontier run, file by file
    packet/<run-id>.zip      the same in one ZIP, and the packet of every run that a text cites, if its archive is kept

A complete packet is made by `lab.packet` from the ledger alone. Where the ledger lacks a part of the frontier's (an
archive that was too large to keep, a runtime of another checkout), what there is lies there, and the page says what is
missing. Of another run there is a complete packet or none.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache as once
from pathlib import Path

from lab import custody, packet
from lab.archive import stored
from lab.errors import CustodyError, PacketError
from lab.ledger import Ledger
from lab.site.book import Entry
from lab.site.data import Content, manifest, read

FOLDER = "packet/frontier/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """Files of a packet by their path in the tree; `gap` says what a complete one would hold besides."""

    entry: Entry | None = None
    files: dict[str, Content] = field(default_factory=dict)
    gap: str = ""

    @property
    def zip_name(self) -> str:
        """Where the same files lie as one ZIP, outside of the folder that the manifest speaks of."""
        return zip_name(self.entry) if self.entry and self.files else ""

    def as_zip(self) -> bytes:
        """The files in one folder, stored, with bytes that repeat."""
        assert self.entry is not None
        inside = {name.removeprefix(FOLDER): content for name, content in sorted(self.files.items())}
        return stored({f"{self.entry.id}/{name}": read(content) for name, content in inside.items()})


def zip_name(entry: Entry) -> str:
    """Where the packet of a run lies as one ZIP."""
    return f"packet/{entry.id}.zip"


def zips(entries: Iterable[Entry], ledgers: Path, cache: Path | None = None) -> dict[str, bytes]:
    """The complete packets of runs, zipped, by run id; a run whose packet cannot be complete has none.

    Args:
        cache: where they are kept, by the digest of everything that they are made from.
    """
    made = {}
    for entry in entries:
        kept = cache / f"{_origin(entry)}.zip" if cache else None
        if kept and kept.is_file():
            made[entry.id] = kept.read_bytes()
            continue
        found = of(entry, ledgers)
        if found.gap or not found.files:
            continue
        zipped = made[entry.id] = found.as_zip()
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            draft = kept.with_suffix(".draft")
            draft.write_bytes(zipped)
            draft.replace(kept)
    return made


def cited(frontier: Entry | None, texts: Iterable[Sequence[Entry]]) -> list[Entry]:
    """The frontier and the runs that texts cite, best first: those that stand and whose archive is kept."""
    every = {entry.id: entry for group in texts for entry in group} | ({frontier.id: frontier} if frontier else {})
    kept = (entry for entry in every.values() if entry.archive and entry.current and not entry.flags)
    return sorted(kept, key=lambda entry: (entry.total, entry.id))


def _origin(entry: Entry) -> str:
    """Digest of what the packet of a run is made from: record, contract, evidence, and the code of the book."""
    files = [(item.name, item.sha256) for item in entry.evidence]
    state = [json.dumps(entry.data, sort_keys=True), entry.contract.digest, files, _code()]
    return custody.sha256_bytes(json.dumps(state).encode())


@once
def _code() -> str:
    folder = Path(packet.__file__).parent
    return custody.sha256_tree(
        (path.relative_to(folder).as_posix(), path.read_bytes()) for path in sorted(folder.glob("*.py"))
    )


def of(entry: Entry | None, ledgers: Path) -> Packet:
    """The packet of a run: complete, or with the reason why it is not; empty without an archive."""
    if entry is None:
        return Packet()
    if entry.flags:
        return _partial(entry, "parts of its record are withheld")
    ledger = Ledger(ledgers)
    try:
        with tempfile.TemporaryDirectory(prefix="packet-") as folder:
            run = ledger.get(entry.contract, entry.id)
            built = packet.of_run(Path(folder) / "packet", run, entry.contract, ledger)
            files: dict[str, Content] = {
                f"{FOLDER}{path.relative_to(built).as_posix()}": path.read_bytes()
                for path in sorted(built.rglob("*"))
                if path.is_file()
            }
    except (PacketError, CustodyError) as error:
        return _partial(entry, str(error))
    return Packet(entry=entry, files=files)


def _partial(entry: Entry, gap: str) -> Packet:
    if entry.archive is None:
        return Packet(entry=entry, gap=gap)
    files: dict[str, Content] = {f"{FOLDER}archive.zip": entry.archive}
    files |= {f"{FOLDER}{item.name}": item.path for item in entry.evidence}
    files[f"{FOLDER}{packet.MANIFEST}"] = manifest(files, FOLDER)
    return Packet(entry=entry, files=files, gap=gap)
