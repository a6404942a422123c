"""Public facts are carried with their sources; each trap of the public record becomes a finding."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab import cli, contract
from lab.errors import DuplicateRun, LedgerError, SchemaMismatch
from lab.external import claim, shelf
from lab.external import facts as material
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


def board_facts(*rows: dict[str, Any]) -> dict[str, Any]:
    """Facts of the public board."""
    return {"schema": "facts.leaderboard.v1", "rows": list(rows)}


def board_row(pr: int, score: float, size: int | None = None) -> dict[str, Any]:
    """A row of the board, with its total as the board prints it."""
    known = {} if size is None else {"archive_bytes": size}
    return {"pr": pr, "name": f"entry {pr}", "score": score, "score_text": f"{score:.3f}", "source": "a board", **known}


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


def test_a_rounded_total_keeps_what_was_printed_beside_what_follows_and_its_ties_are_resolved(tmp_path: Path) -> None:
    run = {"axis": "cpu", "score": 1.73, "archive_bytes": 864167, "segnet": 0.00575544, "posenet": 0.03317023,
           "source": "a ledger"}  # fmt: skip
    found = gathered(
        tmp_path, runs=runs_facts(track=({**run, "run_id": "a"}, {**run, "run_id": "b", "segnet": 0.00575}))
    )
    (rounded,) = [item for item in found.findings if item.trap == "rounded-score"]
    assert rounded.figures["ties_resolved_best_first"] == {"1.73": ["run-b", "run-a"]}
    exact = 100 * 0.00575544 + (10 * 0.03317023) ** 0.5 + 25 * 864167 / OFFICIAL.source.bytes
    record = found.records["run-a"]
    assert record.claim is not None and (record.claim.stated, record.total) == (1.73, pytest.approx(exact, abs=1e-12))
    assert rounded.figures["largest_gap"] >= abs(1.73 - exact)


def test_a_total_of_zero_is_a_total(tmp_path: Path) -> None:
    """A fallback of the form `a or b` would take a true zero for a missing figure."""
    record = gathered(tmp_path, board=board_facts(board_row(36, 0.0))).records["board-pr36"]
    assert record.claim is not None and (record.claim.stated, record.claim.stated_places) == (0.0, 3)


def test_one_archive_with_two_totals_on_one_axis_is_found(tmp_path: Path) -> None:
    replay = {
        "axis": "contest-CUDA", "archive_bytes": 178981, "segnet": 0.00067623, "posenet": 0.00017198,
        "archive_sha256": "ab" * 32, "source": "a table",
    }  # fmt: skip
    other = {**replay, "name": "the same file, other code", "segnet": 0.00067565, "posenet": 0.00017347}
    agreeing = {**replay, "name": "again", "archive_sha256": "cd" * 32}
    found = gathered(
        tmp_path, runs=runs_facts({**replay, "name": "one"}, other, {**agreeing}, {**agreeing, "name": "too"})
    )
    (finding,) = [item for item in found.findings if item.trap == "one-archive-two-totals"]
    assert set(finding.records) == {"exact-one", "exact-the-same-file-other-code"}
    assert (finding.figures["archive_sha256"], finding.figures["axis"]) == ("ab" * 32, "cuda")


def test_axes_that_are_mixed_on_one_board_are_found(tmp_path: Path) -> None:
    one, two = ((0.0005, 3e-05), (0.0006, 15e-05)), ((0.0007, 3e-05), (0.0008, 15e-05))
    on_cpu = OFFICIAL.score(segnet=0.0005, posenet=3e-05, archive_bytes=1000).total
    on_cuda = OFFICIAL.score(segnet=0.0008, posenet=15e-05, archive_bytes=1000).total
    facts = axes_facts(row(1, *one, 1000), row(2, *two, 1000))
    mixed = board_facts(board_row(1, round(on_cpu, 3)), board_row(2, round(on_cuda, 3)))
    (finding,) = [
        item for item in gathered(tmp_path, axes=facts, board=mixed).findings if item.trap == "mixed-axes-on-one-board"
    ]
    assert finding.figures["rows"] == {"cpu": ["board-pr1"], "cuda": ["board-pr2"]}
    pure = tmp_path / "pure"
    pure.mkdir()
    on_cpu_too = OFFICIAL.score(segnet=0.0007, posenet=3e-05, archive_bytes=1000).total
    same = board_facts(board_row(1, round(on_cpu, 3)), board_row(2, round(on_cpu_too, 3)))
    assert "mixed-axes-on-one-board" not in traps(gathered(pure, axes=facts, board=same))


def test_one_size_with_two_totals_on_a_board_is_found(tmp_path: Path) -> None:
    rows = (board_row(1, 0.197, 178392), board_row(2, 0.229, 178392), board_row(3, 0.3, 99))
    (finding,) = [
        item for item in gathered(tmp_path, board=board_facts(*rows)).findings if item.trap == "one-size-two-totals"
    ]
    assert finding.figures["stated"] == {"board-pr1": 0.197, "board-pr2": 0.229}


def test_a_table_that_prints_other_components_than_its_source_is_found(tmp_path: Path) -> None:
    facts = axes_facts(row(7, (0.0005, 3e-05), (0.0006, 15e-05), 1000))
    facts["published_findings_table"]["rows"] = [
        {"pr": 7, "segnet_cpu": 0.0005, "posenet_cpu": 3.5e-05, "score_cpu": 0.0693,
         "segnet_cuda": 0.0006, "posenet_cuda": 15e-05, "score_cuda": 0.0994}
    ]  # fmt: skip
    (finding,) = [
        item for item in gathered(tmp_path, axes=facts).findings if item.trap == "table-against-source"
    ]  # fmt: skip
    assert finding.figures == {"posenet": {"table": 3.5e-05, "run": 3e-05}}


def test_a_total_of_another_machine_is_no_axis_of_the_contest(tmp_path: Path) -> None:
    facts = axes_facts(row(7, (0.0005, 3e-05), (0.0006, 15e-05), 1000))
    facts["rows"][0]["extra"] = {"macos_cpu_score": 0.0681, "macos_minus_linux": 1e-06, "source": "a note"}
    found = gathered(tmp_path, axes=facts)
    record = found.records["axis-pr7-macos-cpu"]
    assert (record.axis, record.grade.value, record.sources) == ("advisory", "invalid", ("a note",))
    (beside,) = found.analysis["hardware"]
    assert (beside["machine"], beside["stated"], beside["totals"][1]) == ("macos cpu", True, 0.0681)


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
    # Components of five decimals leave the totals, and so the share, an interval.
    assert 0.0 < cause["reach"] < 0.5


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


# Ids are made for the shelf anew, and a printed total's digits are kept as a count of decimals.
REWRITTEN = {".archives[].id", ".stream_ladders[].id", ".rows[].id", ".rows[].score_text", ".schema"}


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """(place, figure or text as JSON) of everything in a file of facts."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item, f"{place}[]")
    elif value not in (None, ""):
        yield place, json.dumps(value)


def test_nothing_of_the_facts_is_lost(shared: Path) -> None:
    """Every figure and every text of every file stands on the shelf, in the collection that carries it."""
    carried = {item.facts_sha256: item.as_dict() for item in shelf.load(LEDGERS, OFFICIAL).collections}
    files = [material.read(path) for path in material.paths(shared / "facts")]
    assert {sha256 for _, sha256 in files} == set(carried)
    for told, sha256 in files:
        kept = {text for _, text in leaves(carried[sha256])}
        lost = [place for place, text in leaves(told) if text not in kept and place not in REWRITTEN]
        assert not lost


def test_carried_ratios_agree_with_ours(shared: Path) -> None:
    """What the facts state of an entry's two axes is what its components give."""
    names = {"r_pose": "pose_ratio", "r_seg": "seg_ratio", "delta_score": "gap", "delta_from_pose": "gap_from_pose",
             "delta_from_seg": "gap_from_seg"}  # fmt: skip
    found = shelf.gather(shared / "facts", OFFICIAL)
    for pair in found.analysis["pairs"]:
        stated = found.records[pair["records"][1]].facts["stated_against_cpu"]
        for name, own in names.items():
            assert pair[own] == pytest.approx(stated[name], abs=6e-5 if name.startswith("r_") else 6e-7)


def test_carried_recomputations_agree_with_ours(shared: Path) -> None:
    """Where the facts carry a total that their author recomputed, it is ours as well."""
    checked = 0
    for record in shelf.gather(shared / "facts", OFFICIAL).records.values():
        told = record.facts.get("score_recomputed")
        if told is not None and record.total is not None:
            assert record.total == pytest.approx(told, abs=max(2e-6, 0.51 * 10.0 ** -claim.places(told)))
            checked += 1
    assert checked >= 70


def test_the_import_verb_prints_its_findings(tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--ledgers", str(tmp_path), "ledger", "import", str(shared / "facts")]) == 0
    out = capsys.readouterr().out
    assert "swapped-columns" in out and "331 records in 5 collections" in out
    assert (tmp_path / "external" / "findings.json").is_file()
