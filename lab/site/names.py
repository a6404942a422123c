"""The *Name decoder*: the name of a recipe split into its tricks, each explained once.

The table of pieces is `site_src/names.toml`, written by people; what each piece is worth is counted from the runs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from lab.errors import SiteError
from lab.site import lineage
from lab.site.book import Board, Entry

UNKNOWN = ""
SHOWN = 600  # names on the page; a longer ledger has them all in its own table
ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One piece of a name and what it says; `says` is empty where the table has no such piece."""

    text: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A run with its name in pieces. `texts`: each of them once, with the codec family, as tricks are told apart."""

    entry: Entry
    pieces: tuple[Piece, ...]
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trick:
    """A piece over all runs: how many carry it, the best of them, and its worth where it was all that changed.

    `alone` are deltas against the parent of the runs whose name is the parent's and this piece.
    """

    text: str
    says: str
    family: str
    runs: int
    best: Entry
    alone: tuple[tuple[Entry, float], ...]


Table = Mapping[str, Sequence[tuple[re.Pattern[str], str]]]


def table(path: Path) -> Table:
    """The pieces by family.

    Raises:
        SiteError: it is not a table of patterns.
    """
    try:
        return _table(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, AttributeError, re.error) as error:
        raise SiteError(path.name, expected="patterns of names by family", found=str(error)) from None


@lru_cache(maxsize=1)
def _table(text: str) -> Table:
    return {
        family: [(re.compile(pattern), str(says)) for pattern, says in pieces.items()]
        for family, pieces in tomllib.loads(text).items()
    }


@lru_cache(maxsize=64)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern that matches where one of them does."""
    return re.compile("|".join(f"(?:{text})" for text in patterns) or "(?!)")


def split(slug: str, family: str, known: Table) -> tuple[Piece, ...]:
    """A name in pieces, the longest known one first; a part that nobody explained is a piece of its own."""
    parts, pieces, at = slug.split("-"), [], 0
    rules = [*known.get(family, ()), *known.get(ANY, ())]
    some_rule = _any_of(tuple([rule.pattern for rule, _ in rules]))
    while at < len(parts):
        found = None
        for end in range(len(parts), at, -1):
            text = "-".join(parts[at:end])
            if not some_rule.fullmatch(text):
                continue
            match = next(((rule, says) for rule, says in rules if rule.fullmatch(text)), None)
            if match:
                groups = match[0].fullmatch(text)
                found = (end, Piece(text=text, says=match[1].format(*(groups.groups() if groups else ()))))
                break
        end, piece = found or (at + 1, Piece(text=parts[at], says=UNKNOWN))
        pieces.append(piece)
        at = end
    return tuple(pieces)


def names(board: Board | None, known: Table) -> list[Name]:
    """Every run of a board with its name in pieces, best first."""
    return [_name(entry, known) for entry in (board.best_first if board else ())]


def _name(entry: Entry, known: Table) -> Name:
    """The name of a run in pieces, split once for as long as the table is the same."""
    table, name = cast("tuple[Table | None, Name | None]", entry.made.get("name", (None, None)))
    if table is not known or name is None:
        pieces, family = split(entry.slug, entry.run.family, known), entry.run.family
        name = Name(entry=entry, pieces=pieces, texts=tuple(dict.fromkeys((family, piece.text) for piece in pieces)))
        entry.made["name"] = known, name
    return name


def tricks(found: Sequence[Name], board: Board) -> list[Trick]:
    """Every piece that a name holds, by family, the most frequent first.

    Args:
        found: the names of a board, best first.
    """
    carriers: dict[tuple[str, str], list[Name]] = {}
    alone: dict[tuple[str, str], list[tuple[Entry, float]]] = {}
    by_id = {name.entry.id: name for name in found}
    for name in found:
        for key in name.texts:
            if key in carriers:
                carriers[key].append(name)
            else:
                carriers[key] = [name]
        parent = by_id.get(name.entry.parent or "")
        if parent and len(parent.pieces) < len(name.pieces):
            for key in _added(name, parent):
                if delta := lineage.from_parent(name.entry, board):
                    alone.setdefault(key, []).append((name.entry, delta.total))
    out = []
    for key, holders in carriers.items():
        says = next(piece.says for piece in holders[0].pieces if piece.text == key[1])
        if len(found) > SHOWN and not says and len(holders) == 1:
            continue  # what stands in one name only and says nothing is a number or a word of its own
        out.append(
            Trick(
                text=key[1],
                says=says,
                family=key[0],
                runs=len(holders),
                best=holders[0].entry,
                alone=tuple(sorted(alone.get(key, ()), key=lambda item: (item[1], item[0].id))),
            )
        )
    return sorted(out, key=lambda trick: (trick.family, -trick.runs, trick.text))


def _added(name: Name, parent: Name) -> list[tuple[str, str]]:
    """The pieces of a name without which it is the parent's, none or one; found once for two names."""
    known, found = cast("tuple[Name | None, list[tuple[str, str]]]", name.entry.made.get("added", (None, [])))
    if known is not parent:
        before = [piece.text for piece in parent.pieces]
        found = [key for key in name.texts if [one.text for one in name.pieces if one.text != key[1]] == before]
        name.entry.made["added"] = parent, found
    return found


def longest(found: Sequence[Name]) -> Name | None:
    """The name with the most pieces that are all explained, for the example at the top."""
    whole = [name for name in found if all(piece.says for piece in name.pieces)]
    return max(whole, key=lambda name: (len(name.pieces), -name.entry.total, name.entry.id), default=None)
