"""Optimizers of a stage: AdamW, and Muon for hidden convolutions; their state as plain tensors.

Muon orthogonalizes the momentum of a matrix. torch's own takes matrices only, so a convolution is shown to it as the
matrix (outputs, inputs x taps). First and last layers, steps, depths and vectors stay with AdamW.

References: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; I. Loshchilov and
F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lab.training.schedule import Stage

QUANTIZER = "quantizer"


class Optimizers:
    """The optimizers of one stage over named parameters.

    Args:
        weights: parameters of the model by name, in order.
        extras: learned steps, exponents and depths of the quantizer.
        stage: rates, decay, what is frozen.
        rates: factor on the learning rate by name prefix, for example {"latents": 10.0}; "quantizer" is the extras'.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        extras: Sequence[nn.Parameter],
        stage: Stage,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self.stage = stage
        self.moving = {
            name: weight
            for name, weight in weights.items()
            if not any(name.startswith(prefix) for prefix in stage.freeze)
        }
        if not self.moving:
            raise ValueError(f"stage {stage.name!r} freezes every parameter: {', '.join(stage.freeze)}")
        hidden = _hidden(self.moving, weights) if stage.optimizer == "muon" else {}
        self._views = {name: nn.Parameter(w.detach().flatten(1).clone()) for name, w in hidden.items()}
        self._hidden = hidden
        groups: list[dict[str, Any]] = [
            {"params": [w], "lr": stage.lr * _factor(name, rates or {})}
            for name, w in self.moving.items()
            if name not in hidden
        ]
        if extras:
            # A learned step moves by relative amounts far below a weight's.
            rate = stage.lr * _factor(QUANTIZER, rates or {})
            groups.append({"params": list(extras), "lr": rate, "weight_decay": 0.0})
        self.all: list[torch.optim.Optimizer] = []
        if groups:
            self.all.append(torch.optim.AdamW(groups, lr=stage.lr, weight_decay=stage.weight_decay, fused=True))
        if self._views:
            self.all.append(
                torch.optim.Muon(
                    list(self._views.values()), lr=stage.muon_lr, weight_decay=stage.weight_decay, momentum=0.95
                )
            )
        self._base = [[float(group["lr"]) for group in optimizer.param_groups] for optimizer in self.all]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Everything that moves in this stage."""
        own = [p for optimizer in self.all for group in optimizer.param_groups for p in group["params"]]
        views = {id(view) for view in self._views.values()}
        return [p for p in own if id(p) not in views] + list(self._hidden.values())

    def set_rate(self, share: float) -> None:
        """Put every learning rate at this share of its base."""
        for optimizer, bases in zip(self.all, self._base, strict=True):
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = base * share

    def clip(self, limit: float) -> float:
        """Scale gradients down to this norm (0: leave them) and return the norm that they had."""
        norm = nn.utils.clip_grad_norm_(self.parameters, limit if limit else float("inf"))
        return float(norm)

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters along their gradients."""
        for name, view in self._views.items():
            weight = self._hidden[name]
            view.copy_(weight.flatten(1))
            view.grad = None if weight.grad is None else weight.grad.flatten(1).clone()
        for optimizer in self.all:
            optimizer.step()
        for name, view in self._views.items():
            self._hidden[name].copy_(view.view_as(self._hidden[name]))

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state(self) -> dict[str, torch.Tensor]:
        """The optimizers' memory as named tensors."""
        out: dict[str, torch.Tensor] = {}
        for number, optimizer in enumerate(self.all):
            for index, memory in optimizer.state_dict()["state"].items():
                for name, value in memory.items():
                    out[f"{number}/{index}/{name}"] = torch.as_tensor(value)
        return out

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back a memory that `state` gave."""
        for number, optimizer in enumerate(self.all):
            known = optimizer.state_dict()
            memory: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in tensors.items():
                owner, index, name = key.split("/")
                if int(owner) == number:
                    memory.setdefault(int(index), {})[name] = value.clone()
            optimizer.load_state_dict({"state": memory, "param_groups": known["param_groups"]})


def _factor(name: str, rates: Mapping[str, float]) -> float:
    return next((factor for prefix, factor in rates.items() if name.startswith(prefix)), 1.0)


def _hidden(moving: Mapping[str, nn.Parameter], weights: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    """Convolution and matrix weights that are neither the first nor the last of the model."""
    matrices = [name for name, w in weights.items() if w.dim() >= 2]
    inner = set(matrices[1:-1])
    return {name: w for name, w in moving.items() if name in inner and w.shape[0] > 1 and w[0].numel() > 1}
