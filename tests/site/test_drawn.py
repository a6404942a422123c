"""What a run of class maps shows of itself, read from evidence that others may have written."""

from __future__ import annotations

from pathlib import Path

import pytest
import shelf
from test_training_log import leave, page, png

from lab.errors import SiteError

POSES = b"pair,dimension_0,dimension_1\n0,0.5,1\n1,-0.25,2\n2,0.125,3\n"
TAILS = b"tail,used,n_bytes,segnet,posenet,delta,admitted\nseed,9,12,0.1,0.2,-0.0108,yes\nfactor,1,9,0.1,0.2,0.001,no\n"


def test_a_page_shows_maps_poses_and_every_tail_that_was_tried(small: shelf.Made, tmp_path: Path) -> None:
    leave(small, **{"class-maps.png": png(52, 30), "triptych.png": png(54, 40), "poses.csv": POSES, "tails.csv": TAILS})
    shown = page(small, tmp_path / "cache")
    assert 'width="52" height="30"' in shown and 'width="54" height="40"' in shown
    assert "The pose stream, dimension 0" in shown and "0.125000" in shown
    assert "0.010800" in shown and "0.001000" in shown and shown.count("<td>yes</td>") == 1


@pytest.mark.parametrize(
    ("name", "data"),
    [("poses.csv", b"pair,dimension_0\n0,nan\n"), ("tails.csv", b"tail,used\nseed,9\n")],
)
def test_tables_that_no_encoder_wrote_are_refused(small: shelf.Made, tmp_path: Path, name: str, data: bytes) -> None:
    leave(small, **{name: data})
    with pytest.raises(SiteError, match=name):
        page(small, tmp_path / "cache")
