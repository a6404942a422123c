"""The page on the contest's axes says what the analysis gives, draws every entry, and needs no script to be read."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import shelf as synthetic
from conftest import build

from lab import contract
from lab.external import shelf
from lab.site import axes

LEDGERS = Path(__file__).resolve().parents[2] / "ledgers"
OFFICIAL = contract.load("comma-2026")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A small site beside the committed public record."""
    root = tmp_path_factory.mktemp("axes")
    made = synthetic.make(root, runs=synthetic.RUNS[:2], clips=0)
    shutil.copytree(LEDGERS / "external", made.ledgers / "external")
    return build(made.ledgers, root / "cache")


@pytest.fixture(scope="module")
def analysis() -> dict[str, object]:
    """What the records of the committed shelf give."""
    return dict(shelf.load(LEDGERS, OFFICIAL).analysis)


def page(site: SimpleNamespace, url: str = "axes/index.html") -> str:
    """A page as text, entities for signs resolved."""
    return site.tree[url].decode()


def test_means_and_intervals_are_those_of_the_analysis(site: SimpleNamespace, analysis: dict[str, dict]) -> None:
    text = page(site)
    for row in analysis["families"].values():
        for key, digits in (("pose_ratio", 3), ("seg_ratio", 4), ("gap", 5)):
            mean, (low, high) = row[key]["mean"], row[key]["mean_95"]
            for value in (mean, low, high):
                assert f"{abs(value):.{digits}f}" in text
    assert "the sign turns from one family to the other" in text


def test_every_entry_is_drawn_told_and_written_to_the_file(site: SimpleNamespace, analysis: dict[str, list]) -> None:
    text, pairs = page(site), analysis["pairs"]
    rows = list(csv.DictReader(io.StringIO(site.tree["data/external/axis-pairs.csv"].decode())))
    assert [row["title"] for row in rows] == [pair["title"] for pair in pairs]
    assert [float(row["gap"]) for row in rows] == [pair["gap"] for pair in pairs]
    figures = re.findall(r'<svg class="plot wide".*?</svg>', text, re.DOTALL)
    assert len(figures) == 4
    for drawn in figures[:3]:
        assert drawn.count('class="mark external"') == len(pairs)
        assert drawn.count("point unranked") == sum(not pair["counts"] for pair in pairs)
    table = text[text.index("Every entry as a table") :]
    assert all(pair["title"] in table for pair in pairs)


def test_the_decoder_s_share_stands_in_the_caption(site: SimpleNamespace, analysis: dict[str, list]) -> None:
    text = page(site)
    for cause in analysis["causes"]:
        assert f"{100 * cause['decoder_share']['total']:.1f}\u202f%" in text
        assert cause["reach"] < 0.01
    assert "No run of this kind was published for the other family" in text


def test_a_second_machine_that_lies_further_than_the_other_axis_is_told(
    site: SimpleNamespace, analysis: dict[str, list]
) -> None:
    gaps = {name: pair["gap"] for pair in analysis["pairs"] for name in pair["records"]}
    far = [row for row in analysis["hardware"] if abs(row["gap"]) > abs(gaps[row["records"][0]])]
    assert len(far) == 1 and f"{abs(far[0]['gap']):.4f} apart on two machines" in page(site)


def test_the_page_is_whole_without_scripts(site: SimpleNamespace) -> None:
    """Charts are inline drawings, captions and tables are text, and files are linked."""
    text = re.sub(r"<script.*?</script>", "", page(site), flags=re.DOTALL)
    assert "<svg" in text and "On CUDA" in text and "</table>" in text
    for name in ("axis-pairs.csv", "axis-analysis.json", "axes.json", "findings.json"):
        assert f'href="../data/external/{name}"' in text and f"data/external/{name}" in site.tree
    told = json.loads(site.tree["data/external/axis-analysis.json"])
    assert told["pairs"] == json.loads(json.dumps(shelf.load(LEDGERS, OFFICIAL).analysis["pairs"]))


def test_their_runs_and_every_finding_with_its_sources_are_shown(site: SimpleNamespace) -> None:
    text, found = page(site, "others/index.html"), shelf.load(LEDGERS, OFFICIAL)
    assert "18 promoted, 18 rejected, 10 measured" in text
    runs = [record for record in found.records.values() if record.kind == "run"]
    assert len(runs) == 46 and all(run.title in text and f"{run.total:.6f}" in text for run in runs)
    shown = text[text.index('id="contradictions"') :]
    assert shown.count('<li><span class="note">') == len(found.findings)
    assert {item.trap for item in found.findings} <= set(re.findall(r'<span class="note">([a-z-]+)</span>', shown))


def test_without_a_public_record_there_is_no_page(tmp_path: Path, built: SimpleNamespace) -> None:
    assert axes.load(tmp_path) is None
    assert "axes/index.html" not in built.tree
