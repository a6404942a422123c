"""A quick look at a record: may all of it be published as it stands?

Nearly every record holds declared fields, printable ASCII and finite numbers only, so that `sanitize.public_record`
would give it back as it is. Whatever leaves a doubt is looked at there, field by field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.site.sanitize import ANY, FORMULA, INTEGER_LIMIT, PUBLIC, TEXT_LIMIT

_SIGNS = tuple(sign for sign in FORMULA if sign.isprintable())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """Names that are declared in one table of a record, and the tables among them; `free`: any name is."""

    names: frozenset[str]
    below: tuple[tuple[str, _Folder], ...]
    free: bool


def _folder(prefix: str) -> _Folder:
    inside = [path.removeprefix(prefix).partition(".") for path in PUBLIC if path.startswith(prefix)]
    return _Folder(
        names=frozenset(name for name, _, _ in inside),
        below=tuple((name, _folder(f"{prefix}{name}.")) for name in sorted({one[0] for one in inside if one[1]})),
        free=f"{prefix}{ANY}" in PUBLIC,
    )


_RECORD = _folder("")


def is_public(record: Mapping[str, Any], text: str) -> bool:
    """Would all of a record be published, and unchanged? No also where it would take a closer look to tell.

    Args:
        text: the JSON that the record was read from, all but its grade and the reasons for it.
    """
    return (
        _is_plain(text)
        and all(_is_plain_word(reason) for reason in (record["grade"], *record["grade_reasons"]))
        and _is_declared(record, _RECORD)
        and _is_bounded(record)
    )


def _is_plain(text: str) -> bool:
    """Are all texts in it short printable ASCII without markup, and does none start as a formula does?

    JSON has no line ends and no other controls within a text, and without an escape each text stands as it is.
    """
    return (
        text.isascii()
        and "\\" not in text
        and "\x7f" not in text
        and "<" not in text
        and not any(sign in text and f'"{sign}' in text for sign in _SIGNS)
        and (len(text) <= TEXT_LIMIT or max(map(len, text.split('"'))) <= TEXT_LIMIT)
    )


def _is_plain_word(text: Any) -> bool:
    """Is this a text, no JSON, of which the same holds?"""
    return isinstance(text, str) and text.isprintable() and '"' not in text and _is_plain(f'"{text}')


def _is_declared(table: Any, folder: _Folder) -> bool:
    if type(table) is not dict:
        return False
    if folder.free:
        return True
    if not table.keys() <= folder.names:
        return False
    found = [_is_declared(table[name], inner) for name, inner in folder.below if name in table]
    return all(found)


def _is_bounded(record: Mapping[str, Any]) -> bool:
    """Is every number in it finite and within bounds, at any depth?"""
    values = [*record.values()]
    for value in values:  # which grows by what stands inside
        kind = type(value)
        if kind is str:
            continue
        if kind is float:
            if not math.isfinite(value):
                return False
        elif kind is int:
            if not -INTEGER_LIMIT < value < INTEGER_LIMIT:
                return False
        elif kind is dict:
            values += value.values()
        elif kind is list:
            values += value
        elif kind is not bool and value is not None:
            return False
    return True
