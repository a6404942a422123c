"""The published field tables: for every family what a payload's bytes are, for readers in another language.

They are made from the tables that writer and reader walk, so they cannot disagree with the decoder.
`lab formats --json` writes `formats.json` beside this module; the site publishes it, and a browser parses archives
by it.
"""

from __future__ import annotations

import importlib
from typing import Any

from lab import codecs
from lab.bitstream import MAGIC, Field, Layout

SCHEMA = "lab.formats/1"


def published() -> dict[str, Any]:
    """Plain data: the magic, and for every family its code, header fields, and sections with what they hold.

    Notes:
        `lengths` says where the sizes of the sections stand: `varints` behind the header, one per section, or `header`,
        in the field of the section's own name. A section with `tag` begins with that letter. A section with `payload`
        is a whole payload again.
    """
    return {
        "schema": SCHEMA,
        "magic": MAGIC.hex(),
        "families": {name: _family(name, code, module) for name, (code, module) in codecs.FAMILIES.items()},
    }


def _family(name: str, code: int, module: str) -> dict[str, Any]:
    syntax = importlib.import_module(f"{module}.format")
    holds = dict(codecs.get(name).spec.sections)
    layout: Layout | None = getattr(syntax, "LAYOUT", None)
    header = layout.header if layout else syntax.HEADER
    sections = layout.sections if layout else syntax.STREAMS
    return {
        "code": code,
        "header": [_field(field) for field in header.fields],
        "lengths": "varints" if layout else "header",
        "sections": [
            {"name": section, "holds": holds[section]}
            | ({} if layout else {"tag": section})
            | ({"payload": True} if "payload of" in holds[section] else {})
            for section in sections
        ],
    }


def _field(field: Field) -> dict[str, Any]:
    kind = field.kind if isinstance(field.kind, str) else list(field.kind)
    return {"name": field.name, "kind": kind, "says": field.doc}
