"""Repacks are payloads that the family's decoder reads, coarser in the order of their bits, exact in all else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab import contract, repack
from lab.codecs import repacks
from lab.codecs.filtered import format as filtered
from lab.codecs.filtered.decode import filter_of
from lab.codecs.implicit import format as implicit
from lab.codecs.semantic import format as semantic
from lab.errors import BitstreamError, RecipeError
from lab.ledger import Ledger

LEDGERS = Path(__file__).resolve().parents[2] / "ledgers"


def payload_of(identifier: str) -> bytes:
    store = Ledger(LEDGERS)
    return repack.kept_payload(store.get(contract.load("minidrive"), identifier), store)


def integers_of(made: list[repacks.Repack]) -> list[repacks.Repack]:
    """The repacks on integers, checked to grow coarser and smaller as their bits go down."""
    found = [item for item in made if item.name.startswith("int")]
    assert [item.name for item in found] == ["int7", "int6", "int5", "int4", "int3"]
    errors, sizes = [item.rel_err for item in found], [len(item.payload) for item in found]
    assert errors == sorted(errors) and errors[0] > 0.0
    assert sizes == sorted(sizes, reverse=True)
    return found


def test_implicit_repacks_shrink_with_their_bits_and_are_read_back() -> None:
    base = payload_of("field-flip")
    made = list(repacks.repacks(base, "implicit"))
    for bits, item in zip((7, 6, 5, 4, 3), integers_of(made), strict=True):
        content = implicit.read(item.payload)
        assert max(int(np.abs(codes).max()) for codes in content.codes.values()) <= 2 ** (bits - 1) - 1
    half = next(item for item in made if item.name == "latents-half")
    before, after = implicit.read(base), implicit.read(half.payload)
    moved = np.abs(after.latent_values() - before.latent_values())
    assert 0.0 < moved.max() <= float(before.latent_steps.max()) * 1.01  # half of the doubled step
    assert 0.0 < half.rel_err < next(item for item in made if item.name == "latents-quarter").rel_err
    assert all(after.codes[name].tobytes() == before.codes[name].tobytes() for name in before.codes)


def test_filtered_repacks_touch_the_filter_or_its_side_codes_and_nothing_else() -> None:
    base = payload_of("moved-long-d41ec832")
    made = list(repacks.repacks(base, "filtered"))
    integers_of(made)
    head, parts = filtered.read(base)
    for item in made:
        other, changed = filtered.read(item.payload)
        assert changed.inner == parts.inner
        filter_of(other, changed.weights)
        if item.stream == "weights":
            assert np.array_equal(changed.side, parts.side)
            assert other.weights == ("fp4" if item.name == "fp4" else "channel")
        else:
            assert (other, changed.weights) == (head, parts.weights)
            assert len(item.payload) < len(base)
    half = next(item for item in made if item.name == "side-half")
    side = filtered.read(half.payload)[1].side
    assert side is not None and not (side % 2).any() and parts.side is not None and (parts.side % 2).any()
    assert filtered.read(next(item for item in made if item.name == "no-side").payload)[1].side is None


@pytest.mark.slow
def test_semantic_repacks_leave_the_maps_alone() -> None:
    base = payload_of("range-mask-7ed72685")
    before = semantic.split(base)
    made = {item.name: item for item in repacks.repacks(base, "semantic")}
    assert {"int7", "int3", "fp4", "poses-half", "no-router"} <= set(made)
    for item in made.values():
        streams = semantic.split(item.payload)
        assert streams["m"] == before["m"]
        assert (streams["p"] == before["p"]) == (item.stream != "poses")
        assert item.rel_err > 0.0
    assert len(made["no-router"].payload) < len(base)
    assert made["int7"].rel_err < made["int5"].rel_err < made["int3"].rel_err
    shapes = {name: tensor.shape for name, tensor in semantic.read_renderer(semantic.split(base)["w"])[1].items()}
    _, four = semantic.read_renderer(semantic.split(made["fp4"].payload)["w"])
    assert {name: tensor.shape for name, tensor in four.items()} == shapes
    assert any(tensor.codes.dtype == np.uint8 for tensor in four.values())
    whole, half = semantic.read(base), semantic.read(made["poses-half"].payload)
    assert np.abs(half.conditions() - whole.conditions()).max() <= 1.0 / whole.head.pose_scale


def test_the_stream_of_a_repack_follows_from_its_name() -> None:
    names = ("int6", "fp4", "side-half", "poses-quarter", "no-side", "no-router")
    assert [repacks.stream_of(name) for name in names] == ["weights", "weights", "side", "poses", "side", "router"]


def test_what_has_no_repacks_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="conventional"):
        list(repacks.repacks(b"", "conventional"))
    with pytest.raises(BitstreamError):
        list(repacks.repacks(b"\xa7nothing", "implicit"))
    with pytest.raises(RecipeError, match="int7, int6"):
        repacks.repack(payload_of("field-flip"), "implicit", "int2")
    with pytest.raises(ValueError, match="2 to 8"):
        repacks.integers(np.ones((2, 2), np.float32), 9)
