"""Repacks are payloads that the family's decoder reads, coarser in the order of their bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab import archive, contract
from lab.codecs.implicit import format as implicit
from lab.codecs.semantic import format as semantic
from lab.errors import BitstreamError, SearchError
from lab.ledger import Ledger
from lab.search import repack

LEDGERS = Path(__file__).resolve().parents[2] / "ledgers"


def payload_of(identifier: str) -> bytes:
    store = Ledger(LEDGERS)
    run = store.get(contract.load("minidrive"), identifier)
    data = store.archive("minidrive", run.data["custody"]["archive_sha256"]).read_bytes()
    return max((member.content for member in archive.parse(data, identifier)), key=len)


def test_implicit_repacks_shrink_with_their_bits_and_are_read_back() -> None:
    made = list(repack.repacks(payload_of("field-flip"), "implicit"))
    integers = [item for item in made if item.name.startswith("int")]
    assert [item.name for item in integers] == ["int7", "int6", "int5", "int4", "int3"]
    errors, sizes = [item.rel_err for item in integers], [len(item.payload) for item in integers]
    assert errors == sorted(errors) and errors[0] > 0.0
    assert sizes == sorted(sizes, reverse=True)
    for bits, item in zip((7, 6, 5, 4, 3), integers, strict=True):
        content = implicit.read(item.payload)
        assert max(int(np.abs(codes).max()) for codes in content.codes.values()) <= 2 ** (bits - 1) - 1


@pytest.mark.slow
def test_semantic_repacks_leave_the_maps_alone() -> None:
    base = payload_of("range-mask-7ed72685")
    before = semantic.split(base)
    made = {item.name: item for item in repack.repacks(base, "semantic")}
    assert {"as it is", "int7", "int3", "fp4", "without router"} <= set(made)
    assert made["as it is"].payload == base
    for name, item in made.items():
        streams = semantic.split(item.payload)
        assert streams["m"] == before["m"] and streams["p"] == before["p"]
        assert (item.rel_err == 0.0) == (name == "as it is" or name.startswith("without"))
    assert len(made["without router"].payload) < len(base)
    assert made["int7"].rel_err < made["int5"].rel_err < made["int3"].rel_err
    shapes = {name: tensor.shape for name, tensor in semantic.read_renderer(semantic.split(base)["w"])[1].items()}
    _, four = semantic.read_renderer(semantic.split(made["fp4"].payload)["w"])
    assert {name: tensor.shape for name, tensor in four.items()} == shapes
    assert any(tensor.codes.dtype == np.uint8 for tensor in four.values())


def test_what_has_no_repacks_is_refused_by_name() -> None:
    with pytest.raises(SearchError, match="conventional"):
        list(repack.repacks(b"", "conventional"))
    with pytest.raises(BitstreamError):
        list(repack.repacks(b"\xa7nothing", "implicit"))
    with pytest.raises(ValueError, match="2 to 8"):
        repack.integers(np.ones((2, 2), np.float32), 9)
