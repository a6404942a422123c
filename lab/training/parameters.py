"""Weights and quantizer of a model under one set of names: averages, checkpoints and candidates treat both alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from lab.training.average import copied
from lab.training.progress import Weights
from lab.training.quantize import Quantized, Scheme

_WEIGHT, _QUANTIZER = "w:", "q:"


class Parameters:
    """All that a training run moves.

    Args:
        model: whose named parameters are trained.
        scheme, bits: how they are packed, see `quantize`.
    """

    def __init__(self, model: nn.Module, scheme: str, bits: int, device: torch.device) -> None:
        self.weights: dict[str, nn.Parameter] = dict(model.named_parameters())
        self._kind, self._bits, self._device = scheme, bits, device
        self.scheme = self._scheme()

    def _scheme(self) -> Scheme:
        shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        return Scheme(self._kind, shapes, self._bits).to(self._device)

    def all(self) -> Weights:
        """Weights and quantizer under one set of names."""
        return self.joined(self.weights, self.scheme)

    def moving_quantizer(self, freeze: tuple[str, ...]) -> list[nn.Parameter]:
        """Learned steps, exponents and depths of all weights but those whose names begin so."""
        named = self.scheme.named_parameters()
        return [value for key, value in named if not key.partition(".")[2].replace("/", ".").startswith(freeze)]

    @staticmethod
    def joined(weights: Mapping[str, torch.Tensor], scheme: Scheme) -> Weights:
        """The names of `all` for these weights and this quantizer."""
        out = {_WEIGHT + name: value for name, value in weights.items()}
        return out | {_QUANTIZER + name: value for name, value in scheme.named_parameters()}

    @torch.no_grad()
    def load(self, values: Weights) -> None:
        """Take in values under the names of `all`, in place."""
        for name, target in self.all().items():
            target.copy_(values[name])

    def split(self, values: Weights) -> tuple[Scheme, Weights]:
        """A quantizer of its own, and copies of the weights, from values under the names of `all`."""
        scheme = self._scheme()
        with torch.no_grad():
            for name, parameter in scheme.named_parameters():
                parameter.copy_(values[_QUANTIZER + name])
        scheme.requires_grad_(False)
        own = {
            name[len(_WEIGHT) :]: value.to(self._device) for name, value in values.items() if name.startswith(_WEIGHT)
        }
        return scheme, copied(own)


def estimated_bytes(packed: Iterable[Quantized]) -> int:
    """Order-0 entropy of every tensor's codes, and its steps, depths and vectors as stored; whole bytes."""
    total = 0.0
    for item in packed:
        if item.kind == "half":
            total += item.codes.nbytes
            continue
        _, counts = np.unique(item.codes, return_counts=True)
        share = counts / counts.sum()
        total += -(counts * np.log2(share)).sum() / 8.0
        total += item.steps.nbytes + item.exponents.nbytes + item.depths.nbytes
    return math.ceil(total)
