"""The official contest's two networks, built so that the published weights load key by key.

Both bodies come from timm: the pose network reads twelve planes with a FastViT-T12, the semantic network is the Unet of
segmentation-models-pytorch around an EfficientNet-B2. They are the optional extra `comma`. What stands here is the pose
network's head, the loading, and `for_inference`, the same function with less to do (`folding`, `packed`, `upsampled`).

References: the contest's networks; P. Vasu et al., "FastViT", 2023; M. Tan and Q. Le, "EfficientNet", 2019.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lab.errors import ContractError
from lab.evaluator.folding import fold_norms
from lab.evaluator.packed import AbreastConv, GatedBlock, MixerBlock, PackedConv, pack
from lab.evaluator.upsampled import UpsampledBlock

N_CLASSES = 5
N_PLANES = 12
N_VISION = 2048
N_SUMMARY = 512
N_HIDDEN = 32
N_OUTPUTS = 12
# Input planes reach the pose network as (x - 127.5) / 63.75; its weights file carries both figures.
MEAN, DEVIATION = 255.0 / 2.0, 255.0 / 4.0
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 1e-2
_SCHEMAS = ("nms", "qnms")


class SharedNorm(nn.Module):
    """One batch norm over all activations together: a single mean and variance, whatever the number of features."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(1, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = self.bn(x.reshape(-1, 1))
        return normed.reshape(x.shape)


def _branch(features: int) -> list[nn.Module]:
    """Twice as wide and back, each side followed by a shared norm."""
    wide = 2 * features
    return [nn.Linear(features, wide), SharedNorm(), nn.ReLU(), nn.Linear(wide, features), SharedNorm()]


class Residual(nn.Module):
    """Two residual branches one after the other; the second one starts with a rectifier, and the sum ends with one."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.block_a = nn.Sequential(*_branch(features))
        self.block_b = nn.Sequential(nn.ReLU(), *_branch(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x + self.block_a(x)
        # The evaluator's rectifier at the front of the second branch works in place, so the sum sees its result.
        first = first.relu()
        out: torch.Tensor = (first + self.block_b(first)).relu()
        return out


class PoseHead(nn.Module):
    """From a summary of 512 figures to the twelve outputs of a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.resblock = Residual(N_SUMMARY)
        self.in_layer = nn.ModuleDict({"pose": nn.Linear(N_SUMMARY, N_HIDDEN)})
        inner = nn.Sequential(nn.Linear(N_HIDDEN, N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, N_HIDDEN))
        self.res_layer = nn.ModuleDict({"pose": inner})
        self.final_layer = nn.ModuleDict({"pose": nn.Linear(N_HIDDEN, N_OUTPUTS)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.in_layer["pose"](self.resblock(x)).relu()
        hidden = (hidden + self.res_layer["pose"](hidden)).relu()
        out: torch.Tensor = self.final_layer["pose"](hidden)
        return out


class PoseNetwork(nn.Module):
    """Ego motion of a pair: float (N, 12, 192, 256) normalized planes to (N, 12), of which the first six are scored."""

    def __init__(self) -> None:
        super().__init__()
        timm = _timm()
        shape = (1, N_PLANES, 1, 1)
        self.register_buffer("_mean", torch.full(shape, MEAN))
        self.register_buffer("_std", torch.full(shape, DEVIATION))
        self.vision: nn.Module = timm.create_model(
            "fastvit_t12",
            pretrained=False,
            num_classes=N_VISION,
            in_chans=N_PLANES,
            act_layer=timm.layers.get_act_layer("gelu_tanh"),
        )
        self.summarizer = nn.Sequential(nn.Linear(N_VISION, N_SUMMARY), nn.ReLU(), Residual(N_SUMMARY))
        self.hydra = PoseHead()
        self.register_load_state_dict_post_hook(_check_normalization)  # type: ignore[no-untyped-call]

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.hydra(self.summarizer(self.vision(planes)))
        return out

    def for_inference(self) -> PoseNetwork:
        """The same function with train-time branches merged and batch norms folded; it answers within rounding."""
        timm_utils = importlib.import_module("timm.utils.model")
        merged = fold_norms(timm_utils.reparameterize_model(self.vision.eval(), inplace=True))
        _replace(merged, "MobileOneBlock", lambda block: _conv_of(block) or block)
        self.vision = _replace(pack(merged), "RepMixerBlock", MixerBlock)
        return self


def _conv_of(block: Any) -> PackedConv | None:
    """A merged block without a gate, as its one convolution and its activation."""
    return PackedConv(block.reparam_conv, block.act) if isinstance(block.se, nn.Identity) else None


def _replace(network: nn.Module, kind: str, build: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A network with every module of a class, by the name of that class, built anew."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ == kind:
                setattr(parent, name, build(child))
    return network


def _check_normalization(network: nn.Module, _keys: Any) -> None:
    """The planes arrive normalized already, so the weights must mean the same normalization."""
    state = network.state_dict()
    if not (bool((state["_mean"] == MEAN).all()) and bool((state["_std"] == DEVIATION).all())):
        raise ContractError("pose weights", expected=f"normalization by {MEAN} and {DEVIATION}", found="another one")


def posenet() -> nn.Module:
    """The official pose network, without weights.

    Raises:
        ContractError: the packages of the extra `comma` are missing.
    """
    return PoseNetwork()


def segnet() -> nn.Module:
    """The official semantic network, without weights: float (N, 3, 384, 512) raw RGB to logits (N, 5, 384, 512).

    Raises:
        ContractError: the packages of the extra `comma` are missing.
    """
    _timm()
    unet = importlib.import_module("segmentation_models_pytorch").Unet

    class SemanticNetwork(unet):  # type: ignore[misc, valid-type]
        """The Unet as it is, with a form of itself that does less."""

        def for_inference(self) -> nn.Module:
            """The same function, norms folded, enlarged features convolved before they are enlarged, passes joined."""
            fold_norms(self.eval())
            # Each block joins what comes from below with what skips across; the last one has nothing to join.
            skips = [*self.encoder.out_channels[-2:0:-1], 0]
            for place, (block, skip) in enumerate(zip(list(self.decoder.blocks), skips, strict=True)):
                self.decoder.blocks[place] = UpsampledBlock(block, block.conv1[0].in_channels - skip)
            self.segmentation_head[0] = AbreastConv(self.segmentation_head[0])
            pack(self)
            for kind in ("DepthwiseSeparableConv", "InvertedResidual"):
                _replace(self.encoder, kind, GatedBlock)
            return self

    network: nn.Module = SemanticNetwork("tu-efficientnet_b2", classes=N_CLASSES, activation=None, encoder_weights=None)
    return network


@lru_cache(maxsize=1)
def _timm() -> Any:
    """timm, importable beside a CPU torch.

    Raises:
        ContractError: a package of the extra is missing.
    """
    for package in ("torchvision", "timm", "segmentation_models_pytorch"):
        if importlib.util.find_spec(package) is None:
            raise ContractError(
                "networks of comma-2026", expected=f"the package {package}", found="none",
                fix="install the extra in one command: pip install -c constraints.txt -e '.[comma]'",
            )  # fmt: skip
    _declare_operators()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision warns of its missing picture codecs; none are used
        importlib.import_module("torchvision")
        importlib.import_module("segmentation_models_pytorch")
        return importlib.import_module("timm")


@lru_cache(maxsize=1)
def _declare_operators() -> Any:
    """Declare two operators that torchvision names while it is imported, where its compiled part cannot be loaded.

    The registry's torchvision is built for CUDA and does not load beside a CPU torch; without the declarations its
    import fails, and timm's with it. The operators are never called here. The library object must stay alive.
    """
    spec = importlib.util.find_spec("torchvision")
    origin = Path(spec.origin) if spec is not None and spec.origin else Path()
    for compiled in sorted(origin.parent.glob("_C*.so")):
        try:
            torch.ops.load_library(str(compiled))  # type: ignore[no-untyped-call]
        except OSError:
            continue
        return None
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _SCHEMAS:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
