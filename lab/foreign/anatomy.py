"""The anatomy of an archive that somebody else made: sections to the byte, and a proof for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import custody
from lab.bitstream import Section, check_tiling, sections_as_dicts
from lab.errors import PacketError
from lab.foreign import container
from lab.foreign.evidence import Budget, Found, Part, Strength, entropy_bits, entropy_profile
from lab.foreign.recognise import recognise

SCHEMA = "lab.anatomy/1"
PARTS_SHOWN = 96


def read(path: Path) -> dict[str, Any]:
    """The anatomy of an archive file as plain data.

    Returns:
        `archive`, `sections` (which tile the file), `members` with digests, header agreement and entropy, `proofs` with
        format, strength and evidence of every recognised run, outermost first.

    Raises:
        PacketError: not readable, no ZIP, unsafe, not honest, or a bomb.
    """
    try:
        if path.stat().st_size > container.FILE_LIMIT_BYTES:
            raise PacketError(
                path.name, expected=f"at most {container.FILE_LIMIT_BYTES:,} bytes", found="a larger file"
            )
        data = path.read_bytes()
    except OSError as error:
        raise PacketError(path.name, expected="a readable archive", found=error.strerror or str(error)) from None
    return anatomy(data, path.name)


def anatomy(data: bytes, where: str) -> dict[str, Any]:
    """The anatomy of archive bytes; see `read`."""
    survey = container.survey(data, where)
    budget = Budget(where)
    inside: dict[str, tuple[Section, ...]] = {}
    members: list[dict[str, Any]] = []
    proofs: list[dict[str, Any]] = []
    for entry in survey.entries:
        plain = container.content(data, entry, where)
        budget.spend(len(plain))
        found = recognise(plain, budget)
        members.append(_member(entry, plain))
        proofs += _proofs(found, entry.name)
        # Deflated bytes hold no part of the content at a place of its own.
        if entry.method == "stored":
            inside[entry.name] = tuple(_section(part) for part in found.parts)
            if found.content is not None:
                inside[entry.name] = (_section(Part(name=found.role or found.format, offset=0, found=found)),)
    sections = survey.sections(inside)
    check_tiling(sections, 0, len(data), where)
    return {
        "schema": SCHEMA,
        "archive": {"n_bytes": len(data), "sha256": custody.sha256_bytes(data)},
        "sections": sections_as_dicts(sections),
        "members": members,
        "proofs": proofs,
    }


def _member(entry: container.Entry, plain: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": entry.name,
        "method": entry.method,
        "packed_bytes": entry.packed_bytes,
        "plain_bytes": entry.plain_bytes,
        "crc32": f"{entry.crc32:08x}",
        "sha256": custody.sha256_bytes(plain),
        "headers_agree": not entry.differs,
        "entropy_bytes": round(entropy_bits(plain) / 8, 1),
        "entropy": entropy_profile(plain),
    }
    if entry.differs:
        told["headers_differ_in"] = list(entry.differs)
    return told


def _section(part: Part) -> Section:
    found = part.found
    kind = found.format if found.content is None else f"{found.format} of {found.innermost.format}"
    note = "" if part.name == "length" else _short(found.strength)
    return Section(
        name=part.name,
        kind=kind,
        offset=part.offset,
        n_bytes=found.n_bytes,
        note=note,
        # A table inside a stored member divides at places of the file; the parts of decoded content do not.
        children=tuple(_section(child).shifted(part.offset) for child in found.parts[:PARTS_SHOWN])
        if len(found.parts) <= PARTS_SHOWN
        else (),
    )


def _proofs(found: Found, name: str) -> Iterator[dict[str, Any]]:
    """One proof per recognised run, each with its place: member, part, and what it decodes to."""
    if found.format != "length":
        told: dict[str, Any] = {
            "of": name,
            "format": found.format,
            "strength": _short(found.strength),
            "evidence": found.evidence,
            "n_bytes": found.n_bytes,
            "entropy_bytes": round(found.entropy_bits / 8, 1),
        }
        if found.role:
            told["role"] = found.role
        if found.facts:
            told["facts"] = found.facts
        yield told
    if found.content is not None:
        yield from _proofs(found.content, f"{name}, decoded")
    elif found.strength is Strength.PARSED and any(part.found.format != found.format for part in found.parts):
        for part in found.parts:
            yield from _proofs(part.found, f"{name}, {part.name}")


def _short(strength: Strength) -> str:
    """The one word of a strength."""
    return strength.value.partition(":")[0]
