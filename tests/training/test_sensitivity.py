"""Laws of the sensitivity maps: they are the norms of real derivatives, and they are kept as evidence."""

from __future__ import annotations

import csv
from pathlib import Path

import rooms
import torch
from PIL import Image

from lab.training import sensitivity
from lab.training.targets import answers


def test_pose_sensitivity_is_the_norm_of_the_jacobian() -> None:
    segnet, posenet = rooms.networks()
    known = rooms.reference()
    found = sensitivity.of(known, segnet, posenet)
    one = known.frames[1:2].float()

    def scored(frames: torch.Tensor) -> torch.Tensor:
        return answers(frames, known.size, segnet, posenet)[1][0, :6]

    jacobian = torch.autograd.functional.jacobian(scored, one)
    expected = jacobian[:, 0].square().sum(dim=(0, 2)).sqrt()
    assert torch.allclose(found.posenet[1], expected, rtol=1e-3, atol=1e-9)


def test_a_pixel_that_no_network_reads_has_no_sensitivity() -> None:
    class Blind(torch.nn.Module):
        """Sees the left half only."""

        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = torch.zeros_like(x)
            mask[..., : x.shape[-1] // 2] = 1.0
            return self.inner(x * mask)

    segnet, posenet = rooms.networks()
    found = sensitivity.of(rooms.reference(), Blind(segnet), Blind(posenet))
    middle = rooms.GRID[1] // 2
    assert float(found.segnet[..., middle + 3 :].abs().max()) == 0.0
    assert float(found.posenet[..., middle + 3 :].abs().max()) == 0.0
    assert float(found.segnet[..., : middle - 3].mean()) > 0.0


def test_maps_are_kept_and_written_as_evidence(tmp_path: Path) -> None:
    segnet, posenet = rooms.networks()
    cache = tmp_path / "kept.safetensors"
    first = sensitivity.of(rooms.reference(), segnet, posenet, cache=cache)
    again = sensitivity.of(rooms.reference(), segnet, posenet, cache=cache)
    assert torch.equal(first.segnet, again.segnet)
    cache.write_bytes(b"damaged")
    assert torch.equal(sensitivity.of(rooms.reference(), segnet, posenet, cache=cache).posenet, first.posenet)
    sensitivity.write(first, tmp_path)
    with (tmp_path / sensitivity.CSV).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["pair"]) for row in rows] == list(range(rooms.N_PAIRS))
    for name in sensitivity.MAPS:
        with Image.open(tmp_path / name) as picture:
            assert picture.size == rooms.GRID[::-1]
