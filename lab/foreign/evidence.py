"""How strong a proof is, what was proven, and how much may be unpacked on the way."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from lab.errors import PacketError

UNPACK_LIMIT_BYTES = 1 << 26
WORK_PER_BYTE = 4
REPRODUCE_LIMIT_BYTES = 1 << 22
DEPTH_LIMIT = 5
LOOKS_PER_BYTE = 4
LEAST_LOOK_BYTES = 1 << 12
PARTS_LIMIT = 512
BLOCKS = 64
BLOCK_BYTES = 1024


class Strength(StrEnum):
    """How far a reading of bytes is proven, strongest first."""

    REPRODUCED = "reproduced: encoding the content again gives the same bytes"
    CHECKED = "checked: decoded, and a checksum over the content agrees"
    DECODED = "decoded: a decoder accepted every byte up to its own end mark"
    PARSED = "parsed: every field is consistent and every byte is used"
    PLAUSIBLE = "plausible: the figures fit, by chance only as often as stated"
    NONE = "unexplained: entropy only"

    @property
    def proves(self) -> bool:
        """Is it more than entropy?"""
        return self is not Strength.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a run of bytes is.

    `parts` divide these very bytes and tile them; `content` is what they decode to, where they are compressed. `facts`
    are small plain figures: shapes, counts, key names.
    """

    format: str
    strength: Strength
    evidence: str
    n_bytes: int
    entropy_bits: float
    role: str = ""
    facts: dict[str, object] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    content: Found | None = None

    @property
    def innermost(self) -> Found:
        """What is left after every layer of compression."""
        return self.content.innermost if self.content else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A named run inside a larger one; `offset` counts from the start of the larger one."""

    name: str
    offset: int
    found: Found


class Budget:
    """Bytes that may still be unpacked while one archive is read: those that are kept, and all that were tried.

    A reading that fails half way gives its bytes back, but not its work, so that time is bounded as well as memory.
    Runs may be looked at again and again, divided in other ways; `may_look` bounds that too, and what is left after it
    stays unexplained.
    """

    __slots__ = ("left", "looks", "reproduce", "where", "work")

    def __init__(self, where: str, n_bytes: int = UNPACK_LIMIT_BYTES) -> None:
        self.where = where
        self.left = n_bytes
        self.work = WORK_PER_BYTE * n_bytes
        self.looks = LOOKS_PER_BYTE * n_bytes
        self.reproduce = REPRODUCE_LIMIT_BYTES

    def spend(self, n_bytes: int) -> None:
        """Account for unpacked bytes.

        Raises:
            PacketError: more than the archive may unpack to.
        """
        self.left -= n_bytes
        self.work -= n_bytes
        if self.left < 0 or self.work < 0:
            raise PacketError(
                self.where, expected=f"at most {UNPACK_LIMIT_BYTES:,} bytes unpacked", found="a bomb", fix="delete it"
            )

    def may_look(self, n_bytes: int) -> bool:
        """Whether a run may be tried against every format; a short one counts as much as a page."""
        self.looks -= max(n_bytes, LEAST_LOOK_BYTES)
        return self.looks >= 0

    def may_reproduce(self, n_bytes: int) -> bool:
        """Whether bytes may be encoded again as a proof: encoding is slow, so an archive gets a few megabytes of it."""
        if n_bytes > self.reproduce:
            return False
        self.reproduce -= n_bytes
        return True

    def give_back(self, n_bytes: int) -> None:
        """Release the bytes of a reading that failed."""
        self.left += n_bytes


def entropy_bits(data: bytes) -> float:
    """Order-0 entropy of bytes in bits: what an ideal memoryless coder of bytes would need, tables not counted."""
    total = len(data)
    return sum(-count * math.log2(count / total) for count in Counter(data).values()) if total else 0.0


def entropy_profile(data: bytes) -> dict[str, object]:
    """Bits per byte over equal blocks: where a run of bytes is dense and where it repeats itself."""
    size = max(BLOCK_BYTES, -(-len(data) // BLOCKS))
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    return {"block_bytes": size, "bits_per_byte": [round(entropy_bits(block) / len(block), 3) for block in blocks]}
