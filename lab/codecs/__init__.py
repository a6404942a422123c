"""The one table of codec families. Adding a family is one folder and one row here.

Families: `conventional` (standard encoders on the model grid), `filtered` (any inner codec and a learned
post-filter), `semantic` (class maps and a renderer), `implicit` (latents and a decoder that is the archive); and
`semantic_tto`, which breaks a rule on purpose, to be measured and never ranked.
Start reading in `base.py`, then any family's `format.py`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lab.errors import RecipeError, UnknownSyntax

if TYPE_CHECKING:
    from lab.codecs.base import Codec

# family -> (code in the bitstream, module of the card)
FAMILIES: dict[str, tuple[int, str]] = {
    "conventional": (1, "lab.codecs.conventional"),
    "filtered": (2, "lab.codecs.filtered"),
    "semantic": (3, "lab.codecs.semantic"),
    "implicit": (4, "lab.codecs.implicit"),
    "semantic_tto": (5, "lab.codecs.semantic_tto"),
}
REFUSED = frozenset({"semantic_tto"})
"""Families whose decoder breaks a rule of the contest on purpose, to show what that is worth: graded invalid."""


def get(family: str) -> Codec:
    """The codec of a family.

    Raises:
        RecipeError: no family of this name.
    """
    if family not in FAMILIES:
        raise RecipeError(f"codec family {family!r}", expected="one of " + ", ".join(FAMILIES))
    codec: Codec = importlib.import_module(FAMILIES[family][1]).codec
    return codec


def by_payload(payload: bytes) -> Codec:
    """The codec whose family code a payload carries.

    Raises:
        UnknownSyntax: the payload is not one of ours.
    """
    if len(payload) >= 2 and payload[0] == 0xA7:
        for family, (code, _) in FAMILIES.items():
            if payload[1] == code:
                return get(family)
    raise UnknownSyntax("payload", expected="magic a7 and a known family code", found=payload[:2].hex() or "nothing")
