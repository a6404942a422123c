"""The loop on a contract of six frames: predictions are written before their runs, and nothing is run twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import toy_contract

from lab import cli, contract, experiment, negative, recipe
from lab.contract import Contract
from lab.errors import LedgerError, SearchError
from lab.experiment import Bench
from lab.ledger import Ledger
from lab.search import loop
from lab.search.dispatch import Job, Outcome
from lab.search.generate import neighbourhood, variant
from lab.search.harvest import harvest
from lab.search.loop import Cycle, run_loop
from lab.search.probe import probe
from lab.search.prospects import Asked

TEXT = """
family = "conventional"
question = "where does the search begin?"
[params]
encoder = "svt-av1"
grid = "model"
down = "aligned"
up = "aligned"
crf = {crf}
preset = "9"
"""


def silent(stage: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A ledger with three measured recipes of one lane."""
    root = tmp_path_factory.mktemp("search")
    toy_contract(root / "ledgers")
    made = Bench(ledgers=root / "ledgers", cache=root / "cache", work=root / "work", root=Path(__file__).parents[2])
    toy = contract.load("toy", made.ledgers)
    for crf in (20, 35, 50):
        experiment.run(root_recipe(crf), toy, made)
    return made


@pytest.fixture(scope="module")
def toy(bench: Bench) -> Contract:
    """The toy contract."""
    return contract.load("toy", bench.ledgers)


def root_recipe(crf: int = 35) -> recipe.Recipe:
    return recipe.parse(TEXT.format(crf=crf), f"conventional/toy{crf}")


def cycles(bench: Bench, toy: Contract, *, spend: bool = True, **changed: object) -> list[Cycle]:
    asked = Asked(name="toy-search", root=root_recipe(), max_cycles=2, per_cycle=2, workers=1)
    return list(run_loop(replace(asked, **changed), toy, bench, spend=spend, monitor=silent))  # type: ignore[arg-type]


def test_a_neighbour_changes_one_parameter_and_says_which() -> None:
    base = root_recipe()
    near = list(neighbourhood(base, base))
    assert len({found.digest for found in near}) == len(near) > 8
    for found in near:
        assert found.parent == base.name
        differs = [key for key in {**base.params, **found.params} if base.params.get(key) != found.params.get(key)]
        assert len(differs) == 1
        assert found.changed.startswith(differs[0])
    again = variant(variant(base, base, {"crf": 37}), base, {"preset": "8"})
    assert again.name == "conventional/near-crf37-preset8"
    assert again.params == {**base.params, "crf": 37, "preset": "8"}
    with pytest.raises(SearchError, match="conventional"):
        list(neighbourhood(replace(base, family="semantic_tto"), base))


def test_a_probe_is_taken_once_and_grows_with_the_quantizer(bench: Bench, toy: Contract) -> None:
    fine, coarse = (probe(root_recipe(crf), toy, bench) for crf in (20, 50))
    assert 0.0 < fine.rel_err < coarse.rel_err
    assert 0.0 < fine.error < coarse.error
    assert fine.n_bytes > coarse.n_bytes
    assert probe(root_recipe(20), toy, bench) == fine


def test_a_dry_loop_runs_nothing_and_writes_nothing(bench: Bench, toy: Contract) -> None:
    before = {path.name for path in (bench.ledgers / "toy" / "runs").iterdir()}
    (cycle,) = cycles(bench, toy, spend=False)
    assert sum(row["chosen"] for row in cycle.rows) == 2
    assert {path.name for path in (bench.ledgers / "toy" / "runs").iterdir()} == before
    assert not (bench.ledgers / "searches").exists()


def test_a_loop_runs_what_it_chose_and_keeps_predictions_beside_outcomes(
    bench: Bench, toy: Contract, capsys: pytest.CaptureFixture[str]
) -> None:
    done = cycles(bench, toy)
    assert [cycle.number for cycle in done] == [1, 2]
    for cycle in done:
        chosen = [row for row in cycle.rows if row["chosen"]]
        assert 1 <= len(chosen) <= 2
        assert all("error" not in row and row["probe_error"] > 0.0 for row in cycle.rows)
        for row in chosen:
            run = Ledger(bench.ledgers).get(toy, row["run"])
            assert row["total"] == run.total
            assert row["in_band"] == (row["low"] <= run.total <= row["high"])
            assert run.data["recipe"]["changed"]
        assert cycle.spent_s > 0
        assert json.loads((bench.ledgers / "searches" / "toy-search.json").read_text())["pending"] == []
        assert cycle.total_after <= cycle.total_before
        assert all("low" in row or row["refused"] for row in cycle.rows)
    names = [row["candidate"] for cycle in done for row in cycle.rows if row["chosen"]]
    assert len(set(names)) == len(names)

    journal = bench.ledgers / "searches" / "toy-search.json"
    before, runs = journal.read_bytes(), len(Ledger(bench.ledgers).runs(toy))
    assert cycles(bench, toy) == done  # resumed: everything is in the journal
    assert journal.read_bytes() == before
    assert len(Ledger(bench.ledgers).runs(toy)) == runs
    with pytest.raises(SearchError, match="another --name"):
        cycles(bench, toy, root=replace(root_recipe(), params={**root_recipe().params, "grid": "camera"}))

    recipe_file = bench.ledgers.parent / "toy35.toml"
    recipe_file.write_text(root_recipe().text, encoding="utf-8")
    status = cli.main(
        ["--ledgers", str(bench.ledgers), "search", "rank", str(recipe_file), "--contract", "toy", "--json"]
    )
    assert status == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["chosen"] in ("yes", "") for row in rows)


def test_what_falls_into_a_dead_lane_is_not_chosen(bench: Bench, toy: Contract) -> None:
    table = {
        "schema": negative.SCHEMA,
        "id": "up-samplers",
        "title": "bicubic",
        "tried": "bicubic",
        "family": "conventional",
        "contract": "toy",
        "grade": "A-negative",
        "basis": "a test",
        "scope": "configuration",
        "state": "dead",
        "mechanism": "it mixes neighbours into the blocks that are read",
        "revive": "another grid",
        "config": {"up": "bicubic"},
        "numbers": {},
    }
    path = bench.ledgers / "negative" / "up-samplers.json"
    path.parent.mkdir()
    try:
        path.write_text(json.dumps(table), encoding="utf-8")
        (cycle,) = cycles(bench, toy, name="lanes", spend=False, per_cycle=40)
        (dead,) = [row for row in cycle.rows if row.get("lanes")]
        assert "bicubic" in dead["candidate"]
        assert (dead["chosen"], dead["gate_passed"]) == (False, False)
        assert "another grid" not in dead["lane_says"] and "mixes neighbours" in dead["lane_says"]
        reason = "the toy's networks have other taps than those of the record"
        (cycle,) = cycles(bench, toy, name="lanes", spend=False, per_cycle=40, novelty=reason)
        (again,) = [row for row in cycle.rows if row.get("lanes")]
        assert (again["gate_passed"], again["novelty"]) == (True, reason)
        path.write_text(json.dumps({**table, "state": "parked"}), encoding="utf-8")
        (cycle,) = cycles(bench, toy, name="lanes", spend=False, per_cycle=40)
        eligible = [row for row in cycle.rows if row["chosen"]]
        assert eligible[-1].get("lanes") == ["up-samplers"]
        path.write_text("{", encoding="utf-8")
        with pytest.raises(LedgerError, match="negative/up-samplers"):
            cycles(bench, toy, name="lanes", spend=False)
    finally:
        path.unlink()


def test_a_cap_ends_what_is_chosen(bench: Bench, toy: Contract) -> None:
    (cycle,) = cycles(bench, toy, name="capped", max_cost_per_cycle_s=1.0)
    assert not any(row["chosen"] for row in cycle.rows)


@pytest.mark.parametrize("damage", ["digest", "components", "nothing"])
def test_only_what_closes_is_harvested(bench: Bench, toy: Contract, damage: str) -> None:
    store = Ledger(bench.ledgers)
    run = store.runs(toy)[0]
    path = store.evidence("toy", run.id) / "evaluation.json"
    kept = path.read_bytes()
    assert harvest(store, toy, run.id, axis="cpu").total == run.total
    with pytest.raises(SearchError, match="axis cuda"):
        harvest(store, toy, run.id, axis="cuda")
    table = json.loads(kept)
    try:
        if damage == "digest":
            table["custody"]["archive_sha256"] = "0" * 64
        elif damage == "components":
            table["evaluation"]["segnet"] += 1e-7
        path.write_text(json.dumps(table) if damage != "nothing" else "{", encoding="utf-8")
        with pytest.raises(SearchError, match="harvest of"):
            harvest(store, toy, run.id, axis="cpu")
    finally:
        path.write_bytes(kept)


def test_predictions_are_on_disk_before_any_of_their_runs(
    bench: Bench, toy: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = bench.ledgers / "searches" / "early.json"

    def stopped(jobs: list[Job], *_: object, **__: object) -> list[Outcome]:
        table = json.loads(journal.read_text(encoding="utf-8"))
        assert table["cycles"] == []
        chosen = {row["candidate"] for row in table["pending"] if row["chosen"] and "low" in row}
        assert chosen == {job.name for job in jobs}
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "dispatch", stopped)
    with pytest.raises(KeyboardInterrupt):
        cycles(bench, toy, name="early")
    assert journal.is_file()
