"""A repack is a run like any other: made from a kept archive, decoded, measured, recorded under its parent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import toy_contract

from lab import archive, cli, contract, experiment, recipe, repack
from lab.contract import Contract
from lab.errors import DuplicateRun, LedgerError, RecipeError
from lab.experiment import Bench
from lab.ledger import Ledger, Run
from lab.search import loop
from lab.search.generate import repack_of
from lab.search.prospects import Asked, lane_of
from lab.search.subset import subset

TEXT = """
family = "filtered"
question = "what is there to pack anew?"
[params]
inner = "conventional/quickstart"
hidden = 8
view = "frame"
scheme = "int8-channel"
[params.inner_params]
crf = 40
[[stages]]
name = "fit"
steps = 6
batch_pairs = 2
lr = 0.02
quantize = true
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A ledger of six frames with one trained run."""
    root = tmp_path_factory.mktemp("repack")
    toy_contract(root / "ledgers")
    made = Bench(ledgers=root / "ledgers", cache=root / "cache", work=root / "work", root=Path(__file__).parents[1])
    experiment.run(recipe.parse(TEXT, "filtered/toy"), contract.load("toy", made.ledgers), made)
    return made


@pytest.fixture(scope="module")
def toy(bench: Bench) -> Contract:
    """The toy contract."""
    return contract.load("toy", bench.ledgers)


@pytest.fixture(scope="module")
def parent(bench: Bench, toy: Contract) -> Run:
    """The trained run."""
    return Ledger(bench.ledgers).runs(toy)[0]


def silent(stage: str, done: int, total: int) -> None:
    """No progress."""


def test_a_repack_is_recorded_with_its_parent_and_measured_from_its_own_archive(
    bench: Bench, toy: Contract, parent: Run
) -> None:
    asked = repack_of(parent, "int4")
    run, fresh = experiment.run(asked, toy, bench)
    assert fresh
    assert (run.parents, run.family, run.recipe) == ((parent.id,), "filtered", "filtered/toy-int4")
    assert run.data["recipe"]["params"] == {"repack": "int4", "repack_of": parent.id}
    assert "int4" in run.data["recipe"]["changed"]
    assert run.archive_bytes < parent.archive_bytes
    assert run.verdict == ("promoted" if run.total < parent.total else "rejected")
    assert run.data["custody"]["raw_sha256"] != parent.data["custody"]["raw_sha256"]
    assert experiment.run(asked, toy, bench, once=True) == (run, False)
    with pytest.raises(DuplicateRun):
        experiment.run(asked, toy, bench)
    seen = subset(asked, toy, bench, 2)
    assert (seen["pairs"], seen["grade"]) == (2, "empirical")
    assert seen["payload_bytes"] < run.archive_bytes


@pytest.mark.slow
def test_a_repack_on_record_is_repeated_to_the_byte(bench: Bench, toy: Contract, parent: Run) -> None:
    run, _ = experiment.run(repack_of(parent, "int4"), toy, bench, once=True)
    again = experiment.rerun(run.id, toy, bench)
    assert again["same_bytes"] and again["same_raw"] and again["same_runtime"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[params]\nrepack = "int4"\n', "repack_of"),
        ('[params]\nrepack = "int4"\nrepack_of = "x"\nhidden = 8\n', "no other parameter"),
        ('[params]\nrepack = 4\nrepack_of = "x"\n', "as texts"),
        ('[params]\nrepack = "int4"\nrepack_of = "x"\n[[stages]]\nsteps = 1\n', "trains nothing"),
    ],
)
def test_half_a_repack_is_no_recipe(text: str, says: str) -> None:
    head = 'family = "filtered"\nquestion = "what?"\nparent = "filtered/toy"\nchanged = "weights"\n'
    with pytest.raises(RecipeError, match=says):
        recipe.parse(head + text, "filtered/half")


def test_a_repack_without_its_run_or_archive_is_refused_and_nothing_is_recorded(
    bench: Bench, toy: Contract, parent: Run
) -> None:
    store = Ledger(bench.ledgers)
    before = [run.id for run in store.runs(toy)]
    good = repack_of(parent, "int5")
    for params, says in (
        ({"repack": "int5", "repack_of": "nobody"}, "nobody"),
        ({"repack": "int9", "repack_of": parent.id}, "int7, int6"),
    ):
        with pytest.raises((RecipeError, LedgerError), match=says):
            experiment.run(replace(good, params=params), toy, bench)
    with pytest.raises(RecipeError, match="filtered/other"):
        experiment.run(replace(good, parent="filtered/other"), toy, bench)
    with pytest.raises(RecipeError, match="family 'filtered'"):
        experiment.run(replace(good, family="implicit"), toy, bench)
    path = store.archive("toy", parent.data["custody"]["archive_sha256"])
    kept = path.read_bytes()
    try:
        path.write_bytes(kept[:-1])
        with pytest.raises(LedgerError, match="another"):
            repack.kept_payload(parent, store)
        path.unlink()
        with pytest.raises(LedgerError, match="keeps"):
            repack.kept_payload(parent, store)
    finally:
        path.write_bytes(kept)
    assert len(archive.parse(kept, "kept")) == 1
    assert [run.id for run in store.runs(toy)] == before


def test_a_search_of_repacks_refuses_until_it_has_anchors_and_beyond_them(
    bench: Bench, toy: Contract, parent: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recipes"
    verb = ["--ledgers", str(bench.ledgers), "search", "repack", parent.id, "--contract", "toy"]
    assert cli.main([*verb, "--recipes", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["repack"] for row in rows] == ["int7", "int6", "int5", "int4", "int3", "fp4"]
    root = recipe.load(str(folder / "toy-int7.toml"))
    assert root == replace(repack_of(parent, "int7"), text=root.text)
    assert lane_of(root) == f"filtered/weights of {parent.id}"
    asked = Asked(name="repacks", root=root, max_cycles=2, per_cycle=2, workers=1)
    experiment.run(repack_of(parent, "int4"), toy, bench, once=True)
    (dry,) = loop.run_loop(asked, toy, bench, spend=False, monitor=silent)
    assert {row["refused"] for row in dry.rows} == {"insufficient_anchors"}
    assert not any(row["chosen"] for row in dry.rows)
    experiment.run(repack_of(parent, "int7"), toy, bench, once=True)
    (dry,) = loop.run_loop(asked, toy, bench, spend=False, monitor=silent)
    rows = {row["candidate"]: row for row in dry.rows}
    assert set(rows) == {f"filtered/toy-{name}" for name in ("int6", "int5", "int3", "fp4")}
    refused = rows["filtered/toy-int3"]
    if "refused" in refused:  # where the toy's distortion grows with the error at all
        assert refused["refused"] in ("extrapolation", "curve_fit_non_monotone", "curve_fit_degenerate")
    assert not refused["chosen"]
