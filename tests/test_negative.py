"""Dead lanes refuse what falls into them, and only a full metric kills."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import cli, contract, hypotheses, negative
from lab.contract import Contract
from lab.errors import LedgerError, SchemaMismatch
from lab.ledger import Ledger

LEDGERS = Path(__file__).resolve().parents[1] / "ledgers"
REASON = "the pictures are coded on another grid than those of the record"
WORSE, BETTER = "av1-grid-crf30-bicubic-aef5f6a6", "av1-grid-crf30-nearest-chroma-9068dfed"
CONTROL = "av1-grid-crf30-06f5c5bd"


@pytest.fixture(scope="module")
def mini() -> Contract:
    """The embedded contract."""
    return contract.load("minidrive")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Three recorded runs with their evidence, and no lane."""
    store = Ledger(tmp_path)
    for name in (WORSE, BETTER, CONTROL, "x265-grid-crf30-slow-b831c1d7"):
        source = LEDGERS / "minidrive"
        (tmp_path / "minidrive" / "runs").mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "runs" / f"{name}.json", tmp_path / "minidrive" / "runs")
        shutil.copytree(source / "evidence" / name, tmp_path / "minidrive" / "evidence" / name)
    return store


def lane(**changed: Any) -> dict[str, Any]:
    return {
        "id": "up-samplers",
        "title": "bicubic",
        "tried": "bicubic in place of aligned",
        "family": "conventional",
        "scope": "configuration",
        "state": "dead",
        "mechanism": "it mixes neighbours into the blocks that the receivers read",
        "revive": "another grid",
        "config": {"up": "bicubic", "grid": "model"},
        "runs": [WORSE],
        **changed,
    }


def test_a_dead_configuration_refuses_unless_something_is_new(mini: Contract, ledger: Ledger) -> None:
    negative.bury(lane(), mini, ledger)
    lanes = negative.load(ledger.root)
    inside = {"up": "bicubic", "grid": "model", "crf": 12}
    assert negative.check(lanes, "minidrive", "conventional", inside).code == negative.REFUSED
    assert negative.check(lanes, "minidrive", "conventional", {**inside, "grid": "camera"}).code == negative.CLEAR
    assert negative.check(lanes, "minidrive", "filtered", inside).code == negative.CLEAR
    assert negative.check(lanes, "dash", "conventional", inside).code == negative.CLEAR
    answer = negative.check(lanes, "minidrive", "conventional", inside, REASON)
    assert answer.code == negative.OVERRIDDEN
    log = negative.keep_override(ledger.root, "conventional/again", answer)
    assert json.loads(log.read_text()) == {
        "candidate": "conventional/again",
        "lanes": ["up-samplers"],
        "reason": REASON,
    }
    with pytest.raises(LedgerError, match="40"):
        negative.check(lanes, "minidrive", "conventional", inside, "because")


def test_a_dead_family_refuses_whatever_is_new(mini: Contract, ledger: Ledger) -> None:
    negative.bury(lane(scope="family", config={}), mini, ledger)
    lanes = negative.load(ledger.root)
    assert negative.check(lanes, "minidrive", "conventional", {"crf": 1}, REASON).code == negative.REFUSED


def test_a_parked_lane_refuses_nothing(mini: Contract, ledger: Ledger) -> None:
    negative.bury(lane(state="parked"), mini, ledger)
    answer = negative.check(negative.load(ledger.root), "minidrive", "conventional", {"up": "bicubic", "grid": "model"})
    assert (answer.code, [item.id for item in answer.lanes]) == (negative.CLEAR, ["up-samplers"])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"runs": [BETTER], "config": {"chroma": "nearest"}}, "above"),
        ({"config": {"up": "lanczos"}}, "lies in the lane"),
        ({"runs": ["no-such-run"]}, "one record"),
        ({"mechanism": "worse"}, "mechanism"),
        ({"config": {}}, "config"),
        ({"scope": "universe"}, "scope"),
        ({"revive": " "}, "revive"),
        ({"id": "../up"}, "id"),
    ],
)
def test_a_lane_is_buried_only_on_runs_that_bear_it(
    mini: Contract, ledger: Ledger, changed: dict[str, Any], says: str
) -> None:
    with pytest.raises(LedgerError, match=says):
        negative.bury(lane(**changed), mini, ledger)
    assert negative.load(ledger.root) == []


def test_a_run_of_few_pairs_never_kills(mini: Contract, ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="subset never kills"):
        run = ledger.get(mini, WORSE)
        few = {**run.data, "evaluation": {**run.data["evaluation"], "n_pairs": 8}}
        negative._bears(replace(run, data=few), ledger.get(mini, CONTROL), lane(), mini, "here")


def test_figures_of_a_lane_come_from_the_ledger(mini: Contract, ledger: Ledger) -> None:
    negative.bury(lane(numbers={"total": 0.1}, grade="A++"), mini, ledger)
    (found,) = negative.load(ledger.root)
    told = found.numbers[WORSE]
    assert told["above_control"] == ledger.get(mini, WORSE).total - ledger.get(mini, CONTROL).total
    assert (found.grade, found.control) == ("A-negative", (CONTROL,))


def test_bounds_lists_and_defaults() -> None:
    assert negative.fits(8, {"at_least": 8})
    assert not negative.fits(None, {"at_least": 8})
    assert not negative.fits(True, {"at_least": 0})
    assert negative.fits(None, {"at_most": 0, "default": 0})
    assert not negative.fits(1, {"at_most": 0, "default": 0})
    assert negative.fits("b", ["a", "b"])
    assert not negative.fits(1, True)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "lab.negative/1"}', '{"schema": "other"}'])
def test_a_cache_that_cannot_be_read_clears_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "negative").mkdir()
    (tmp_path / "negative" / "one.json").write_text(text, encoding="utf-8")
    with pytest.raises(LedgerError, match="negative/one"):
        negative.load(tmp_path)


def test_every_lane_of_this_ledger_still_bears_its_claim(mini: Contract) -> None:
    store = Ledger(LEDGERS)
    lanes = negative.load(LEDGERS)
    assert sum(lane.state == "dead" for lane in lanes) >= 6
    for found in lanes:
        for identifier in found.runs:
            run = store.get(mini, identifier)
            control = store.get(mini, run.parents[0])
            assert found.numbers[identifier]["total"] == run.total
            assert found.numbers[identifier]["above_control"] == run.total - control.total
            if found.state == "dead":
                assert run.total > control.total
                assert found.covers(run.family, run.data["recipe"]["params"])
                assert not found.covers(control.family, control.data["recipe"]["params"])


def hypothesis(ledger: Ledger, mini: Contract, **changed: Any) -> hypotheses.Hypothesis:
    table = {
        "id": "finer-chroma",
        "family": "conventional",
        "contract": "minidrive",
        "question": "is it better?",
        "changed": "chroma",
        "control": CONTROL,
        "smallest_test": "four pairs",
        "recipe": "conventional/finer",
        "recipe_text": "family = 'conventional'",
        "recipe_sha256": "0" * 64,
        "params": {"up": "aligned"},
        "config": {"up": "bicubic", "grid": "model"},
        "gates": [
            {"rung": "smoke", "metric": "rel_err", "at_most": 30.0, "pairs": 4},
            {"rung": "eight", "metric": "total", "at_most": 6.0, "pairs": 8},
            {"rung": "full"},
        ],
        **changed,
    }
    return hypotheses.open_(table, mini, ledger)


def climbed(found: hypotheses.Hypothesis, ledger: Ledger, **totals: float) -> hypotheses.Hypothesis:
    for rung, value in totals.items():
        metric = "rel_err" if rung == "smoke" else "total"
        more = {"run": WORSE} if rung == "full" else {}
        found = hypotheses.climb(found, {"rung": rung, metric: value, **more}, ledger.root)
    return found


SAID = {"mechanism": "it mixes neighbours into the blocks that are read", "revive_if": "another grid"}


def test_gates_stand_before_anything_is_measured(mini: Contract, ledger: Ledger) -> None:
    found = hypothesis(ledger, mini)
    assert found.gates[-1].at_most == ledger.get(mini, CONTROL).total
    assert found.state == "open"
    opening = ledger.root / "hypotheses" / found.id / "opening.json"
    before = opening.read_bytes()
    with pytest.raises(LedgerError, match="free id"):
        hypothesis(ledger, mini, question="is it better now that I know?")
    with pytest.raises(LedgerError, match="smoke"):
        climbed(found, ledger, eight=5.0)
    after = climbed(found, ledger, smoke=12.0)
    assert (after.next_gate and after.next_gate.rung) == "eight"
    assert opening.read_bytes() == before


def test_a_subset_parks_and_never_kills(mini: Contract, ledger: Ledger) -> None:
    found = climbed(hypothesis(ledger, mini), ledger, smoke=12.0, eight=6.5)
    assert found.state == "stopped"
    with pytest.raises(LedgerError, match="never kills"):
        hypotheses.decide(found, "dead", mini, ledger, **SAID)
    with pytest.raises(LedgerError, match="nothing more"):
        climbed(found, ledger, full=9.0)
    assert hypotheses.decide(found, "parked", mini, ledger, **SAID).state == "parked"
    (parked,) = negative.load(ledger.root)
    assert (parked.state, parked.revive) == ("parked", "another grid")
    assert negative.check([parked], "minidrive", "conventional", {"up": "bicubic", "grid": "model"}).code == 0


def test_a_full_run_that_failed_its_gate_kills_with_a_mechanism(mini: Contract, ledger: Ledger) -> None:
    total = ledger.get(mini, WORSE).total
    found = climbed(hypothesis(ledger, mini), ledger, smoke=12.0, eight=5.5, full=total)
    with pytest.raises(LedgerError, match="passed its gate"):
        hypotheses.decide(found, "kept", mini, ledger, **SAID)
    with pytest.raises(LedgerError, match="mechanism"):
        hypotheses.decide(found, "dead", mini, ledger, mechanism="worse", revive_if="x")
    assert hypotheses.decide(found, "dead", mini, ledger, **SAID).state == "dead"
    with pytest.raises(LedgerError, match="lane that is not dead"):
        hypothesis(ledger, mini, id="again", params={"up": "bicubic", "grid": "model"})
    again = hypothesis(ledger, mini, id="again", params={"up": "bicubic", "grid": "model"}, novelty=REASON)
    assert again.novelty == REASON
    assert (ledger.root / "negative" / "overrides.jsonl").is_file()


def test_what_passes_every_rung_is_kept(mini: Contract, ledger: Ledger) -> None:
    found = climbed(hypothesis(ledger, mini), ledger, smoke=12.0, eight=5.5, full=5.0)
    assert found.state == "measured"
    assert hypotheses.decide(found, "kept", mini, ledger, **SAID).state == "kept"
    assert negative.load(ledger.root) == []


@pytest.mark.parametrize(
    "gates",
    [
        [{"rung": "full"}],
        [{"rung": "smoke", "metric": "total", "at_most": 1.0, "pairs": 4}],
        [{"rung": "smoke", "metric": "luck", "at_most": 1.0, "pairs": 4}, {"rung": "full"}],
        [{"rung": "smoke", "metric": "total", "at_most": 1.0}, {"rung": "full"}],
        [
            {"rung": "smoke", "metric": "total", "at_most": 1.0, "pairs": 4},
            {"rung": "large", "metric": "total", "at_most": 1.0, "pairs": 64},
            {"rung": "small", "metric": "total", "at_most": 1.0, "pairs": 8},
            {"rung": "full"},
        ],
    ],
)
def test_gates_are_a_ladder(mini: Contract, ledger: Ledger, gates: list[dict[str, Any]]) -> None:
    with pytest.raises(SchemaMismatch):
        hypothesis(ledger, mini, gates=gates)


def test_the_verb_answers_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    verb = ["--ledgers", str(LEDGERS), "negative", "check", "conventional"]
    assert cli.main([*verb, "grid=model", "up=bicubic"]) == 64
    assert "revive if" in capsys.readouterr().out
    assert cli.main([*verb, "grid=model", "up=aligned"]) == 0
    assert cli.main(["--ledgers", str(LEDGERS), "negative", "list", "--json"]) == 0
