"""The two frozen networks of a contract: small architectures of our own, and the one loader for all of them.

Both small networks are plain convolutions and rectifiers. `SmallSegNet` sees raw RGB and answers on the same grid, with
its finest features at half resolution. `SmallPoseNet` sees twelve planes of two frames and answers twelve numbers.
Training normalizes by batch; the frozen networks have that folded into their convolutions (`fold`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lab.contract import Contract
from lab.custody import expect_file
from lab.errors import ContractError

N_CLASSES = 5
N_POSE_OUTPUTS = 12
N_SCORED = 6
MIRROR_SIGNS = (1.0, -1.0, 1.0, -1.0, -1.0, 1.0)
"""What a left-right flip does to the six scored pose outputs."""


class Conv(nn.Module):
    """A convolution and a rectifier, with a batch norm between them only while training."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not norm)
        self.norm: nn.BatchNorm2d | None = nn.BatchNorm2d(outputs) if norm else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return F.relu(x if self.norm is None else self.norm(x))


class SmallSegNet(nn.Module):
    """A U-net of five classes: float (N, 3, h, w) raw 0-255 RGB to logits (N, 5, h, w); h and w multiples of 16.

    Notes:
        The last layer writes the four pixels of each 2x2 block at once (a pixel shuffle), so that thin lane lines are
        drawn at full resolution from features at half of it.
    """

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.stem = Conv(3, 16, 5, 2, norm=norm)
        self.fine = Conv(16, 16, norm=norm)
        self.down1 = Conv(16, 32, 3, 2, norm=norm)
        self.mid1 = Conv(32, 32, norm=norm)
        self.down2 = Conv(32, 48, 3, 2, norm=norm)
        self.mid2 = Conv(48, 48, norm=norm)
        self.down3 = Conv(48, 56, 3, 2, norm=norm)
        self.mid3 = Conv(56, 56, norm=norm)
        self.up2 = Conv(56 + 48, 44, norm=norm)
        self.up1 = Conv(44 + 32, 24, norm=norm)
        self.up0 = Conv(24 + 16, 24, norm=norm)
        self.head = nn.Conv2d(24, 4 * N_CLASSES, 3, padding=1)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        fine = self.fine(self.stem(rgb / 64.0 - 2.0))
        one = self.mid1(self.down1(fine))
        two = self.mid2(self.down2(one))
        x = self.mid3(self.down3(two))
        x = self.up2(torch.cat([_double(x), two], 1))
        x = self.up1(torch.cat([_double(x), one], 1))
        x = self.up0(torch.cat([_double(x), fine], 1))
        return F.pixel_shuffle(self.head(x), 2)


class SmallPoseNet(nn.Module):
    """Ego motion of a pair: float (N, 12, 96, 128) normalized planes to (N, 12), of which the first six are scored.

    Notes:
        The trunk keeps its 6 x 8 grid until the linear layers, since the same image motion means different ego motion
        at different places. Planes first lose their local mean and are divided by their local contrast: motion shows in
        the faint texture of asphalt as much as in strong edges, and the look of a place should say nothing about speed.
        The other six outputs are logarithms of the expected squared errors of the first six. With `mirrored` the
        answer is the mean of what the pair and its mirror image say, so that a mirrored pair gets exactly the mirrored
        answer; what is trained is one side of it.
    """

    def __init__(self, *, norm: bool = False, mirrored: bool = False) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.trunk = nn.Sequential(
            Conv(12, 32, 5, 2, norm=norm),
            Conv(32, 32, norm=norm),
            Conv(32, 48, 3, 2, norm=norm),
            Conv(48, 48, norm=norm),
            Conv(48, 48, 3, 2, norm=norm),
            Conv(48, 48, norm=norm),
            Conv(48, 48, 3, 2, norm=norm),
            Conv(48, 16, 1, norm=norm),
        )
        self.hidden = nn.Linear(16 * 6 * 8, 56)
        self.head = nn.Linear(56, N_POSE_OUTPUTS)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        if not self.mirrored:
            return self._answer(planes)
        seen, flipped = self._answer(torch.cat([planes, mirror(planes)])).chunk(2)
        signs = planes.new_tensor((*MIRROR_SIGNS, *([1.0] * N_SCORED)))
        return (seen + flipped * signs) * 0.5

    def _answer(self, planes: torch.Tensor) -> torch.Tensor:
        features = self.trunk(local_contrast(planes))
        outputs: torch.Tensor = self.head(F.relu(self.hidden(features.flatten(1))))
        return outputs


def mirror(planes: torch.Tensor) -> torch.Tensor:
    """Twelve planes of a pair, float (N, 12, h, w), as `posenet_input` would give them of both frames flipped left to
    right: columns turn round, and with them the two luma phases of each row change places.
    """
    order = [2, 3, 0, 1, 4, 5]
    return planes[:, [*order, *(6 + plane for plane in order)]].flip(-1)


def local_contrast(planes: torch.Tensor, cell: int = 8, floor: float = 0.06) -> torch.Tensor:
    """Planes without their local mean, over the local contrast of both frames' first luma phase.

    Args:
        planes: float (N, 12, h, w), sides multiples of `cell`.
        cell: side of the squares whose means are interpolated to give "local".
        floor: contrast below which texture counts as flat.
    """
    size = (planes.shape[-2], planes.shape[-1])

    def smooth(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(F.avg_pool2d(x, cell), size=size, mode="bilinear", align_corners=False)

    local = planes - smooth(planes)
    energy = smooth(local[:, 0::6].square().mean(1, keepdim=True))
    return local / (torch.sqrt(energy + 1e-8) + floor)


def _double(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def small_segnet() -> nn.Module:
    """The embedded contract's semantic network, without weights."""
    return SmallSegNet()


def small_posenet() -> nn.Module:
    """The embedded contract's pose network, without weights."""
    return SmallPoseNet(mirrored=True)


def fold(state: Mapping[str, torch.Tensor], epsilon: float = 1e-5) -> dict[str, torch.Tensor]:
    """The weights of a network trained with batch norms, for the same network without them.

    Args:
        state: state of a network built with `norm=True`, in evaluation mode.
        epsilon: that of its batch norms.

    Notes:
        w' = w g / sqrt(v + e) and b' = b - m g / sqrt(v + e), computed in float64.
    """
    folded: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if ".norm." in key:
            continue
        layer = key.removesuffix(".conv.weight")
        if layer == key or f"{layer}.norm.weight" not in state:
            folded[key] = value.detach().clone().contiguous()
            continue
        gain, shift, mean, variance = (
            state[f"{layer}.norm.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / torch.sqrt(variance + epsilon)
        folded[key] = (value.double() * scale[:, None, None, None]).float().contiguous()
        folded[f"{layer}.conv.bias"] = (shift - mean * scale).float().contiguous()
    return folded


def load(contract: Contract) -> tuple[nn.Module, nn.Module]:
    """The frozen (semantic, pose) networks of a contract: evaluation mode, float32, no gradients to their weights.

    Raises:
        ContractError: a factory cannot be imported or called, or does not fit its weights.
        CustodyError: a weights file is missing.
        DigestMismatch: a weights file is not the one on record.
    """
    segnet, posenet = (_load_one(contract, name) for name in ("segnet", "posenet"))
    return segnet, posenet


def _load_one(contract: Contract, name: str) -> nn.Module:
    network, path = contract.networks[name], contract.weights_path(name)
    where = f"{name} of contract {contract.name!r}"
    expect_file(path, network.sha256, where)
    try:
        built = _factory(network.factory, where)()
    except TypeError as error:
        raise ContractError(where, expected="a factory without arguments", found=str(error)) from None
    if not isinstance(built, nn.Module):
        raise ContractError(where, expected="a torch module from its factory", found=type(built).__name__)
    try:
        built.load_state_dict(load_file(path), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise ContractError(
            where,
            expected=f"weights of {network.factory}",
            found=str(error).strip().splitlines()[-1].strip(),
            fix="the factory and the weights file belong together; restore both from one place",
        ) from None
    built.eval().requires_grad_(False).float()
    # A network may know a form of itself that answers the same and faster; that form is what is measured with.
    ready = getattr(built, "for_inference", None)
    if callable(ready):
        built = ready()
    return built.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _factory(spec: str, where: str) -> Callable[[], object]:
    module_name, _, attribute = spec.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ContractError(
            where,
            expected="a factory as 'module:callable'",
            found=f"{spec!r} ({error})",
            fix="install the package that has it, or correct the path in contract.toml",
        ) from None
    if not callable(found):
        raise ContractError(where, expected="a callable factory", found=repr(spec))
    return found  # type: ignore[no-any-return]
