"""The order is decided by predictions alone, refused candidates come last, and the gate fails closed."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from lab import contract
from lab.contract import Contract
from lab.errors import SearchError
from lab.search import gates
from lab.search.anchors import Anchor
from lab.search.predict import Band, Refusal, lane
from lab.search.proxy import calibrate
from lab.search.rank import Candidate, Limits, MetaLagrangianSearch, table

REASON = "the lane is new and three anchors of its parent stand beside it"


@pytest.fixture(scope="module")
def mini() -> Contract:
    """The embedded contract."""
    return contract.load("minidrive")


def anchors_of(mini: Contract, name: str = "implicit/w") -> list[Anchor]:
    made = []
    for err in (0.0, 0.2, 0.5, 1.5, 3.0):
        segnet, posenet, n_bytes = 4e-3 + 1e-3 * err, 1e-3 + 1e-3 * err**2, round(40_000 * math.exp(-err / 9))
        total = mini.score(segnet=segnet, posenet=posenet, archive_bytes=n_bytes).total
        made.append(
            Anchor(
                lane=name, label=f"e{err}", rel_err=err, archive_bytes=n_bytes, score=total, segnet=segnet,
                posenet=posenet,
            )
        )  # fmt: skip
    return made


def candidates(count: int, seed: int = 1) -> list[Candidate]:
    rng = random.Random(seed)
    return [
        Candidate(
            name=f"c{k:05d}", lane=rng.choice(["implicit/w", "implicit/unknown"]), rel_err=rng.uniform(-0.2, 5.0),
            archive_bytes=rng.randrange(15_000, 45_000), gate_passed=rng.random() < 0.9,
        )
        for k in range(count)
    ]  # fmt: skip


def test_refused_candidates_come_last_whatever_they_promise(mini: Contract) -> None:
    search = MetaLagrangianSearch(anchors=tuple(anchors_of(mini)), contract=mini)
    tempting = Candidate(name="a", lane="implicit/w", rel_err=9.0, archive_bytes=1_000, gate_passed=True)
    gated = Candidate(name="b", lane="implicit/w", rel_err=0.2, archive_bytes=39_000)
    plain = Candidate(name="z", lane="implicit/w", rel_err=0.3, archive_bytes=39_900, gate_passed=True)
    rows = search.rank([tempting, gated, plain])
    assert [row.candidate.name for row in rows] == ["z", "a", "b"]
    assert isinstance(rows[1].prediction, Refusal)
    assert isinstance(rows[2].prediction, Band)
    assert [row.candidate.name for row in search.top([tempting, gated, plain], 3)] == ["z"]
    told = table(rows)
    assert told[0]["place"] == 1
    assert told[1]["place"] == "-"
    assert told[1]["band"] == "refused: extrapolation"


def test_the_order_does_not_depend_on_the_order_of_asking(mini: Contract) -> None:
    search = MetaLagrangianSearch(anchors=tuple(anchors_of(mini)), contract=mini)
    some = candidates(400)
    first = [row.candidate.name for row in search.rank(some)]
    shuffled = random.Random(7).sample(some, len(some))
    mixed = MetaLagrangianSearch(anchors=tuple(reversed(anchors_of(mini))), contract=mini)
    assert [row.candidate.name for row in mixed.rank(shuffled)] == first


def test_a_dearer_limit_moves_what_exceeds_it_down(mini: Contract) -> None:
    few = Candidate(name="small", lane="implicit/w", rel_err=1.5, archive_bytes=30_000, gate_passed=True)
    many = Candidate(name="true", lane="implicit/w", rel_err=0.4, archive_bytes=39_600, gate_passed=True)
    free, dear = (
        MetaLagrangianSearch(
            anchors=tuple(anchors_of(mini)), contract=mini, limits=Limits(price_segnet=price, segnet=4.5e-3)
        )
        for price in (0.0, 1e4)
    )
    assert free.top([few, many], 2)[0].key < free.top([few, many], 2)[1].key
    assert dear.top([few, many], 2)[0].candidate.name == "true"


def question(mini: Contract, **changed: object) -> gates.Question:
    own = anchors_of(mini)
    ready = lane("implicit/w", own, mini, calibrate(own))
    candidate = Candidate(name="c", lane="implicit/w", rel_err=1.5, archive_bytes=39_900)
    asked = gates.Question(
        candidate=candidate, lane=ready, prediction=ready.band(1.5, 39_900), commands=("lab run x",),
        families=("implicit",),
    )  # fmt: skip
    return replace(asked, **changed)  # type: ignore[arg-type]


def failed(asked: gates.Question) -> list[str]:
    return [answer.check for answer in gates.ask(asked) if not answer.passed]


def test_a_sound_candidate_passes_all_five_checks(mini: Contract) -> None:
    answers = gates.ask(question(mini))
    assert [answer.says for answer in answers] == [""] * 5
    assert gates.verdict(answers) == gates.PASSED


def test_each_check_can_fail(mini: Contract) -> None:
    sound = question(mini)
    assert sound.lane is not None
    assert isinstance(sound.prediction, Band)
    few = lane("implicit/w", anchors_of(mini)[:2], mini)
    assert "anchors_sufficient" in failed(question(mini, lane=few))
    low = replace(sound.prediction, high=0.01)
    assert failed(question(mini, prediction=low)) == ["lossy_is_not_better_than_lossless"]
    assert failed(question(mini, lane=replace(sound.lane, proxy=None))) == ["proxy_was_asked"]
    assert failed(question(mini, commands=("cp /home/someone/x y",))) == ["nothing_local_is_sent"]
    assert failed(question(mini, families=("semantic",))) == ["lane_is_registered"]


def test_what_is_missing_is_a_refusal(mini: Contract) -> None:
    assert failed(question(mini, families=None)) == ["lane_is_registered"]
    assert failed(question(mini, commands=None)) == ["nothing_local_is_sent"]
    assert "lossy_is_not_better_than_lossless" in failed(question(mini, prediction=None))
    assert len(failed(question(mini, lane=None))) == 2
    assert gates.verdict(gates.ask(question(mini), ())) == gates.REFUSED
    assert gates.verdict([]) == gates.REFUSED

    def broken(_: gates.Question) -> str:
        raise OSError("the tool is gone")

    answers = gates.ask(question(mini), (broken,))
    assert "could not be checked" in answers[0].says
    assert gates.verdict(answers) == gates.REFUSED


def test_an_override_is_kept_with_its_reason(mini: Contract, tmp_path: Path) -> None:
    answers = gates.ask(question(mini, families=None))
    log = tmp_path / "overrides.jsonl"
    assert gates.verdict(answers) == gates.REFUSED
    with pytest.raises(SearchError, match="40 characters"):
        gates.verdict(answers, "because", log)
    with pytest.raises(SearchError, match="log"):
        gates.verdict(answers, REASON)
    assert not log.exists()
    for name in ("one", "two"):
        assert gates.verdict(answers, REASON, log, name) == gates.OVERRIDDEN
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [row["candidate"] for row in rows] == ["one", "two"]
    assert rows[0]["refused"].keys() == {"lane_is_registered"}
    assert gates.verdict(gates.ask(question(mini)), REASON, log) == gates.PASSED
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2
