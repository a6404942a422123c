"""Syntax of a payload of the family `semantic_tto`: how many steps, and a payload of the family `semantic`."""

from __future__ import annotations

from typing import NamedTuple

from lab.bitstream import Bitstream, Field, Layout, Table
from lab.codecs.semantic import format as semantic

LAYOUT = Layout(
    family="semantic_tto",
    code=5,
    header=Table(
        "semantic_tto header",
        (
            Field("refine_steps", "u8", "steps on last frames"),
            Field("repair_steps", "u8", "steps on first frames after these"),
        ),
    ),
    sections=("semantic",),
)


class Head(NamedTuple):
    """The header's values."""

    refine_steps: int
    repair_steps: int


def write(head: Head, inner: Bitstream) -> Bitstream:
    """The payload around an inner one."""
    return LAYOUT.write(
        head._asdict(),
        {"semantic": inner.payload},
        kinds={"semantic": "payload"},
        children={"semantic": inner.sections},
    )


def read(payload: bytes) -> tuple[Head, bytes]:
    """(header, inner payload).

    Raises:
        BitstreamError: not a payload of this family, or cut short.
    """
    values, sections = LAYOUT.read(payload)
    return Head(int(values["refine_steps"]), int(values["repair_steps"])), sections["semantic"]


def anatomy(payload: bytes) -> Bitstream:
    """The payload's sections; the inner payload's own nest inside."""
    head, inner = read(payload)
    return write(head, semantic.anatomy(inner))
