"""The grades of evidence and what each demands. Grading is a pure function of facts; nobody types a grade.

    A++         everything that A asks, and the packet was inflated again, twice, inside walls, to the same bytes
    A           exact archive, evaluation of the declared axis, components that recompute, runtime custody, all pairs
    A-negative  the same custody for a run that was rejected: it speaks for this configuration only
    empirical   something was measured, with a gap in custody
    derivation, prediction   a formula or a model; no archive yet
    external    somebody else's figure, before an exact local replay
    invalid     a rule is broken: the number must not be used

Only A++, A and A-negative rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

RECOMPUTE_TOLERANCE = 1e-6


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
class Facts:
    """What is on disk about one run, gathered by the ledger; `None` means that it is not there.

    `broken_rules` names rules of the contest that the run breaks (networks or source used at inflate, payload in
    code); one is enough for `invalid`.
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
    replays: tuple[str, ...] = ()
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
    if len(facts.replays) >= 2 and set(facts.replays) == {facts.raw_sha256} and facts.dirty is False:
        return Grade.A_PLUS_PLUS, (*checked, f"replayed {len(facts.replays)} times to the same raw digest")
    return Grade.A, checked


def _contradictions(facts: Facts) -> tuple[str, ...]:
    """Things on disk that contradict each other."""
    found: list[str] = []
    if facts.recorded_total is not None and facts.recomputed_total is not None:
        gap = abs(facts.recorded_total - facts.recomputed_total)
        if not math.isfinite(gap) or gap > RECOMPUTE_TOLERANCE:
            found.append(f"recorded total {facts.recorded_total} but components give {facts.recomputed_total}")
    if facts.report_total is not None and facts.recomputed_total is not None:
        gap = abs(facts.report_total - facts.recomputed_total)
        if not math.isfinite(gap) or gap > RECOMPUTE_TOLERANCE:
            found.append(f"report.txt says {facts.report_total} but components give {facts.recomputed_total}")
    pairs = (
        ("archive digest", facts.archive_sha256, facts.evaluated_archive_sha256),
        ("archive size", facts.archive_bytes, facts.evaluated_archive_bytes),
        ("archive kept on disk", facts.archive_sha256, facts.archive_on_disk_sha256),
    )
    for what, recorded, other in pairs:
        if recorded is not None and other is not None and recorded != other:
            found.append(f"{what}: recorded {str(recorded)[:16]}, found {str(other)[:16]}")
    return tuple(found)


def _gaps(facts: Facts) -> tuple[str, ...]:
    """Everything that A asks and the facts do not give."""
    demands = (
        (facts.archive_sha256 is not None and facts.archive_bytes is not None, "no exact archive digest and size"),
        (facts.evaluated_archive_sha256 is not None, "no evaluation.json that names the archive"),
        (facts.axis in facts.expected_axes, f"axis {facts.axis!r} is advisory, not one of the declared axes"),
        (facts.n_pairs == facts.contract_pairs, f"{facts.n_pairs} of {facts.contract_pairs} pairs: a subset"),
        (facts.recorded_contract_digest == facts.contract_digest, "measured under another state of the contract"),
        (facts.recomputed_total is not None and facts.recorded_total is not None, "no components to recompute"),
        (facts.report_total is not None, "no report.txt with a total"),
        (facts.runtime_sha256 is not None, "no digest of the decoder's runtime tree"),
        (facts.evaluator_sha256 is not None, "no digest of the evaluator"),
        (facts.networks_match, "networks differ from the contract's digests"),
        (facts.source_match, "source differs from the contract's digest"),
        (facts.raw_sha256 is not None, "no digest of the raw output"),
        (facts.exact_arithmetic, "measured in an inexact mode"),
        (facts.clean_process, "not inflated in a clean process from the packet"),
        (facts.commit not in (None, "", "unversioned"), "no commit on record"),
    )
    return tuple(reason for holds, reason in demands if not holds)
