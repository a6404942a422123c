"""The packet of the frontier run beside the pages, so that site and packet name the same digests.

The complete packet is made by `lab.packet` from the ledger alone. Where the ledger lacks a part of it (an archive that
was too large to keep, a runtime of another checkout), what there is lies there, and the page says what is missing.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from lab import packet
from lab.archive import stored
from lab.errors import CustodyError, PacketError
from lab.ledger import Ledger
from lab.site.book import Entry
from lab.site.data import Content, manifest, read

FOLDER = "packet/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """Files of a packet by their path in the tree; `gap` says what a complete one would hold besides."""

    entry: Entry | None = None
    files: dict[str, Content] = field(default_factory=dict)
    gap: str = ""

    @property
    def zip_name(self) -> str:
        """Where the same files lie as one ZIP, outside of the folder that the manifest speaks of."""
        return f"data/packets/{self.entry.id}.zip" if self.entry and self.files else ""

    def as_zip(self) -> bytes:
        """The files in one folder, stored, with bytes that repeat."""
        assert self.entry is not None
        inside = {name.removeprefix(FOLDER): content for name, content in sorted(self.files.items())}
        return stored({f"{self.entry.id}/{name}": read(content) for name, content in inside.items()})


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
