"""Weights as they will be packed: quantizers whose trained value is exactly the value that a decoder rebuilds.

Every scheme computes integer codes and a step; `fake` gives codes times step with a useful gradient, `pack` gives the
codes and steps themselves. Steps are rounded to half precision (or are powers of two) before they are used, since
that is how they are stored. Vectors (biases) are kept in half precision by every scheme.

    int8-tensor     one step per tensor, the largest magnitude over 127
    int8-channel    one step per output channel
    lsq             one learned step per tensor, `bits` deep
    lsq-channel     one learned step per output channel
    fp4             16 values {0, .5, 1, 1.5, 2, 3, 4, 6} with sign, one step per block of 32
    fp4-large       that for tensors of at least 512 values, int8-tensor for the others
    depth           a learned bit depth and power-of-two step per output channel; depth 0 removes the channel

References: S. Esser et al., "Learned step size quantization", ICLR 2020; S. Cséfalvay and J. Imber,
"Self-compressing neural networks", 2023; the OCP microscaling format for the four-bit values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lab.training.rate import bits_under

SCHEMES = ("int8-tensor", "int8-channel", "lsq", "lsq-channel", "fp4", "fp4-large", "depth")
FP4_LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
FP4_BLOCK = 32
FP4_LARGE = 512
MAX_DEPTH = 8
_SMALLEST_STEP = 2.0**-14  # the smallest normal half


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: object, _soft: torch.Tensor, hard: torch.Tensor) -> torch.Tensor:
        return hard.clone()

    @staticmethod
    def backward(_ctx: object, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def straight_through(soft: torch.Tensor, hard: torch.Tensor) -> torch.Tensor:
    """`hard` in value, bit for bit; `soft` in gradient."""
    out: torch.Tensor = _StraightThrough.apply(soft, hard.detach())  # type: ignore[no-untyped-call]
    return out


def round_pixels(frames: torch.Tensor) -> torch.Tensor:
    """Frames as uint8 would hold them, 0-255, with the gradient of clamping only."""
    clamped = frames.clamp(0.0, 255.0)
    return straight_through(clamped, clamped.round())


class _LearnedStep(torch.autograd.Function):
    """Quantization with a gradient for the step: codes minus the unrounded value inside, the bound outside."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, w: torch.Tensor, step: torch.Tensor, low: int, high: int, gain: float
    ) -> torch.Tensor:
        scaled = w / step
        codes = scaled.round().clamp(low, high) + 0.0
        ctx.save_for_backward(scaled, codes, step)
        ctx.bounds = (low, high, gain)  # type: ignore[attr-defined]
        return codes * step

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None, None, None]:
        scaled, codes, step = ctx.saved_tensors  # type: ignore[attr-defined]
        low, high, gain = ctx.bounds  # type: ignore[attr-defined]
        inside = (scaled >= low) & (scaled <= high)
        for_step = gradient * torch.where(inside, codes - scaled, codes)
        return gradient * inside, for_step.sum_to_size(step.shape) * gain, None, None, None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """One tensor as it is packed.

    Attributes:
        kind: "uniform", "fp4", "rows" or "half".
        shape: of the tensor.
        codes: int8 (shape) for uniform and rows; uint8 0-15 (n,) for fp4; float16 (shape) for half.
        steps: float16 (1,) or (rows,) for uniform, (blocks,) for fp4; empty otherwise.
        exponents: int8 (rows,), the step of a row is two to this power; rows only.
        depths: uint8 (rows,), bits per code; rows only.
    """

    kind: str
    shape: tuple[int, ...]
    codes: NDArray[np.int8] | NDArray[np.uint8] | NDArray[np.float16]
    steps: NDArray[np.float16]
    exponents: NDArray[np.int8]
    depths: NDArray[np.uint8]


def half(x: torch.Tensor) -> torch.Tensor:
    """The nearest half-precision value as float32, gradient straight through; -0 becomes 0."""
    return straight_through(x, x.half().float() + 0.0)


class Scheme(nn.Module):
    """Quantizers of all parameters of a model, with their learned steps and depths.

    Args:
        kind: one of SCHEMES.
        shapes: shape of every parameter by name; those of two and more dimensions are quantized.
        bits: depth of `lsq`, 2-8.

    Raises:
        ValueError: an unknown scheme or depth.
    """

    def __init__(self, kind: str, shapes: Mapping[str, tuple[int, ...]], bits: int = 8) -> None:
        super().__init__()
        if kind not in SCHEMES:
            raise ValueError(f"weight scheme must be one of {', '.join(SCHEMES)}, got {kind!r}")
        if not 2 <= bits <= 8:
            raise ValueError(f"bits must be 2 to 8, got {bits}")
        self.kind, self.shapes = kind, dict(shapes)
        self.high = 2 ** (bits - 1) - 1
        self.low = -self.high - 1
        self.steps, self.exponents, self.depths = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for name, shape in self.shapes.items():
            if len(shape) < 2:
                continue
            rows = (shape[0],) + (1,) * (len(shape) - 1)
            if kind.startswith("lsq"):
                self.steps[_key(name)] = nn.Parameter(torch.ones(rows if kind == "lsq-channel" else (1,) * len(shape)))
            elif kind == "depth":
                self.exponents[_key(name)] = nn.Parameter(torch.zeros(rows))
                self.depths[_key(name)] = nn.Parameter(torch.full(rows, float(MAX_DEPTH)))

    @torch.no_grad()
    def calibrate(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Set learned steps and exponents from these weights as they are; depths go back to the largest."""
        for name, weight in weights.items():
            if len(self.shapes[name]) < 2:
                continue
            w, key = weight.detach(), _key(name)
            if self.kind.startswith("lsq"):
                over = tuple(range(w.dim())) if self.kind == "lsq" else tuple(range(1, w.dim()))
                if self.high == 127:  # at eight bits the largest magnitude is the better start
                    step = w.abs().amax(dim=over, keepdim=True) / self.high
                else:
                    step = 2.0 * w.abs().mean(dim=over, keepdim=True) / math.sqrt(self.high)
                self.steps[key].copy_(step.clamp_min(_SMALLEST_STEP))
            elif self.kind == "depth":
                peak = w.abs().amax(dim=tuple(range(1, w.dim())), keepdim=True).clamp_min(_SMALLEST_STEP)
                self.exponents[key].copy_(torch.log2(peak / 127.0).ceil())
                self.depths[key].fill_(float(MAX_DEPTH))

    def fake(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Every parameter with the exact value that `pack` stores and the gradient of its scheme."""
        return {name: self._fake(name, w) for name, w in weights.items()}

    def _fake(self, name: str, w: torch.Tensor) -> torch.Tensor:
        if w.dim() < 2:
            return half(w)
        if self.kind.startswith("lsq"):
            step = self._learned_step(name)
            gain = 1.0 / math.sqrt(w.numel() / step.numel() * self.high)
            out: torch.Tensor = _LearnedStep.apply(w, step, self.low, self.high, gain)  # type: ignore[no-untyped-call]
            return out
        if self.kind == "depth":
            codes, step = self._rows(name, w)
            return codes * step
        if self._is_fp4(w):
            code, step = fp4_codes(w)
            return straight_through(w, fp4_values(code, step, w.shape))
        codes, step = self._uniform(w)
        return straight_through(w, codes * step)

    def _is_fp4(self, w: torch.Tensor) -> bool:
        return self.kind == "fp4" or (self.kind == "fp4-large" and w.numel() >= FP4_LARGE)

    def _learned_step(self, name: str) -> torch.Tensor:
        step = self.steps[_key(name)]
        return straight_through(step, step.detach().clamp_min(_SMALLEST_STEP).half().float())

    def _uniform(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        over = tuple(range(w.dim())) if self.kind in ("int8-tensor", "fp4-large") else tuple(range(1, w.dim()))
        step = (w.detach().abs().amax(dim=over, keepdim=True) / 127.0).clamp_min(_SMALLEST_STEP).half().float()
        return (w.detach() / step).round().clamp(-127, 127) + 0.0, step

    def _rows(self, name: str, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and steps of every row, both with gradients that reach weights, exponents and depths."""
        exponent = self.exponents[_key(name)].clamp(-24.0, 8.0)
        depth = self.depths[_key(name)].clamp(0.0, float(MAX_DEPTH))
        step = torch.exp2(straight_through(exponent, exponent.round()))
        bits = straight_through(depth, depth.round())
        bound = torch.exp2(bits - 1.0)
        scaled = w / step
        inside = torch.minimum(torch.maximum(straight_through(scaled, scaled.round()), -bound), bound - 1.0)
        # A row of depth zero has the bounds -1/2 and -1/2; it must be nothing at all.
        return torch.where(bits > 0.5, inside, torch.zeros_like(inside)) + 0.0, step

    @torch.no_grad()
    def pack(self, weights: Mapping[str, torch.Tensor]) -> dict[str, Quantized]:
        """Codes and steps of every parameter, in the order of the model."""
        return {name: self._pack(name, weights[name].detach()) for name in self.shapes}

    def _pack(self, name: str, w: torch.Tensor) -> Quantized:
        if w.dim() < 2:
            return _quantized("half", w, _numpy(w.half() + 0.0).astype(np.float16))
        if self._is_fp4(w):
            code, step = fp4_codes(w)
            return _quantized("fp4", w, _numpy(code).astype(np.uint8), steps=step)
        if self.kind == "depth":
            codes, step = self._rows(name, w)
            bits = self.depths[_key(name)].clamp(0.0, float(MAX_DEPTH)).round()
            return Quantized(
                kind="rows",
                shape=tuple(w.shape),
                codes=_numpy(codes).astype(np.int8),
                steps=np.empty(0, np.float16),
                exponents=_numpy(torch.log2(step)).astype(np.int8).reshape(-1),
                depths=_numpy(bits).astype(np.uint8).reshape(-1),
            )
        if self.kind.startswith("lsq"):
            step = self._learned_step(name).detach()
            codes = (w / step).round().clamp(self.low, self.high) + 0.0
        else:
            codes, step = self._uniform(w)
        return _quantized("uniform", w, _numpy(codes).astype(np.int8), steps=step)

    def rate_bits(self, weights: Mapping[str, torch.Tensor], law: str = "laplace") -> torch.Tensor:
        """Estimated bits of all quantized tensors, differentiable: what the rate term of a loss is made of.

        Args:
            law: one of `rate.LAWS`; `depth` and `fp4` know their bits without one.
        """
        total: list[torch.Tensor] = []
        for name, shape in self.shapes.items():
            if len(shape) < 2:
                continue
            w, per_row = weights[name], math.prod(shape[1:])
            if self.kind == "depth":
                depth = self.depths[_key(name)].clamp(0.0, float(MAX_DEPTH))
                total.append(straight_through(depth, depth.round()).sum() * per_row)
            elif self._is_fp4(w):
                total.append(w.new_tensor(4.0 * math.prod(shape)))
            else:
                step = self._learned_step(name) if self.kind.startswith("lsq") else self._uniform(w)[1]
                total.append(bits_under(law, w / step))
        return torch.stack(total).sum() if total else torch.zeros(())


def fp4_codes(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Four-bit codes int64 (n,), sign in bit 3, and half-rounded steps float32 (ceil(n / 32),)."""
    flat = w.detach().reshape(-1)
    blocks = nn.functional.pad(flat, (0, -len(flat) % FP4_BLOCK)).reshape(-1, FP4_BLOCK)
    step = (blocks.abs().amax(dim=1, keepdim=True) / FP4_LEVELS[-1]).clamp_min(_SMALLEST_STEP).half().float()
    levels = torch.tensor(FP4_LEVELS, device=w.device)
    level = torch.bucketize((blocks / step).abs().contiguous(), (levels[1:] + levels[:-1]) / 2)
    code = level + 8 * ((blocks < 0) & (level > 0))
    return code.reshape(-1)[: len(flat)], step.reshape(-1)


def fp4_values(code: torch.Tensor, step: torch.Tensor, shape: tuple[int, ...] | torch.Size) -> torch.Tensor:
    """The values of four-bit codes, float32 (shape)."""
    table = torch.tensor(FP4_LEVELS + tuple(-level for level in FP4_LEVELS), device=code.device) + 0.0
    return (table[code] * step.repeat_interleave(FP4_BLOCK)[: len(code)]).reshape(shape)


def _quantized(
    kind: str,
    w: torch.Tensor,
    codes: NDArray[np.int8] | NDArray[np.uint8] | NDArray[np.float16],
    steps: torch.Tensor | None = None,
) -> Quantized:
    packed = np.empty(0, np.float16) if steps is None else _numpy(steps).astype(np.float16).reshape(-1)
    return Quantized(
        kind=kind,
        shape=tuple(w.shape),
        codes=codes,
        steps=packed,
        exponents=np.empty(0, np.int8),
        depths=np.empty(0, np.uint8),
    )


def _numpy(x: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(x.detach().cpu().numpy())


def _key(name: str) -> str:
    """A parameter's name as a dictionary of modules accepts it."""
    return name.replace(".", "/")
