"""The sanity gate: five checks between a rank and the machine time it asks for. It fails closed.

A check that raises, or that lacks what it needs, has failed. Who overrides a refusal gives a reason, and the reason is
kept beside what was refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import SearchError
from lab.search.predict import FEWEST_ANCHORS, NEEDS_PROXY, Band, Lane, Refusal
from lab.search.rank import Candidate
from lab.store import write_atomic

PASSED, REFUSED, OVERRIDDEN = 0, 64, 65
"""Exit codes."""
SHORTEST_REASON = 40

_LOCAL_PATH = re.compile(
    r"(?<![\w.])(?:/(?:home|Users|root|tmp|var|private|mnt|opt|srv|data)/|~/|[A-Za-z]:\\)[^\s'\"]*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the gate is asked about.

    `commands` are the texts that would be sent to another machine, `families` the registered codec families; None
    means that nobody could say, which is a failure.
    """

    candidate: Candidate
    lane: Lane | None
    prediction: Band | Refusal | None
    commands: tuple[str, ...] | None = ()
    families: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one check found; `says` is empty where it passed."""

    check: str
    says: str

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.says


def anchors_sufficient(question: Question) -> str:
    """The lane has enough anchors of its own."""
    n_anchors = len(question.lane.anchors) if question.lane else 0
    return "" if n_anchors >= FEWEST_ANCHORS else f"{n_anchors} anchors, {FEWEST_ANCHORS} are needed"


def lossy_is_not_better_than_lossless(question: Question) -> str:
    """The band of a lossy candidate does not end below the best lossless score of its lane."""
    if question.candidate.rel_err == 0.0:
        return ""
    if not isinstance(question.prediction, Band):
        return "there is no band to look at"
    best = question.lane.lossless_score if question.lane else None
    if best is None or question.prediction.high >= best:
        return ""
    return f"the band ends at {question.prediction.high:.6f}, below {best:.6f} measured without loss"


def proxy_was_asked(question: Question) -> str:
    """Above one percent of relative error the distortion proxy must have answered."""
    if question.candidate.rel_err <= NEEDS_PROXY:
        return ""
    return "" if question.lane and question.lane.proxy else f"error {question.candidate.rel_err:g} % without a proxy"


def nothing_local_is_sent(question: Question) -> str:
    """No command names a path of this machine."""
    if question.commands is None:
        return "the commands are not known"
    found = [command for command in question.commands if _LOCAL_PATH.search(command)]
    return f"{len(found)} commands name a local path" if found else ""


def lane_is_registered(question: Question) -> str:
    """The lane's family is one that this checkout can run."""
    if question.families is None:
        return "the table of families is not known"
    family = question.candidate.lane.partition("/")[0]
    return "" if family in question.families else f"family {family!r} is none of {', '.join(question.families)}"


CHECKS: tuple[Callable[[Question], str], ...] = (
    anchors_sufficient,
    lossy_is_not_better_than_lossless,
    proxy_was_asked,
    nothing_local_is_sent,
    lane_is_registered,
)


def ask(question: Question, checks: Sequence[Callable[[Question], str]] = CHECKS) -> list[Answer]:
    """All answers; no checks at all is a refusal too."""
    answers = []
    for check in checks:
        try:
            says = check(question)
        except Exception as error:
            says = f"could not be checked: {type(error).__name__}: {error}"
        answers.append(Answer(check=check.__name__, says=says))
    return answers or [Answer(check="gate", says="there are no checks")]


def verdict(answers: Sequence[Answer], override: str | None = None, log: Path | None = None, name: str = "") -> int:
    """Exit code of a gate: 0 passed, 64 refused, 65 refused and overridden with a reason, which is logged.

    Args:
        override: why a refusal is set aside; at least 40 characters.
        log: file of JSON lines that keeps overrides.
        name: the candidate.

    Raises:
        SearchError: an override without a log to keep it, or with too short a reason.
    """
    failed = [answer for answer in answers if not answer.passed]
    if answers and not failed:
        return PASSED
    if override is None:
        return REFUSED
    reason = " ".join(override.split())
    if len(reason) < SHORTEST_REASON:
        raise SearchError(
            f"override of {name or 'a candidate'}",
            expected=f"a reason of at least {SHORTEST_REASON} characters",
            found=f"{len(reason)}",
        )
    if log is None:
        raise SearchError(f"override of {name or 'a candidate'}", expected="a log that keeps it", found="none")
    row = {"candidate": name, "reason": reason, "refused": {answer.check: answer.says for answer in failed}}
    kept = log.read_text(encoding="utf-8") if log.is_file() else ""
    write_atomic(log, (kept + json.dumps(row, sort_keys=True) + "\n").encode())
    return OVERRIDDEN
