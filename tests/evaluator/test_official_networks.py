"""The official networks load the published layout key by key, and answer the same after folding."""

from __future__ import annotations

import copy
import importlib.util
import tomllib

import pytest
import torch
from safetensors.torch import save
from torch import nn

from lab.contract import SHIPPED
from lab.errors import ContractError

if not all(map(importlib.util.find_spec, ("timm", "segmentation_models_pytorch", "torchvision"))):
    pytest.skip("the extra `comma` is not installed", allow_module_level=True)

import contest

from lab.evaluator import official_networks

PUBLISHED_BYTES = {
    place: item["bytes"]
    for place, item in tomllib.loads((SHIPPED / "comma-2026" / "contract.toml").read_text(encoding="utf-8"))[
        "upstream"
    ]["files"].items()
}


def drawn_input(shape: tuple[int, ...], scale: float, seed: int) -> torch.Tensor:
    """Random inputs of a network."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * scale


POSE_INPUT, SEG_INPUT = ((4, 12, 64, 96), 2.0), ((2, 3, 64, 96), 255.0)


@pytest.fixture(scope="module")
def posenet() -> nn.Module:
    """The pose network with random weights and norms that do something."""
    torch.manual_seed(1)
    return stirred(contest.calibrated(official_networks.posenet(), drawn_input(*POSE_INPUT, seed=5)))


@pytest.fixture(scope="module")
def segnet() -> nn.Module:
    """The semantic network with random weights and norms that do something."""
    torch.manual_seed(2)
    return stirred(contest.calibrated(official_networks.segnet(), drawn_input(*SEG_INPUT, seed=6)))


def stirred(network: nn.Module) -> nn.Module:
    """A network whose batch norms also have drawn gains and shifts, in evaluation mode."""
    draw = torch.Generator().manual_seed(3)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.weight.data.uniform_(0.8, 1.2, generator=draw)
            layer.bias.data.normal_(0.0, 0.1, generator=draw)
    return network.eval().requires_grad_(False)


def without_counters(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a network without the counters that torch keeps beside every batch norm."""
    return {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}


def test_the_pose_weights_have_the_size_of_the_published_file(posenet: nn.Module) -> None:
    """Names, shapes and types decide the size of a safetensors file to the byte; the published one has no counters."""
    assert len(save(without_counters(posenet))) == PUBLISHED_BYTES["models/posenet.safetensors"]


def test_the_semantic_weights_fill_the_published_file_but_for_its_header(segnet: nn.Module) -> None:
    values = sum(value.numel() * value.element_size() for value in segnet.state_dict().values())
    assert 0 <= PUBLISHED_BYTES["models/segnet.safetensors"] - len(save(segnet.state_dict())) < 256
    assert values == 38_442_892


def test_weights_without_counters_load_strictly(posenet: nn.Module) -> None:
    state = without_counters(posenet)
    fresh = official_networks.posenet()
    fresh.load_state_dict(state, strict=True)
    assert all(torch.equal(value, state[key]) for key, value in without_counters(fresh).items())


def test_weights_of_another_normalization_are_refused(posenet: nn.Module) -> None:
    state = {**without_counters(posenet), "_mean": torch.full((1, 12, 1, 1), 128.0)}
    with pytest.raises(ContractError, match="normalization by 127"):
        official_networks.posenet().load_state_dict(state)


def test_the_head_is_what_was_published(posenet: nn.Module) -> None:
    """The published head written out again: two branches with one shared norm each, in-place rectifier included."""
    state = posenet.state_dict()
    x = torch.randn(2, 2048, generator=torch.Generator().manual_seed(1))

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance = state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"]
        return (x - mean) / (variance + 1e-3).sqrt() * state[f"{name}.bn.weight"] + state[f"{name}.bn.bias"]

    def residual(x: torch.Tensor, name: str) -> torch.Tensor:
        inner = norm(linear(x, f"{name}.block_a.0"), f"{name}.block_a.1").relu()
        first = (x + norm(linear(inner, f"{name}.block_a.3"), f"{name}.block_a.4")).relu()
        inner = norm(linear(first, f"{name}.block_b.1"), f"{name}.block_b.2").relu()
        return (first + norm(linear(inner, f"{name}.block_b.4"), f"{name}.block_b.5")).relu()

    summary = residual(linear(x, "summarizer.0").relu(), "summarizer.2")
    hidden = linear(residual(summary, "hydra.resblock"), "hydra.in_layer.pose").relu()
    inner = linear(linear(hidden, "hydra.res_layer.pose.0").relu(), "hydra.res_layer.pose.2")
    expected = linear((hidden + inner).relu(), "hydra.final_layer.pose")
    with torch.inference_mode():
        answered = posenet.hydra(posenet.summarizer(x))
    torch.testing.assert_close(answered, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "drawn"), [("posenet", POSE_INPUT), ("segnet", SEG_INPUT)])
def test_folding_changes_nothing_but_rounding(
    name: str, drawn: tuple[tuple[int, ...], float], request: pytest.FixtureRequest
) -> None:
    """In float64 the folded network and the plain one agree far below float32's rounding."""
    plain = copy.deepcopy(request.getfixturevalue(name)).double()
    x = drawn_input(*drawn, seed=7).double()
    with torch.inference_mode():
        before = plain(x)
        folded = copy.deepcopy(plain).for_inference()
        after = folded(x)
    spread = float(before.std(dim=0).mean())
    assert spread > 0.0, "the answers do not depend on the input, so nothing would be compared"
    assert float((before - after).abs().max()) < 1e-6 * spread
    assert not [layer for layer in folded.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert all(not parameter.requires_grad for parameter in folded.parameters())


def test_the_networks_have_the_shapes_of_the_contract(posenet: nn.Module, segnet: nn.Module) -> None:
    with torch.inference_mode():
        assert posenet(torch.zeros(1, 12, 64, 96)).shape == (1, 12)
        assert segnet(torch.zeros(1, 3, 64, 96)).shape == (1, 5, 64, 96)
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (posenet, segnet)]
    assert counts == [13_902_140, 9_543_831]


def test_gradients_reach_the_input_through_frozen_networks(posenet: nn.Module) -> None:
    x = drawn_input(*POSE_INPUT, seed=8).requires_grad_(True)
    posenet(x).sum().backward()
    assert x.grad is not None and float(x.grad.abs().max()) > 0.0
