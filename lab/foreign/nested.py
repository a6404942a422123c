"""Recognising containers inside an archive: ZIP and tar, by structure and checksums; nothing is written to disk."""

from __future__ import annotations

from lab.errors import PacketError
from lab.foreign import container
from lab.foreign.evidence import Strength
from lab.foreign.tables import Reading

BLOCK_BYTES = 512
NAMES_SHOWN = 32


def zipped(data: bytes) -> Reading | None:
    """A ZIP file whose headers agree; it is not unpacked."""
    if not data.startswith(b"PK\x03\x04"):
        return None
    try:
        found = container.survey(data, "inner archive")
    except PacketError:
        return None
    facts: dict[str, object] = {
        "members": {entry.name: entry.plain_bytes for entry in found.entries[:NAMES_SHOWN]},
    }
    evidence = f"{len(found.entries)} members whose local and central headers agree"
    runs = tuple((section.name, section.n_bytes) for section in found.sections({}))
    return Reading("ZIP archive", Strength.PARSED, evidence, facts, role="container", runs=runs)


def tar(data: bytes) -> Reading | None:
    """A tar archive whose header checksums agree."""
    if len(data) < 2 * BLOCK_BYTES or len(data) % BLOCK_BYTES:
        return None
    at = 0
    runs: list[tuple[str, int]] = []
    members: dict[str, object] = {}
    while at < len(data):
        head = data[at : at + BLOCK_BYTES]
        if not any(head):
            break
        try:
            name = head[:100].split(b"\0")[0].decode("utf-8")
            size, told = int(head[124:136].strip(b" \0") or b"0", 8), int(head[148:156].strip(b" \0"), 8)
        except ValueError:
            return None
        if told != sum(head) - sum(head[148:156]) + 8 * ord(" ") or len(runs) > 2 * NAMES_SHOWN:
            return None
        padded = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        runs += [(f"{name} header", BLOCK_BYTES), (name, padded)]
        members[name] = size
        at += BLOCK_BYTES + padded
    if not members or at > len(data) or any(data[at:]):
        return None
    runs.append(("end", len(data) - at))
    evidence = f"{len(members)} members whose header checksums agree"
    used = tuple(run for run in runs if run[1])
    return Reading("tar archive", Strength.CHECKED, evidence, {"members": members}, role="container", runs=used)
