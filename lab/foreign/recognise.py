"""What a run of bytes is: one stream, one table, one video, or several of them one after the other.

Readings are tried strongest first; the first that uses every byte wins. A division into parts counts only where its
lengths are exact and at least one part proves itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lab.foreign import nested, streams, tables, video
from lab.foreign.evidence import DEPTH_LIMIT, PARTS_LIMIT, Budget, Found, Part, Strength, entropy_bits

Split = tuple[str, list[tuple[str, int, int]]]
_MOST_LENGTHS = 8


def recognise(data: bytes, budget: Budget, depth: int = 0) -> Found:
    """What these bytes are, from the first to the last; unexplained where nothing fits.

    Raises:
        PacketError: reading them would unpack more than the budget.
    """
    return _explained(data, budget, depth) or _unexplained(data)


def _explained(data: bytes, budget: Budget, depth: int) -> Found | None:
    if depth >= DEPTH_LIMIT or not data or not budget.may_look(len(data)):
        return None
    return _stream(data, budget, depth) or _table(data) or _divided(data, budget, depth)


def _unexplained(data: bytes) -> Found:
    return Found(
        format="unexplained bytes",
        strength=Strength.NONE,
        evidence="nothing that is known here fits",
        n_bytes=len(data),
        entropy_bits=entropy_bits(data),
    )


def _stream(data: bytes, budget: Budget, depth: int) -> Found | None:
    decoded = streams.whole(data, budget)
    if decoded is None:
        return None
    content = recognise(decoded.content, budget, depth + 1)
    return Found(
        format=decoded.format, strength=decoded.strength, evidence=decoded.evidence, n_bytes=len(data),
        entropy_bits=entropy_bits(data), role=content.role, content=content,
    )  # fmt: skip


def _table(data: bytes) -> Found | None:
    for reader in (video.read, nested.zipped, nested.tar, *tables.READERS):
        reading = reader(data)
        if reading is None:
            continue
        parts = []
        at = 0
        for name, n_bytes in reading.runs:
            run = data[at : at + n_bytes]
            known = Found(
                format=reading.format, strength=reading.strength, evidence=f"part of {reading.format}", n_bytes=n_bytes,
                entropy_bits=entropy_bits(run),
            )  # fmt: skip
            parts.append(Part(name=name, offset=at, found=known))
            at += n_bytes
        return Found(
            format=reading.format, strength=reading.strength, evidence=reading.evidence, n_bytes=len(data),
            entropy_bits=entropy_bits(data), role=reading.role, facts=reading.facts, parts=tuple(parts),
        )  # fmt: skip
    return None


def _divided(data: bytes, budget: Budget, depth: int) -> Found | None:
    for how, runs in _splits(data, budget):
        known = [None if name == "length" else _explained(data[start:end], budget, depth + 1)
                 for name, start, end in runs]  # fmt: skip
        n_bodies = sum(name != "length" for name, _, _ in runs)
        # Entropy takes longest, so it is taken of a division that counts and of no other.
        if _counts(sum(found is not None for found in known), n_bodies, how):
            parts = [
                Part(name=name, offset=start, found=found or _plain(name, data[start:end]))
                for (name, start, end), found in zip(runs, known, strict=True)
            ]
            bodies = [part for part in parts if part.name != "length"]
            return Found(
                format=how, strength=Strength.PARSED, evidence=f"{len(bodies)} parts whose sizes give every byte",
                n_bytes=len(data), entropy_bits=entropy_bits(data), parts=tuple(_named(parts)),
                facts=_agreements(bodies),
            )  # fmt: skip
    return None


def _plain(name: str, run: bytes) -> Found:
    if name != "length":
        return _unexplained(run)
    return Found(
        format="length", strength=Strength.PARSED, evidence="the size of a part", n_bytes=len(run),
        entropy_bits=entropy_bits(run),
    )  # fmt: skip


def _counts(n_proven: int, n_bodies: int, how: str) -> bool:
    """Unexplained bytes may follow streams; else a division that explains half of its parts or fewer is chance."""
    return n_proven > 0 and (2 * n_proven > n_bodies or how == "streams back to back")


def _splits(data: bytes, budget: Budget) -> Iterator[Split]:
    """Ways to divide bytes whose lengths come out exactly."""
    prefixed = _prefixed(data)
    if prefixed:
        yield "parts with their lengths in front", prefixed
    for count in range(2, _MOST_LENGTHS + 1):
        listed = _listed(data, count)
        if listed:
            yield f"{count} lengths, then their parts", listed
    if len(data) > 4:
        first = int.from_bytes(data[1:4], "little")
        if 0 < first < len(data) - 4:
            yield (
                "tag, 24-bit length, two parts",
                [("length", 0, 4), ("part", 4, 4 + first), ("part", 4 + first, len(data))],
            )
    chained = _chained(data, budget)
    if chained:
        yield "streams back to back", chained


def _prefixed(data: bytes) -> list[tuple[str, int, int]] | None:
    runs: list[tuple[str, int, int]] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data) or len(runs) >= PARTS_LIMIT:
            return None
        size = struct.unpack_from("<I", data, at)[0]
        if not 0 < size <= len(data) - at - 4:
            return None
        runs += [("length", at, at + 4), ("part", at + 4, at + 4 + size)]
        at += 4 + size
    return runs if len(runs) >= 4 else None


def _listed(data: bytes, count: int) -> list[tuple[str, int, int]] | None:
    if len(data) <= 4 * count:
        return None
    sizes = struct.unpack_from(f"<{count}I", data, 0)
    if 4 * count + sum(sizes) != len(data) or not all(sizes):
        return None
    runs = [("length", 0, 4 * count)]
    at = 4 * count
    for size in sizes:
        runs.append(("part", at, at + size))
        at += size
    return runs


def _chained(data: bytes, budget: Budget) -> list[tuple[str, int, int]] | None:
    runs: list[tuple[str, int, int]] = []
    at = 0
    while at < len(data) and len(runs) < PARTS_LIMIT:
        found = streams.brotli_prefix(memoryview(data)[at:], budget)
        if found is None:
            break
        runs.append(("part", at, at + found[1]))
        at += found[1]
    if not runs:
        return None
    return runs if at == len(data) else [*runs, ("rest", at, len(data))]


def _named(parts: list[Part]) -> Iterator[Part]:
    """Parts named by the role that their content proves, else by their number."""
    taken: set[str] = set()
    number = 0
    for part in parts:
        name = part.name
        if name in ("part", "rest"):
            number += 1
            role = part.found.role
            name = role if role and role not in taken else f"part {number}"
            taken.add(name)
        yield Part(name=name, offset=part.offset, found=part.found)


def _agreements(bodies: list[Part]) -> dict[str, object]:
    """What the parts say of each other, where they come from one design: sizes that must be equal, and are."""
    by_role = {part.found.role: part.found.innermost.facts for part in bodies if part.found.role}
    told = by_role.get("meta", {}).get("figures", {})
    figures = told if isinstance(told, dict) else {}
    table, decoder = by_role.get("latents", {}), by_role.get("decoder", {}).get("tensors", {})
    agreed: list[str] = []
    for key, value in sorted(figures.items()):
        agreed += [
            f"{key} {value} of the meta part is the latents' {side}"
            for side in ("rows", "columns")
            if table.get(side) == value
        ]
    if isinstance(decoder, dict) and table:
        fits = [
            name for name, shape in decoder.items() if isinstance(shape, list) and shape[-1:] == [table.get("columns")]
        ]
        agreed += [f"tensor {name} takes as many inputs as a latent has figures" for name in fits[:1]]
    return {"parts_agree": agreed} if agreed else {}
