"""Public facts are carried with their sources; each trap of the public record becomes a finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import cli, contract
from lab.errors import DuplicateRun, LedgerError, SchemaMismatch
from lab.external import shelf
from lab.external.shelf import Shelf

OFFICIAL = contract.load("comma-2026")
LEDGERS = Path(__file__).resolve().parents[2] / "ledgers"


def row(
    pr: int, cpu: tuple[float, float], cuda: tuple[float, float], size: int, group: str = "medal_band"
) -> dict[str, Any]:
    """A row of the facts of axes."""
    return {
        "pr": pr, "name": f"entry {pr}", "archive_bytes": size, "group": group, "source": "somewhere public",
        "cpu": {"segnet": cpu[0], "posenet": cpu[1]}, "cuda": {"segnet": cuda[0], "posenet": cuda[1]},
    }  # fmt: skip


def axes_facts(*rows: dict[str, Any]) -> dict[str, Any]:
    """Facts of axes without tables."""
    return {
        "schema": "facts.cpu_cuda_pairs.v1", "rows": list(rows), "decode_axis_rows": [],
        "published_findings_table": {"rows": [], "source": "somewhere public"},
    }  # fmt: skip


def runs_facts(*exact: dict[str, Any], track: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Facts of runs without the other tables."""
    return {
        "schema": "facts.comma_lab_runs.v1", "track_b_runs": list(track), "other_runs": [],
        "exact_t4_rows": list(exact), "stated_local_neighbourhood_table": [], "historical_arc": [],
    }  # fmt: skip


def gathered(folder: Path, **files: dict[str, Any]) -> Shelf:
    """The shelf of these facts."""
    for name, facts in files.items():
        (folder / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
    return shelf.gather(folder, OFFICIAL)


def traps(found: Shelf) -> set[str]:
    """Kinds of findings."""
    return {item.trap for item in found.findings}


def test_columns_that_were_swapped_are_found_and_left_as_stated(tmp_path: Path) -> None:
    exact = {
        "name": "a replay", "axis": "contest-CUDA", "score": 0.2812078926981712, "archive_bytes": 215960,
        "segnet": 0.000584, "posenet": 0.00060989, "source": "a table",
    }  # fmt: skip
    found = gathered(tmp_path, runs=runs_facts(exact))
    assert "swapped-columns" in traps(found)
    record = found.records["exact-a-replay"]
    assert record.claim is not None and record.claim.segnet == 0.000584
    assert record.grade == "invalid" and "does not follow" in record.grade_reasons[0]


def test_a_rate_with_another_denominator_is_found(tmp_path: Path) -> None:
    run = {
        "run_id": "stray-file", "axis": "cpu", "score": 1.73, "archive_bytes": 864167, "segnet": 0.00575544,
        "posenet": 0.03317023, "rate": 0.02300123, "source": "a ledger",
    }  # fmt: skip
    found = gathered(tmp_path, runs=runs_facts(track=(run,)))
    assert [item.figures["denominator"] for item in found.findings if item.trap == "wrong-denominator"] == [
        round(864167 / 0.02300123)
    ]


def test_a_promotion_that_did_not_improve_is_found(tmp_path: Path) -> None:
    parent = {
        "run_id": "parent", "axis": "cpu", "score": 1.73, "archive_bytes": 864167, "segnet": 0.00575544,
        "posenet": 0.03317023, "source": "a ledger",
    }  # fmt: skip
    child = {**parent, "run_id": "child", "archive_bytes": 864168, "verdict": "promoted", "parent_run_id": "parent"}
    orphan = {**parent, "run_id": "orphan", "parent_run_id": "nobody"}
    found = gathered(tmp_path, runs=runs_facts(track=(parent, child, orphan)))
    assert {"promoted-without-gain", "parent-not-on-record"} <= traps(found)


def test_a_repeat_counts_once_in_the_analysis(tmp_path: Path) -> None:
    first, again = ((0.0005, 3e-05), (0.0006, 15e-05)), ((0.0005, 3e-05), (0.0006, 15e-05))
    other = ((0.0005, 3e-05), (0.0006, 12e-05))
    found = gathered(
        tmp_path, axes=axes_facts(row(1, *first, 1000), row(2, *again, 900), row(3, *other, 1000))
    )  # fmt: skip
    assert "not-independent" in traps(found)
    family = found.analysis["families"]["hnerv"]
    assert family["pose_ratio"]["n"] == 2
    assert family["pose_ratio"]["mean"] == pytest.approx((5 + 4) / 2)
    # Student's t of one degree of freedom, and the standard deviation of (4, 5), by hand.
    assert family["pose_ratio"]["mean_95"][1] - 4.5 == pytest.approx(12.706 * 0.5**0.5 / 2**0.5)


def test_the_decoder_s_share_of_the_gap_follows_from_three_runs(tmp_path: Path) -> None:
    facts = axes_facts(row(7, (0.0005, 3e-05), (0.0006, 15e-05), 1000))
    facts["decode_axis_rows"] = [
        {"pr": 7, "segnet": 0.00055, "posenet": 3e-05, "archive_bytes": 1000, "source": "a README",
         "axis": "PyAV reference decode + CUDA network kernels"}
    ]  # fmt: skip
    (cause,) = gathered(tmp_path, axes=facts).analysis["causes"]
    assert cause["decoder_share"]["segnet"] == pytest.approx(0.5)
    assert cause["decoder_share"]["posenet"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"schema": "facts.unknown.v1"}', "facts.unknown.v1"),
        ('{"schema": "facts.leaderboard.v1"}', "KeyError"),
        ('{"schema": "facts.leaderboard.v1", "rows": [{"pr": 1, "name": "x", "score": 1.0}]}', "expected a source"),
        ('{"schema": "facts.leaderboard.v1", "rows": [NaN]}', "NaN is no figure"),
        ('{"schema": "a", "schema": "b"}', "a key twice"),
        ("[" * 100_000, "strict JSON"),
        ('{"schema": "facts.leaderboard.v1", "rows": [], "note": "see /home/me/x"}', "no path of a machine"),
    ],
)
def test_facts_that_cannot_be_trusted_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "facts.json").write_text(text, encoding="utf-8")
    with pytest.raises(LedgerError, match=complaint):
        shelf.gather(tmp_path, OFFICIAL)


def test_the_shelf_is_written_once_and_reads_back(tmp_path: Path) -> None:
    facts, ledgers = tmp_path / "facts", tmp_path / "ledgers"
    facts.mkdir()
    found = gathered(facts, axes=axes_facts(row(7, (0.0005, 3e-05), (0.0006, 15e-05), 1000)))
    assert shelf.store(found, ledgers) == ["axes", "findings", "axis-analysis"]
    assert shelf.store(found, ledgers) == []
    assert shelf.load(ledgers, OFFICIAL).records == found.records
    other = gathered(facts, axes=axes_facts(row(7, (0.0005, 3e-05), (0.0007, 15e-05), 1000)))
    with pytest.raises(DuplicateRun, match="axes"):
        shelf.store(other, ledgers)
    assert shelf.load(ledgers, OFFICIAL).records == found.records
    assert shelf.store(other, ledgers, replace=True) == ["axes", "axis-analysis"]


def test_an_edited_shelf_is_refused(tmp_path: Path) -> None:
    facts, ledgers = tmp_path / "facts", tmp_path / "ledgers"
    facts.mkdir()
    shelf.store(gathered(facts, axes=axes_facts(row(7, (0.0005, 3e-05), (0.0006, 15e-05), 1000))), ledgers)
    path = ledgers / "external" / "axis-analysis.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"n": 1', '"n": 2', 1), encoding="utf-8")
    with pytest.raises(SchemaMismatch, match="axis-analysis"):
        shelf.load(ledgers, OFFICIAL)


def test_the_committed_shelf_holds_together() -> None:
    found = shelf.load(LEDGERS, OFFICIAL)
    kinds = [record.kind for record in found.records.values()]
    assert (kinds.count("run"), kinds.count("board row"), kinds.count("dead lane")) == (46, 56, 109)
    verdicts = [record.facts.get("verdict") for record in found.records.values() if record.kind == "run"]
    assert (verdicts.count("promoted"), verdicts.count("rejected")) == (18, 18)
    assert {record.grade.value for record in found.records.values()} == {"external", "invalid"}
    assert all(
        record.claim and record.claim.verdict == "agrees" for record in found.records.values() if record.kind == "run"
    )
    assert {
        "swapped-columns", "total-does-not-follow", "table-against-source", "wrong-denominator",
        "one-archive-two-totals", "one-size-two-totals", "mixed-axes-on-one-board", "not-independent",
        "delta-to-another-row", "rounded-score",
    } <= traps(found)  # fmt: skip


def test_the_published_summary_follows_from_its_five_rows_of_which_four_count() -> None:
    told = shelf.load(LEDGERS, OFFICIAL).analysis["stated_summary"]
    for figure, decimals in (("pose_ratio", 2), ("seg_ratio", 2), ("gap", 4)):
        spread = told[figure]["all_rows"]
        printed = f"{spread['mean']:.{decimals}f} ± {spread['standard_deviation']:.{decimals}f}"
        assert printed == told[figure]["stated"]
        assert (spread["n"], told[figure]["rows_that_count"]["n"]) == (5, 4)


def test_the_committed_shelf_is_what_the_facts_give(shared: Path) -> None:
    found = shelf.gather(shared / "facts", OFFICIAL)
    assert shelf.load(LEDGERS, OFFICIAL).records == found.records


def test_carried_recomputations_agree_with_ours(shared: Path) -> None:
    """Where the facts carry a total that their author recomputed, it is ours as well."""
    checked = 0
    for record in shelf.gather(shared / "facts", OFFICIAL).records.values():
        told = record.facts.get("score_recomputed")
        if told is not None and record.total is not None:
            assert record.total == pytest.approx(told, abs=2e-6)
            checked += 1
    assert checked >= 60


def test_the_import_verb_prints_its_findings(tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--ledgers", str(tmp_path), "ledger", "import", str(shared / "facts")]) == 0
    out = capsys.readouterr().out
    assert "swapped-columns" in out and "330 records in 5 collections" in out
    assert (tmp_path / "external" / "findings.json").is_file()
