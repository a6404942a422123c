"""The grades of evidence and what each demands. Grading is a pure function of facts; nobody types a grade.

    A++         everything that A asks, and the packet was inflated again, twice, inside walls, to the same bytes
    A           exact archive, evaluation of the declared axis, components that recompute, runtime custody, all pairs
    A-negative  the same custody for a run that was rejected: it speaks for this configuration only
    empirical   something was measured, with a gap in custody
    derivation, prediction   a formula or a model; no archive yet
    external    somebody else's figure, before an exact local replay
    invalid     a rule is broken: the number must not be used

Only A++, A and A-negative rank. `lab.facts` gathers the facts of a run from what lies on disk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

RECOMPUTE_TOLERANCE = 1e-6
# Without these a second inflation says little: it may have looked at the source, the networks or the first result.
REPLAY_WALLS = ("no network", "source hidden", "networks hidden", "nothing else readable")


class Grade(StrEnum):
    """How far a result can be trusted, best first."""

    A_PLUS_PLUS = "A++"
    A = "A"
    A_NEGATIVE = "A-negative"
    EMPIRICAL = "empirical"
    DERIVATION = "derivation"
    PREDICTION = "prediction"
    EXTERNAL = "external"
    INVALID = "invalid"

    @property
    def ranks(self) -> bool:
        """May a run of this grade stand in a ranked table?"""
        return self in (Grade.A_PLUS_PLUS, Grade.A, Grade.A_NEGATIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came out when a packet was inflated again: one raw digest per inflation, and components measured anew."""

    archive_sha256: str
    runtime_sha256: str
    raw_sha256: tuple[str, ...]
    segnet: float
    posenet: float
    axis: str
    walls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is on disk about one run; `None` means that it is not there.

    `broken_rules` names rules of the contest that the run breaks (networks or source used at inflate, payload in
    code); one is enough for `invalid`. `missing` names evidence that should lie on disk and does not;
    `contradictions` whatever the gathering saw to disagree.
    """

    kind: str = "measured"
    verdict: str = "open"
    axis: str | None = None
    expected_axes: tuple[str, ...] = ("cpu", "cuda")
    n_pairs: int | None = None
    contract_pairs: int = 0
    contract_digest: str = ""
    recorded_contract_digest: str | None = None
    archive_sha256: str | None = None
    archive_bytes: int | None = None
    evaluated_archive_sha256: str | None = None
    evaluated_archive_bytes: int | None = None
    archive_on_disk_sha256: str | None = None
    recorded_total: float | None = None
    recomputed_total: float | None = None
    report_total: float | None = None
    runtime_sha256: str | None = None
    evaluator_sha256: str | None = None
    networks_match: bool = False
    source_match: bool = False
    raw_sha256: str | None = None
    exact_arithmetic: bool = False
    clean_process: bool = False
    commit: str | None = None
    dirty: bool | None = None
    segnet: float | None = None
    posenet: float | None = None
    pairs_segnet: float | None = None
    pairs_posenet: float | None = None
    pairs_total: float | None = None
    replays: tuple[Replay, ...] = ()
    missing: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    broken_rules: tuple[str, ...] = field(default_factory=tuple)


_UNMEASURED = {"derivation": Grade.DERIVATION, "prediction": Grade.PREDICTION, "external": Grade.EXTERNAL}


def grade(facts: Facts) -> tuple[Grade, tuple[str, ...]]:
    """The grade that the facts allow, and every reason for it.

    Returns:
        (grade, reasons). Reasons of an A grade say what was checked; of a lower grade, every gap.
    """
    if facts.broken_rules:
        return Grade.INVALID, tuple(f"breaks a rule: {rule}" for rule in facts.broken_rules)
    if facts.kind in _UNMEASURED:
        return _UNMEASURED[facts.kind], (f"a {facts.kind} has no archive of ours that was measured here",)
    if facts.kind != "measured":
        return Grade.INVALID, (f"unknown kind of evidence {facts.kind!r}",)
    wrong = _contradictions(facts)
    if wrong:
        return Grade.INVALID, wrong
    gaps = _gaps(facts)
    if gaps:
        return Grade.EMPIRICAL, gaps
    checked = (
        f"archive of {facts.archive_bytes:,} bytes, sha256 {(facts.archive_sha256 or '')[:12]}, as evaluated",
        f"axis {facts.axis}, all {facts.n_pairs} pairs, fp32",
        "total recomputed from its components",
        f"runtime tree {(facts.runtime_sha256 or '')[:12]} inflated it in a clean process",
    )
    if facts.verdict == "rejected":
        return Grade.A_NEGATIVE, (*checked, "rejected: speaks for this configuration only")
    decided, why = _replayed(facts)
    return decided, (*checked, *why)


def of_another_state(then: Grade, reasons: Iterable[str], state: str) -> tuple[Grade, tuple[str, ...]]:
    """What a record is worth once its contract has changed: what it was stays said, and it never ranks.

    Args:
        then, reasons: the grade under the contract as it was.
        state: digest of the contract as it was.
    """
    why = f"measured under another state of the contract, {state[:12]}: grade {then.value} there, not ranked here"
    return (Grade.EMPIRICAL if then.ranks else then), (why, *reasons)


def with_replays(record: Mapping[str, Any], replays: Iterable[Replay]) -> tuple[Grade, tuple[str, ...]]:
    """The grade of a record that was graded when it entered the ledger, in the light of later replays.

    Only an A moves, to A++ and no further; the record itself stays as it was written.
    """
    recorded, reasons = Grade(record["grade"]), tuple(map(str, record["grade_reasons"]))
    measured, kept, replays = record["evaluation"], record["custody"], tuple(replays)
    if recorded is not Grade.A or not replays:
        return recorded, reasons
    decided, why = _replayed(
        Facts(
            axis=measured["axis"],
            segnet=measured["segnet"],
            posenet=measured["posenet"],
            archive_sha256=kept["archive_sha256"],
            runtime_sha256=kept["runtime_sha256"],
            raw_sha256=kept["raw_sha256"],
            dirty=kept["dirty"],
            replays=replays,
        )
    )
    return decided, (*reasons, *why)


def _replayed(facts: Facts) -> tuple[Grade, tuple[str, ...]]:
    """A++ where every replay closes, else A and why not."""
    if not facts.replays:
        return Grade.A, ()
    wrong = sorted({reason for replay in facts.replays for reason in _open_ends(replay, facts)})
    if facts.dirty is not False:
        wrong.append("recorded from a checkout with uncommitted code")
    if wrong:
        return Grade.A, tuple(f"replay does not lift it: {reason}" for reason in wrong)
    count = sum(len(replay.raw_sha256) for replay in facts.replays)
    return Grade.A_PLUS_PLUS, (f"inflated {count} times more, inside walls, to the same raw digest and components",)


def _open_ends(replay: Replay, facts: Facts) -> list[str]:
    """What keeps a replay from confirming a run."""
    same = (
        (replay.archive_sha256 == facts.archive_sha256, "another archive"),
        (replay.runtime_sha256 == facts.runtime_sha256, "another runtime tree"),
        (replay.axis == facts.axis, "another axis"),
        (len(replay.raw_sha256) >= 2, "inflated less than twice"),
        (set(replay.raw_sha256) == {facts.raw_sha256}, "other raw frames"),
        (_close(replay.segnet, facts.segnet) and _close(replay.posenet, facts.posenet), "other components"),
        (set(REPLAY_WALLS) <= set(replay.walls), "missing walls"),
    )
    return [reason for holds, reason in same if not holds]


def _close(one: float | None, other: float | None) -> bool:
    """Equal within the tolerance of a recomputation; nothing is close to what is missing or not finite."""
    return one is not None and other is not None and abs(one - other) <= RECOMPUTE_TOLERANCE


def _contradictions(facts: Facts) -> tuple[str, ...]:
    """Things on disk that contradict each other."""
    found: list[str] = list(facts.contradictions)
    pairs: tuple[tuple[str, float | None, str, float | None], ...] = (
        ("recorded total", facts.recorded_total, "components give", facts.recomputed_total),
        ("report.txt says", facts.report_total, "components give", facts.recomputed_total),
        ("recorded segnet", facts.segnet, "pairs.csv gives", facts.pairs_segnet),
        ("recorded posenet", facts.posenet, "pairs.csv gives", facts.pairs_posenet),
        ("recorded total", facts.recorded_total, "pairs.csv gives", facts.pairs_total),
    )
    for one, left, other, right in pairs:
        if left is not None and right is not None and not _close(left, right):
            found.append(f"{one} {left} but {other} {right}")
    digests = (
        ("archive digest", facts.archive_sha256, facts.evaluated_archive_sha256),
        ("archive size", facts.archive_bytes, facts.evaluated_archive_bytes),
        ("archive kept on disk", facts.archive_sha256, facts.archive_on_disk_sha256),
    )
    for what, recorded, seen in digests:
        if recorded is not None and seen is not None and recorded != seen:
            found.append(f"{what}: recorded {str(recorded)[:16]}, found {str(seen)[:16]}")
    return tuple(found)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _gaps(facts: Facts) -> tuple[str, ...]:
    """Everything that A asks and the facts do not give."""
    demands = (
        (facts.archive_sha256 is not None and facts.archive_bytes is not None, "no exact archive digest and size"),
        (facts.evaluated_archive_sha256 is not None, "no evaluation.json that names the archive"),
        (facts.axis in facts.expected_axes, f"axis {facts.axis!r} is advisory, not one of the declared axes"),
        (facts.n_pairs == facts.contract_pairs > 0, f"{facts.n_pairs} of {facts.contract_pairs} pairs: a subset"),
        (facts.recorded_contract_digest == facts.contract_digest, "measured under another state of the contract"),
        (_finite(facts.recomputed_total) and _finite(facts.recorded_total), "no components to recompute"),
        (_finite(facts.report_total), "no report.txt with a total"),
        (facts.runtime_sha256 is not None, "no digest of the decoder's runtime tree"),
        (facts.evaluator_sha256 is not None, "no digest of the evaluator"),
        (facts.networks_match, "networks differ from the contract's digests"),
        (facts.source_match, "source differs from the contract's digest"),
        (facts.raw_sha256 is not None, "no digest of the raw output"),
        (facts.exact_arithmetic, "measured in an inexact mode"),
        (facts.clean_process, "not inflated in a clean process from the packet"),
        (facts.commit not in (None, "", "unversioned"), "no commit on record"),
    )
    return (*(reason for holds, reason in demands if not holds), *facts.missing)
