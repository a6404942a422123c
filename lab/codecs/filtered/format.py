"""Bitstream syntax of the family `filtered`: a header table and three sections.

magic a7, code 02 | header (table below) | lengths | inner | weights | side

inner     a whole payload of another family, its sections nested in the anatomy
weights   of the post-filter, see `lab.codecs.weights`
side      per frame a luma bias, a shift down and a shift right, int8, three planes of deltas; may be empty
"""

from __future__ import annotations

import lzma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.bitstream import Bitstream, Field, Layout, Section, Table
from lab.codecs import weights
from lab.codecs.filtered.model import ARCHITECTURES, MAX_HIDDEN, SIDE, VIEWS
from lab.errors import BitstreamError, UnknownSyntax

FIRST = ("coded", "moved")
PAIR_LIMIT = 100_000
SIDE_LIMIT_PX = 8192
_FILTERS = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 0, "lp": 0, "pb": 0}]

HEADER = Table(
    "filtered",
    (
        Field("height", "varint", "rows of a decoded frame"),
        Field("width", "varint", "columns of a decoded frame"),
        Field("grid_height", "varint", "rows of the grid that the filter works on"),
        Field("grid_width", "varint", "columns of that grid"),
        Field("n_pairs", "varint", "pairs of frames"),
        Field("first", FIRST, "whether first frames are coded, or are the last ones moved by their side codes"),
        Field("architecture", ARCHITECTURES, "post-filter"),
        Field("view", VIEWS, "whether it sees a frame alone or both of a pair"),
        Field("hidden", "varint", "width of its inner layers"),
        Field("weights", weights.KINDS, "how its weights are stored"),
    ),
)
LAYOUT = Layout(family="filtered", code=2, header=HEADER, sections=("inner", "weights", "side"))


class Head(NamedTuple):
    """The header: sizes are (height, width)."""

    size: tuple[int, int]
    grid: tuple[int, int]
    n_pairs: int
    first: str
    architecture: str
    view: str
    hidden: int
    weights: str

    @property
    def n_inner(self) -> int:
        """Pairs of the inner payload."""
        return self.n_pairs if self.first == "coded" else -(-self.n_pairs // 2)


class Parts(NamedTuple):
    """The sections; `side` is int8 (n_pairs, 2, 10) or None."""

    inner: bytes
    weights: bytes
    side: NDArray[np.int8] | None


def write(
    head: Head,
    inner: Bitstream,
    section: bytes,
    *,
    children: tuple[Section, ...] = (),
    side: NDArray[np.int8] | None = None,
) -> Bitstream:
    """The payload of these parts.

    Args:
        inner: the wrapped codec's bitstream.
        section, children: as `lab.codecs.weights` writes and describes them.
        side: int8 (n_pairs, 2, 10), or None.
    """
    values = {
        "height": head.size[0],
        "width": head.size[1],
        "grid_height": head.grid[0],
        "grid_width": head.grid[1],
        "n_pairs": head.n_pairs,
        "first": head.first,
        "architecture": head.architecture,
        "view": head.view,
        "hidden": head.hidden,
        "weights": head.weights,
    }
    coded = b"" if side is None else _pack_side(side)
    return LAYOUT.write(
        values,
        {"inner": inner.payload, "weights": section, "side": coded},
        kinds={"inner": "payload", "weights": f"{head.weights} codes, steps, vectors", "side": "lzma of planes"},
        children={"inner": inner.sections, "weights": children},
    )


def read(payload: bytes) -> tuple[Head, Parts]:
    """Header and sections of a payload.

    Raises:
        BitstreamError: not a payload of this family, cut short, or with values out of range.
    """
    values, sections = LAYOUT.read(payload)
    number = {name: value for name, value in values.items() if isinstance(value, int)}
    limits = {
        "height": SIDE_LIMIT_PX,
        "width": SIDE_LIMIT_PX,
        "grid_height": number["height"],
        "grid_width": number["width"],
        "n_pairs": PAIR_LIMIT,
        "hidden": MAX_HIDDEN,
    }
    for name, limit in limits.items():
        if not 1 <= number[name] <= limit:
            raise UnknownSyntax(f"filtered, {name}", expected=f"1 to {limit:,}", found=f"{number[name]:,}")
    head = Head(
        size=(number["height"], number["width"]),
        grid=(number["grid_height"], number["grid_width"]),
        n_pairs=number["n_pairs"],
        first=str(values["first"]),
        architecture=str(values["architecture"]),
        view=str(values["view"]),
        hidden=number["hidden"],
        weights=str(values["weights"]),
    )
    if head.first == "moved" and head.view == "pair":
        raise UnknownSyntax("filtered, view", expected="frame, where first frames are not coded", found="pair")
    if sections["inner"][:2] == payload[:2]:
        raise UnknownSyntax("filtered, inner", expected="a payload of another family", found="one of this family")
    side = _unpack_side(sections["side"], head.n_pairs) if sections["side"] else None
    return head, Parts(inner=sections["inner"], weights=sections["weights"], side=side)


def _pack_side(side: NDArray[np.int8]) -> bytes:
    """One plane over time per frame of the pair and code."""
    planes = np.ascontiguousarray(side.reshape(len(side), -1).T)
    return lzma.compress(planes.tobytes(), format=lzma.FORMAT_RAW, filters=_FILTERS)


def _unpack_side(data: bytes, n_pairs: int) -> NDArray[np.int8]:
    n_bytes = n_pairs * 2 * len(SIDE)
    try:
        raw = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS).decompress(data, n_bytes + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise BitstreamError("filtered, side", expected="an LZMA stream", found=str(error)) from None
    if len(raw) != n_bytes:
        raise BitstreamError("filtered, side", expected=f"{n_bytes:,} values", found=f"{len(raw):,}")
    planes = np.frombuffer(raw, np.int8).reshape(-1, n_pairs)
    return np.ascontiguousarray(planes.T).reshape(n_pairs, 2, len(SIDE))
