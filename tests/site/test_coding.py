"""The Entropy page and what prose cites of it come from one evidence file; without the file both wait."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.errors import SiteError
from lab.site import coding
from lab.site.cite import NoRunYet

ROWS = [("ours", "ours", 800), ("nine neighbours", "published", 1000), ("xz", "general", 4000)]


@pytest.fixture
def ledgers(tmp_path: Path) -> Path:
    """Ledgers with a benchmark of three coders."""
    told = {
        "tensor": {"name": "drawn", "maps": 3, "height": 8, "width": 10, "labels": 3, "sha256": "0" * 64},
        "versions": {"numpy": "2"},
        "machine": {"cores": 2},
        "rows": [
            {
                "coder": name,
                "kind": kind,
                "bytes": size,
                "bits_per_pixel": 8 * size / 240,
                "encode_mb_per_s": 3.0,
                "decode_mb_per_s": 4.0,
                "exact": True,
            }
            for name, kind, size in ROWS
        ],
        "spent": {
            "events": [
                {"event": "flat, the same again", "pixels": 230, "bits": 1600.0},
                {"event": "flat, a surprise", "pixels": 10, "bits": 4800.0},
            ],
            "pairs": [
                {"labels": [0, 1], "pixels": 40, "bits": 5400.0},
                {"labels": [2, 2], "pixels": 200, "bits": 1000.0},
            ],
            "map_bits": [3200.0, 1600.0, 1600.0],
        },
    }
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "entropy.json").write_text(json.dumps(told))
    return tmp_path


def test_prose_cites_what_was_measured(ledgers: Path) -> None:
    found = coding.Coding(ledgers)
    assert ">800</a>" in found.bytes("ours")
    assert 'href="/entropy/"' in found.bytes("ours")
    assert "20.0" in found.saves("nine neighbours")
    assert "75.0" in found.share("flat, a surprise")
    assert "100.0" in found.share("flat, a surprise", "flat, the same again")
    assert ">480.00<" in found.price("flat, a surprise")
    assert "0 and 1" in found.dearest()
    assert ">2.0×<" in found.first_map()


def test_figures_state_their_finding_and_hold_every_coder(ledgers: Path) -> None:
    sizes, maps = coding.Coding(ledgers).figures
    assert "800" in sizes.finding
    assert "20.0" in sizes.finding
    assert "less than the next best, nine neighbours" in sizes.finding
    assert [row[0].text for row in sizes.rows] == ["ours", "nine neighbours", "xz"]
    assert "400" in maps.finding
    assert len(maps.rows) == 3
    assert all("<svg" in drawing for pair in (*sizes.drawings, *maps.drawings) for drawing in pair[:2])


def test_without_the_benchmark_a_text_waits_and_there_is_no_page(tmp_path: Path) -> None:
    assert coding.load(tmp_path) is None
    with pytest.raises(NoRunYet):
        coding.Coding(tmp_path).bytes("ours")


def test_names_that_do_not_exist_and_rows_that_were_not_compared_stop_the_build(ledgers: Path) -> None:
    found = coding.Coding(ledgers)
    for ask in (found.bytes, found.saves, found.share, found.price):
        with pytest.raises(SiteError, match="no such"):
            ask("no such")
    path = ledgers / "benchmarks" / "entropy.json"
    path.write_text(path.read_text().replace("true", "false", 1))
    with pytest.raises(SiteError, match="bench-entropy"):
        coding.load(ledgers)
