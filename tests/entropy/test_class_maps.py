"""Class maps: exact on every shape, bounded on noise, priced to the bit, refused when damaged."""

from __future__ import annotations

import lzma
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lab.bitstream import Reader
from lab.entropy import labelmap, mapwriter
from lab.errors import LabError, Truncated, UnknownSyntax


def blobs(shape: tuple[int, int, int], classes: int) -> np.ndarray:
    """Moving regions with straight and curved borders."""
    time, rows, columns = np.ogrid[: shape[0], : shape[1], : shape[2]]
    field = (rows * 3 + columns * 2 + 2 * time) // 17 + (rows * rows + columns * time) // 190
    return (field % classes).astype(np.uint8)


def real(shared: Path) -> np.ndarray:
    """150 maps of the contest's mask tensor, uint8 (150, 384, 512)."""
    raw = lzma.decompress((shared / "masks" / "contest_mask_000_149.u8.xz").read_bytes())
    return np.frombuffer(raw, np.uint8).reshape(150, 384, 512)


@pytest.mark.parametrize("classes", range(2, 17))
def test_any_number_of_classes_comes_back_exactly(classes: int) -> None:
    labels = blobs((2, 18, 29), classes)
    assert np.array_equal(labels, labelmap.decode(mapwriter.encode(labels).payload))


@pytest.mark.parametrize(
    "shape", [(1, 9, 13), (3, 24, 32), (1, 1, 1), (2, 1, 1), (5, 1, 40), (5, 40, 1), (1, 64, 3), (70, 2, 2)]
)
def test_any_size_comes_back_exactly(shape: tuple[int, int, int]) -> None:
    labels = blobs(shape, 5)
    assert np.array_equal(labels, labelmap.decode(mapwriter.encode(labels).payload))


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 3, 4, 91, 255]))
    )
)
def test_any_labels_come_back_exactly(labels: np.ndarray) -> None:
    coded = mapwriter.encode(labels)
    found = labelmap.read(coded.payload)
    assert np.array_equal(labels, found.labels)
    assert found.sections == coded.sections
    assert sum(section.n_bytes for section in coded.sections) == len(coded.payload)


@pytest.mark.parametrize("label", [0, 7, 255])
def test_constant_maps_cost_a_header(label: int) -> None:
    labels = np.full((30, 200, 300), label, np.uint8)
    payload = mapwriter.encode(labels).payload
    assert len(payload) <= 14
    assert np.array_equal(labels, labelmap.decode(payload))


@pytest.mark.parametrize(("classes", "shape"), [(2, (2, 96, 96)), (5, (1, 128, 128)), (16, (3, 64, 64))])
def test_noise_costs_at_most_one_percent_over_its_entropy(classes: int, shape: tuple[int, int, int]) -> None:
    labels = np.random.default_rng(classes).integers(0, classes, shape).astype(np.uint8)
    coded = mapwriter.encode(labels)
    assert np.array_equal(labels, labelmap.decode(coded.payload))
    assert len(coded.payload) <= 1.01 * labels.size * np.log2(classes) / 8


def test_uneven_noise_costs_at_most_one_percent_over_its_entropy() -> None:
    share = np.array([0.9, 0.06, 0.04])
    labels = np.random.default_rng(8).choice(3, (2, 160, 160), p=share).astype(np.uint8)
    coded = mapwriter.encode(labels)
    counts = np.bincount(labels.reshape(-1)) / labels.size
    assert np.array_equal(labels, labelmap.decode(coded.payload))
    assert len(coded.payload) <= -1.01 * labels.size * float(counts @ np.log2(counts)) / 8


def test_maps_that_hardly_change_are_padded_to_what_their_shape_may_take() -> None:
    labels = np.zeros((400, 96, 128), np.uint8)
    labels[:, 30:] = 1
    coded = mapwriter.encode(labels)
    assert len(coded.payload) - coded.sections[0].n_bytes == labelmap.least_bytes(labels.shape) > 20
    assert np.array_equal(labels, labelmap.decode(coded.payload))
    with pytest.raises(LabError):
        labelmap.decode(coded.payload[:-1])
    with pytest.raises(LabError):
        labelmap.decode(coded.payload + b"\0")


def test_the_plain_python_twin_writes_the_same_bytes() -> None:
    script = (
        "import numpy as np; from lab.entropy import mapwriter\n"
        "t, y, x = np.ogrid[:2, :7, :9]\n"
        "labels = ((3 * y + 2 * x + t) // 7 % 3).astype(np.uint8)\n"
        "print(mapwriter.encode(labels).payload.hex())"
    )
    twin = subprocess.run(
        [sys.executable, "-W", "ignore::RuntimeWarning", "-c", script],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    time, rows, columns = np.ogrid[:2, :7, :9]
    labels = ((3 * rows + 2 * columns + time) // 7 % 3).astype(np.uint8)
    assert twin.stdout.strip() == mapwriter.encode(labels).payload.hex()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_price_of_edits_is_what_coding_them_costs(data: st.DataObject) -> None:
    labels = blobs((4, 20, 28), 4)
    place = st.tuples(st.integers(0, 3), st.integers(0, 19), st.integers(0, 27), st.integers(0, 3))
    edits = data.draw(st.lists(place, min_size=1, max_size=6, unique_by=lambda edit: edit[:3]))
    changed = labels.copy()
    for index, row, column, label in edits:
        changed[index, row, column] = label
    meter = mapwriter.Meter(labels, snapshots=data.draw(st.integers(1, 4)))
    before, after = mapwriter.encode(labels), mapwriter.encode(changed)
    assert before.method == after.method
    delta = meter.incremental_bits(edits)
    assert delta == pytest.approx(after.ideal_bits - before.ideal_bits, abs=1e-6)
    # Either stream ends with the fewest whole bytes that settle its last interval: less than two above its ideal.
    assert abs(len(after.payload) - len(before.payload) - delta / 8) < 2.0


def test_the_cost_of_pixels_adds_up_to_the_cost_of_maps() -> None:
    labels = blobs((3, 24, 32), 4)
    meter = mapwriter.Meter(labels, snapshots=2)
    for index in range(3):
        assert meter.pixel_bits(index).sum() == pytest.approx(meter.map_bits[index], rel=1e-5)
    assert meter.bits == pytest.approx(mapwriter.encode(labels).ideal_bits)


@pytest.mark.parametrize("edits", [[], [(3, 0, 0, 1)], [(0, -1, 0, 1)], [(0, 0, 0, 9)]])
def test_edits_that_cannot_be_are_refused(edits: list[tuple[int, int, int, int]]) -> None:
    with pytest.raises(ValueError, match="edit"):
        mapwriter.Meter(blobs((3, 8, 8), 3)).incremental_bits(edits)


@pytest.mark.parametrize(
    "labels",
    [np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4), np.int64), np.zeros((0, 4, 4), np.uint8), np.arange(17)],
)
def test_what_is_not_class_maps_is_refused_by_the_writer(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="class maps"):
        mapwriter.encode(labels)


def test_more_than_sixteen_labels_are_refused_by_the_writer() -> None:
    with pytest.raises(ValueError, match="at most 16"):
        mapwriter.encode(np.arange(17, dtype=np.uint8).reshape(1, 1, 17))


def test_a_truncated_stream_is_refused() -> None:
    payload = mapwriter.encode(blobs((3, 24, 32), 5)).payload
    for end in range(len(payload)):
        with pytest.raises(LabError):
            labelmap.decode(payload[:end])


def test_a_shape_is_checked_before_memory_is_taken() -> None:
    head = {"method": "mixing", "maps": 1 << 30, "height": 1 << 20, "width": 1 << 20, "labels": 5, "checksum": 0}
    with pytest.raises(UnknownSyntax, match="shape"):
        labelmap.decode(labelmap.HEADER.write(head) + bytes(100))
    head |= {"maps": 60, "height": 1000, "width": 1000}
    with pytest.raises(Truncated, match="stream"):
        labelmap.decode(labelmap.HEADER.write(head) + bytes(100))


def test_maps_of_another_shape_with_the_same_labels_are_refused() -> None:
    labels = np.random.default_rng(1).integers(0, 2, (2, 16, 32)).astype(np.uint8)
    payload = mapwriter.encode(labels).payload
    head = labelmap.HEADER.read(Reader(payload, "label map"))
    assert head["method"] == "counts"
    swapped = labelmap.HEADER.write({**head, "height": 32, "width": 16})
    with pytest.raises(LabError, match="CRC-32"):
        labelmap.decode(swapped + payload[len(swapped) :])


@pytest.mark.slow
@pytest.mark.parametrize(("first", "last", "most_bytes"), [(0, 75, 12_600), (75, 150, 13_500), (0, 150, 25_300)])
def test_real_masks_are_smaller_than_any_published_coder_makes_them(
    shared: Path, first: int, last: int, most_bytes: int
) -> None:
    """The best figure on record for the first 75 maps is 16,355 bytes."""
    labels = real(shared)[first:last]
    payload = mapwriter.encode(labels).payload
    assert len(payload) <= most_bytes
    assert np.array_equal(labels, labelmap.decode(payload))
