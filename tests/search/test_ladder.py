"""A hypothesis climbs by the verbs alone: a probe, a subset asked of both networks, a run on record, a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import toy_contract

from lab import cli, experiment, hypotheses, negative, recipe
from lab.experiment import Bench
from lab.ledger import Ledger

RECIPE = """
family = "conventional"
question = "is a coarser quantizer better?"
parent = "conventional/control"
changed = "CRF 20 to 51"
[params]
encoder = "x264"
grid = "model"
down = "aligned"
up = "aligned"
crf = 51
preset = "ultrafast"
"""
HYPOTHESIS = """
id = "coarser-quantizer"
question = "is a coarser quantizer better?"
changed = "the quantizer alone"
control = "{control}"
smallest_test = "one pair"
recipe = "coarse.toml"
scope = "configuration"
config = {{ encoder = "x264", crf = {{ at_least = 51 }} }}
[[gates]]
rung = "smoke"
metric = "rel_err"
at_most = 1000.0
pairs = 1
[[gates]]
rung = "two"
metric = "total"
at_most = 1e9
pairs = 2
[[gates]]
rung = "full"
at_most = 1e-6
"""


def test_a_hypothesis_goes_from_question_to_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledgers = tmp_path / "ledgers"
    toy = toy_contract(ledgers)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    bench = Bench(ledgers=ledgers, cache=tmp_path / "cache", work=tmp_path / "cache" / "work", root=Path.cwd())
    text = RECIPE.replace("crf = 51", "crf = 20").replace('parent = "conventional/control"\n', "")
    control, _ = experiment.run(recipe.parse(text, "conventional/control"), toy, bench)
    (tmp_path / "coarse.toml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "asked.toml").write_text(HYPOTHESIS.format(control=control.id), encoding="utf-8")
    verb = ["--ledgers", str(ledgers), "negative"]
    assert cli.main([*verb, "open", str(tmp_path / "asked.toml"), "--contract", "toy"]) == 0
    assert cli.main([*verb, "step", "coarser-quantizer"]) == 0
    assert cli.main([*verb, "step", "coarser-quantizer"]) == 0
    assert len(Ledger(ledgers).runs(toy)) == 1  # a probe and a subset are no runs
    assert cli.main([*verb, "step", "coarser-quantizer"]) == 1  # the full run failed its gate
    found = hypotheses.read(ledgers, "coarser-quantizer")
    run = Ledger(ledgers).get(toy, str(found.steps["full"]["run"]))
    assert found.steps["full"]["total"] == run.total
    assert found.steps["two"]["grade"] == "empirical"
    assert found.steps["two"]["pairs"] == 2
    assert found.state == "stopped"
    said = ["--mechanism", "three pairs do not pay for what the quantizer takes away", "--revive-if", "a longer clip"]
    status = cli.main([*verb, "verdict", "coarser-quantizer", "dead", *said])
    assert status == (0 if run.total > control.total else 1)
    if status:  # a run that is better than its control cannot bury its lane, whatever gate it failed
        assert negative.load(ledgers) == []
        assert "above" in capsys.readouterr().err
    else:
        (lane,) = negative.load(ledgers)
        assert (lane.state, lane.runs, lane.hypothesis) == ("dead", (run.id,), "coarser-quantizer")
    assert cli.main(["--ledgers", str(ledgers), "status"]) == 0
