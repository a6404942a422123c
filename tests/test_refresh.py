"""When a contract changes, its records stop ranking, are recorded again parents first, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import toy_contract
from safetensors.torch import load_file, save_file

from lab import audit, cli, contract, custody, experiment, ledger, recipe, refresh
from lab.contract import Contract
from lab.errors import RecipeError
from lab.experiment import Bench
from lab.ledger import Ledger, Run

TEXT = """
family = "conventional"
question = "does it outlast its contract?"
{parent}
[params]
encoder = "svt-av1"
grid = "model"
down = "aligned"
up = "aligned"
crf = {crf}
preset = "8"
gop = 6
"""


def asked(crf: int, parent: int | None = None) -> recipe.Recipe:
    link = f'parent = "conventional/crf{parent}"\nchanged = "crf {parent} to {crf}"' if parent else ""
    return recipe.parse(TEXT.format(crf=crf, parent=link), f"conventional/crf{crf}")


def refrozen(root: Path) -> Contract:
    """The toy contract with another pose network, as a new training would leave it."""
    folder = root / "toy"
    weights = folder / "posenet.safetensors"
    before = custody.sha256_file(weights)
    save_file({name: value * 1.5 for name, value in load_file(weights).items()}, weights)
    text = (folder / "contract.toml").read_text(encoding="utf-8")
    (folder / "contract.toml").write_text(text.replace(before, custody.sha256_file(weights)), encoding="utf-8")
    return contract.load("toy", root)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A ledger with three runs, the second a child of the first, the third of the second."""
    toy_contract(tmp_path / "ledgers")
    made = Bench(
        ledgers=tmp_path / "ledgers", cache=tmp_path / "cache", work=tmp_path / "work", root=Path(__file__).parents[1]
    )
    toy = contract.load("toy", made.ledgers)
    for crf, parent in ((40, None), (50, 40), (58, 50)):
        experiment.run(asked(crf, parent), toy, made)
    return made


def runs(bench: Bench, under: Contract) -> dict[str, Run]:
    return {run.recipe: run for run in ledger.current(Ledger(bench.ledgers).runs(under))}


def test_a_changed_contract_takes_the_rank_of_its_records_and_a_refresh_gives_it_back(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    before = runs(bench, contract.load("toy", bench.ledgers))
    assert ledger.frontier(list(before.values()), "cpu") is not None
    toy = refrozen(bench.ledgers)
    stale = runs(bench, toy)
    assert {run.grade for run in stale.values()} == {"empirical"}
    assert "another state of the contract" in stale["conventional/crf40"].data["grade_reasons"][0]
    assert ledger.frontier(list(stale.values()), "cpu") is None
    assert audit.verify(bench.ledgers).findings == ()
    with pytest.raises(RecipeError, match="earlier state of the contract"):
        experiment.run(asked(50, 40), toy, bench)

    outcomes = list(refresh.refresh(toy, bench, workers=2))
    assert [outcome.why for outcome in outcomes] == ["", "", ""]
    after = runs(bench, toy)
    assert after.keys() == before.keys()
    for name, run in after.items():
        assert run.data["supersedes"] == before[name].id
        assert run.grade in ("A", "A-negative")
        assert run.data["custody"]["archive_sha256"] == before[name].data["custody"]["archive_sha256"]
        assert run.data["evaluation"]["posenet"] != before[name].data["evaluation"]["posenet"]
    assert after["conventional/crf58"].parents == (after["conventional/crf50"].id,)
    assert len(Ledger(bench.ledgers).runs(toy)) == 6
    assert audit.verify(bench.ledgers).findings == ()

    assert list(refresh.refresh(toy, bench)) == []
    assert cli.main(["--ledgers", str(bench.ledgers), "refresh", "--contract", "toy", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("0 runs")


def test_a_run_under_a_changed_contract_supersedes_the_outdated_record_of_its_recipe(bench: Bench) -> None:
    before = runs(bench, contract.load("toy", bench.ledgers))
    fresh, is_new = experiment.run(asked(40), refrozen(bench.ledgers), bench, once=True)
    assert is_new
    assert fresh.data["supersedes"] == before["conventional/crf40"].id


def test_what_depends_on_a_run_that_fails_is_told_and_the_rest_goes_on(bench: Bench) -> None:
    toy = refrozen(bench.ledgers)
    kept = bench.ledgers / "toy" / "evidence" / runs(bench, toy)["conventional/crf50"].id / "recipe.toml"
    kept.write_text(kept.read_text(encoding="utf-8").replace('preset = "8"', 'preset = "80"'), encoding="utf-8")
    outcomes = {outcome.outdated.rpartition("-")[0]: outcome for outcome in refresh.refresh(toy, bench)}
    assert outcomes["crf40"].run is not None
    assert "preset" in outcomes["crf50"].why
    assert "its parent conventional/crf50" in outcomes["crf58"].why


def test_a_dry_run_lists_parents_first(bench: Bench) -> None:
    planned = refresh.plan(refrozen(bench.ledgers), Ledger(bench.ledgers))
    assert [recipe_.name for _, recipe_ in planned] == [f"conventional/crf{crf}" for crf in (40, 50, 58)]
    assert refresh.plan(replace(contract.load("toy", bench.ledgers)), Ledger(bench.ledgers), "implicit") == []
