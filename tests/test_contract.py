"""Contracts: one formula, strict reading, clear refusals."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lab import contract
from lab.contract import Formula
from lab.errors import ContractError

TEXT = """
name = "toy"
title = "a toy"
kind = "own"
frame_size = [48, 64]
model_size = [16, 24]
n_pairs = 2
classes = ["road", "car"]
time_limit_s = 60
[source]
file = "0.mkv"
sha256 = "00"
bytes = 1000
n_frames = 4
fps = "20/1"
[networks.segnet]
factory = "m:f"
weights = "segnet.safetensors"
sha256 = "11"
[networks.posenet]
factory = "m:f"
weights = "minidrive:posenet.safetensors"
sha256 = "22"
[formula]
segnet = 100
posenet = 10
rate = 25
"""


def test_the_formula_gives_a_published_reference_row() -> None:
    """A public row: components and bytes of an entry whose score was printed as 0.195."""
    score = Formula(segnet=100.0, posenet=10.0, rate=25.0).score(
        segnet=0.000575697, posenet=0.000033274, archive_bytes=178_981, source_bytes=37_545_489
    )
    assert round(score.total, 3) == 0.195
    assert score.total == score.segnet_term + score.posenet_term + score.rate_term
    assert math.isclose(score.posenet_term**2, 10 * 0.000033274)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1e-9])
def test_components_that_are_no_measurement_give_no_score(bad: float) -> None:
    formula = Formula(segnet=100.0, posenet=10.0, rate=25.0)
    for components in ({"segnet": bad, "posenet": 0.0}, {"segnet": 0.0, "posenet": bad}):
        with pytest.raises(ValueError, match="finite"):
            formula.score(**components, archive_bytes=1, source_bytes=1)


def test_a_contract_reads_and_knows_its_raw_size() -> None:
    toy = contract.parse(TEXT, Path("somewhere"), "toy")
    assert toy.raw_bytes == 2 * 2 * 48 * 64 * 3
    assert toy.weights_path("segnet") == Path("somewhere/segnet.safetensors")
    assert toy.weights_path("posenet") == contract.SHIPPED / "minidrive" / "posenet.safetensors"
    assert toy.source.rate == 20


def test_the_digest_counts_what_is_fixed_and_nothing_else() -> None:
    toy = contract.parse(TEXT, Path("a"), "toy")
    moved = contract.parse(TEXT.replace('"a toy"', '"another title"'), Path("b"), "toy")
    shorter = contract.parse(TEXT.replace("n_pairs = 2", "n_pairs = 1"), Path("a"), "toy")
    assert toy.digest == moved.digest
    assert toy.digest != shorter.digest


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("[formula]", "[other]"), "formula"),
        (("frame_size = [48, 64]", "frame_size = [8, 8]"), "model grid"),
        (("n_pairs = 2", "n_pairs = 0"), "pairs"),
        (("bytes = 1000", "bytes = 0"), "byte"),
        (("name = ", "name "), "TOML"),
        (('sha256 = "00"', 'sha256 = "00"\nextra = 1'), "extra"),
    ],
)
def test_a_broken_contract_is_refused_by_name(change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        contract.parse(TEXT.replace(*change), Path(), "contract 'toy'")


def test_an_unknown_contract_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"lab contract new"):
        contract.load("nowhere", tmp_path)


def test_a_contract_of_ones_own_is_found_under_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "contract.toml").write_text(TEXT)
    assert contract.load("toy", tmp_path).root == tmp_path / "toy"
    assert "toy" in contract.names(tmp_path)


def test_no_contract_is_reached_by_a_path(tmp_path: Path) -> None:
    (tmp_path / "contract.toml").write_text(TEXT)
    (tmp_path / "ledgers").mkdir()
    with pytest.raises(ContractError):
        contract.load("..", tmp_path / "ledgers")
