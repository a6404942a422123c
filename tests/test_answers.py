"""What SegNet answered is kept beside a run only if it is what the record says, and can be read without our code."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from fakes import toy_contract
from PIL import Image

from lab import answers, experiment, recipe
from lab.contract import Contract
from lab.errors import DuplicateRun, ReplayError
from lab.experiment import Bench
from lab.ledger import Ledger, Run

RECIPE = """
family = "conventional"
question = "toy"
[params]
encoder = "svt-av1"
grid = "model"
down = "aligned"
up = "aligned"
crf = 40
preset = "8"
gop = 6
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Contract, Bench]:
    root = tmp_path_factory.mktemp("house")
    bench = Bench(ledgers=root / "ledgers", cache=root / "cache", work=root / "work", root=Path(__file__).parents[1])
    toy = toy_contract(root / "ledgers")
    run, _ = experiment.run(recipe.parse(RECIPE, "conventional/toy"), toy, bench)
    return run, toy, bench


def read(path: Path, toy: Contract) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(source classes, decode classes, do they differ) of every pair, from the colours alone."""
    height, width = toy.model_size
    colours = np.asarray(Image.open(path).convert("RGB")).astype(int)
    cells = colours.reshape(colours.shape[0] // height, height, colours.shape[1] // width, width, 3)
    pairs = cells.swapaxes(1, 2).reshape(-1, height, width, 3)[: toy.n_pairs]
    return pairs[..., 2] // 40, pairs[..., 0] // 40, pairs[..., 1] > 130


def test_the_picture_gives_the_distortion_on_record_for_every_pair(recorded: tuple[Run, Contract, Bench]) -> None:
    run, toy, bench = recorded
    kept = answers.keep(run.id, toy, bench)
    source, decode, differs = read(kept, toy)
    assert np.array_equal(source != decode, differs)
    rows = csv.DictReader(io.StringIO((kept.parent / "pairs.csv").read_text()))
    assert [float(row["segnet"]) for row in rows] == differs.reshape(toy.n_pairs, -1).mean(axis=1).tolist()
    assert differs.any()
    with pytest.raises(DuplicateRun):
        answers.keep(run.id, toy, bench)


def test_maps_that_are_not_those_on_record_are_not_kept(recorded: tuple[Run, Contract, Bench], tmp_path: Path) -> None:
    run, toy, bench = recorded
    folder = Ledger(bench.ledgers).evidence("toy", run.id)
    (folder / "answers.png").unlink(missing_ok=True)
    pairs = folder / "pairs.csv"
    before = pairs.read_text()
    pairs.write_text(before.replace("0,", "0,1", 1))
    with pytest.raises(ReplayError, match="another SegNet distortion in 1 pairs"):
        answers.keep(run.id, toy, bench)
    pairs.write_text(before)
    assert not (folder / "answers.png").exists()


def test_a_sheet_refuses_more_classes_than_its_colours_can_say() -> None:
    maps = np.full((3, 4, 5), answers.CLASS_LIMIT, np.uint8)
    with pytest.raises(ValueError, match="at most 6 classes"):
        answers.sheet(maps, maps)
