"""Grades: a pure function that gives an A for complete custody and for nothing less."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence import REPLAY_WALLS, Facts, Grade, Replay, grade, with_replays

COMPLETE = Facts(
    verdict="promoted",
    axis="cpu",
    n_pairs=600,
    contract_pairs=600,
    contract_digest="c",
    recorded_contract_digest="c",
    archive_sha256="a",
    archive_bytes=178_981,
    evaluated_archive_sha256="a",
    evaluated_archive_bytes=178_981,
    recorded_total=0.195,
    recomputed_total=0.195,
    report_total=0.195,
    runtime_sha256="r",
    evaluator_sha256="e",
    networks_match=True,
    source_match=True,
    raw_sha256="w",
    exact_arithmetic=True,
    clean_process=True,
    commit="c0ffee",
    dirty=False,
    segnet=0.01,
    posenet=0.002,
    pairs_segnet=0.01,
    pairs_posenet=0.002,
    pairs_total=0.195,
)
REPLAY = Replay(
    archive_sha256="a",
    runtime_sha256="r",
    raw_sha256=("w", "w"),
    segnet=0.01,
    posenet=0.002,
    axis="cpu",
    walls=("own process", *REPLAY_WALLS),
)
WORSE: dict[str, list[Any]] = {
    "kind": ["derivation", "prediction", "external", "proxy", ""],
    "axis": [None, "mps", "macos-cpu", "cpu advisory", ""],
    "n_pairs": [None, 0, 8, 599, 601],
    "contract_pairs": [0, 599],
    "contract_digest": ["stale"],
    "recorded_contract_digest": [None, "stale"],
    "archive_sha256": [None, "b"],
    "archive_bytes": [None, 178_980],
    "evaluated_archive_sha256": [None, "b"],
    "evaluated_archive_bytes": [178_982],
    "archive_on_disk_sha256": ["b"],
    "recorded_total": [None, 0.1949, float("nan"), float("inf")],
    "recomputed_total": [None, 0.196, float("nan")],
    "report_total": [None, 0.19, float("nan")],
    "runtime_sha256": [None],
    "evaluator_sha256": [None],
    "networks_match": [False],
    "source_match": [False],
    "raw_sha256": [None],
    "exact_arithmetic": [False],
    "clean_process": [False],
    "commit": [None, "", "unversioned"],
    "pairs_segnet": [0.0100011, float("nan")],
    "pairs_posenet": [0.00200101],
    "pairs_total": [0.19501],
    "missing": [("no pairs.csv",)],
    "contradictions": [("anatomy.json is of another archive",)],
    "broken_rules": [("charge.source-read",)],
}


def changed(**fields: Any) -> Facts:
    """Complete facts but for some fields."""
    return dataclasses.replace(COMPLETE, **fields)


def test_complete_custody_is_an_a_and_says_what_was_checked() -> None:
    decided, reasons = grade(COMPLETE)
    assert decided is Grade.A
    assert "178,981 bytes" in reasons[0] and "600 pairs" in reasons[1]


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WORSE.items() for value in values])
def test_one_gap_and_it_never_ranks(field: str, value: Any) -> None:
    decided, reasons = grade(changed(**{field: value}))
    assert not decided.ranks
    assert reasons


def test_every_fact_is_either_demanded_or_named_as_harmless() -> None:
    """A field that is added without a demand is a hole: this test asks for a decision."""
    harmless = {"verdict", "expected_axes", "dirty", "segnet", "posenet", "replays"}
    assert {field.name for field in dataclasses.fields(Facts)} == harmless | set(WORSE)


@given(st.lists(st.sampled_from([(name, value) for name, values in WORSE.items() for value in values]), min_size=1))
def test_no_number_of_gaps_adds_up_to_a_rank(gaps: list[tuple[str, Any]]) -> None:
    assert not grade(changed(**dict(gaps)))[0].ranks


@given(st.permutations(sorted(WORSE)))
def test_a_lower_grade_names_every_gap(order: list[str]) -> None:
    shared = {"archive_bytes", "recomputed_total"}  # asked for in one demand with another field
    absent = [name for name in order if None in WORSE[name] and name not in shared][:3]
    _, reasons = grade(changed(**dict.fromkeys(absent)))
    assert len(reasons) == len(absent)


def test_a_contradiction_is_worse_than_a_gap() -> None:
    assert grade(changed(recorded_total=0.1))[0] is Grade.INVALID
    assert grade(changed(report_total=0.1))[0] is Grade.INVALID
    assert grade(changed(report_total=None))[0] is Grade.EMPIRICAL
    assert grade(changed(n_pairs=8))[0] is Grade.EMPIRICAL


def test_a_total_within_the_tolerance_is_the_same_total() -> None:
    assert grade(changed(report_total=0.195 + 9e-7))[0] is Grade.A
    assert grade(changed(report_total=0.195 + 1.1e-6))[0] is Grade.INVALID


def test_a_rejected_run_is_a_scoped_negative() -> None:
    decided, reasons = grade(changed(verdict="rejected"))
    assert decided is Grade.A_NEGATIVE
    assert "this configuration only" in reasons[-1]


def test_a_broken_rule_outweighs_everything() -> None:
    for kind in ("measured", "external", "prediction"):
        decided, reasons = grade(changed(kind=kind, broken_rules=("charge.networks-used",)))
        assert decided is Grade.INVALID
        assert reasons == ("breaks a rule: charge.networks-used",)


def test_replays_lift_an_a_and_nothing_else() -> None:
    assert grade(changed(replays=(REPLAY,)))[0] is Grade.A_PLUS_PLUS
    assert grade(changed(replays=(REPLAY,), verdict="rejected"))[0] is Grade.A_NEGATIVE
    assert grade(changed(replays=(REPLAY,), n_pairs=8))[0] is Grade.EMPIRICAL
    assert grade(changed(replays=(REPLAY,), dirty=True))[0] is Grade.A


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"archive_sha256": "b"}, "another archive"),
        ({"runtime_sha256": "s"}, "another runtime"),
        ({"axis": "cuda"}, "another axis"),
        ({"raw_sha256": ("w",)}, "less than twice"),
        ({"raw_sha256": ()}, "less than twice"),
        ({"raw_sha256": ("w", "x")}, "other raw frames"),
        ({"segnet": 0.0100011}, "other components"),
        ({"posenet": float("nan")}, "other components"),
        *(({"walls": tuple(wall for wall in REPLAY.walls if wall != gone)}, "missing walls") for gone in REPLAY_WALLS),
    ],
)
def test_a_replay_that_does_not_close_lifts_nothing(changes: dict[str, Any], complaint: str) -> None:
    wrong = dataclasses.replace(REPLAY, **changes)
    for replays in ((wrong,), (REPLAY, wrong), (wrong, REPLAY)):
        decided, reasons = grade(changed(replays=replays))
        assert decided is Grade.A
        assert any(complaint in reason for reason in reasons)


def test_a_record_moves_from_a_to_a_plus_plus_only() -> None:
    record = {
        "grade_reasons": [],
        "evaluation": {"axis": "cpu", "segnet": 0.01, "posenet": 0.002},
        "custody": {"archive_sha256": "a", "runtime_sha256": "r", "raw_sha256": "w", "dirty": False},
    }
    for recorded in Grade:
        lifted, _ = with_replays({**record, "grade": recorded.value}, [REPLAY])
        assert lifted is (Grade.A_PLUS_PLUS if recorded is Grade.A else recorded)
        assert with_replays({**record, "grade": recorded.value}, [])[0] is recorded


def test_only_the_a_grades_rank() -> None:
    assert [item.value for item in Grade if item.ranks] == ["A++", "A", "A-negative"]


def test_grading_is_a_function_of_its_facts() -> None:
    for field, value in itertools.islice(((f, v) for f, vs in WORSE.items() for v in vs if v == v), 40):
        assert grade(changed(**{field: value})) == grade(changed(**{field: value}))
