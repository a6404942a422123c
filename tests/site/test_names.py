"""Names of recipes split into known pieces, longest first; every recipe of the repository is explained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from conftest import ROOT, SOURCE

from lab.site import names

KNOWN = names.table(SOURCE / "names.toml")
RECIPES = [(path.parent.parent.name, path.stem) for path in sorted((ROOT / "lab" / "codecs").glob("*/recipes/*.toml"))]


@pytest.mark.parametrize(("family", "slug"), RECIPES, ids=lambda value: value)
def test_the_pieces_of_a_name_are_the_name(family: str, slug: str) -> None:
    assert "-".join(piece.text for piece in names.split(slug, family, KNOWN)) == slug


def test_hardly_a_piece_of_any_recipe_is_left_unexplained() -> None:
    pieces = [piece for family, slug in RECIPES for piece in names.split(slug, family, KNOWN)]
    unknown = sorted({piece.text for piece in pieces if not piece.says})
    assert len(unknown) <= 0.05 * len(pieces), unknown


def test_the_longest_piece_wins_and_numbers_are_read() -> None:
    pieces = names.split("av1-grid-crf48-lanczos-down", "conventional", KNOWN)
    assert [piece.text for piece in pieces] == ["av1", "grid", "crf48", "lanczos-down"]
    assert "48" in pieces[2].says


def test_an_unknown_piece_stands_alone_and_says_nothing() -> None:
    assert names.split("av1-zzz", "conventional", KNOWN)[1] == names.Piece(text="zzz", says=names.UNKNOWN)


def test_what_a_piece_is_worth_alone_is_the_delta_to_the_parent(built: SimpleNamespace) -> None:
    board = built.book.main.boards[0]
    tricks = names.tricks(names.names(board, KNOWN), board)
    grain = next(trick for trick in tricks if trick.text == "grain8")
    ((entry, change),) = grain.alone
    assert change == entry.total - board.by_id[entry.parent].total
