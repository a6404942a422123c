"""Fields: small integers on a coarse grid beside a pair's latent; where they start, how they round, what they cost.

A field starts as what share of its cell each class covers, so that a decoder has to learn only how to draw; training
then moves the codes as it moves everything else. What changes little from one pair to the next costs little.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lab.training.quantize import straight_through

LARGEST = 127
_STEPS = (0.0, 0.5, 1.0, 2.0, 4.0)
_SMALLEST_SCALE = 0.02
_WIDE, _SHARE_WIDE = 2.0, 0.01


def shares(classes: torch.Tensor, n_classes: int, size: tuple[int, int], levels: int) -> torch.Tensor:
    """Codes that say which share of each cell a class covers, float (N, n_classes - 1, rows, columns), 0 to `levels`.

    The most frequent class has no plane: it is what the others leave. A plane's largest share becomes `levels`, so
    that thin things use all codes too.

    Args:
        classes: uint8 (N, h, w).
        size: (rows, columns), divisors of h and w.
    """
    kept = sorted(range(n_classes), key=lambda number: -int((classes == number).sum()))[1:]
    planes = []
    for number in sorted(kept):
        covered = F.adaptive_avg_pool2d((classes == number).float()[:, None], size)
        planes.append((covered * (levels / covered.max().clamp_min(1e-6))).round())
    return torch.cat(planes, dim=1)


def rounded(values: torch.Tensor) -> torch.Tensor:
    """Codes of a field, gradient straight through inside the range of a code."""
    inside = values.clamp(-LARGEST, LARGEST)
    return straight_through(inside, inside.round())


def estimated_bits(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Bits of all fields as those of some pairs predict them, differentiable.

    Args:
        values: float (N, planes, rows, columns), codes before rounding.
        index: int64 (n,), pairs.

    Notes:
        A code is predicted by the pair before plus half of by how much the codes left and above departed from it. The
        residual follows a Laplace law whose scale is that of the residuals in equally restless surroundings, with a
        small share of a wide one, because what appears anew departs from every prediction.
    """
    codes = values[index].clamp(-LARGEST, LARGEST)
    with torch.no_grad():
        before = torch.where((index > 0)[:, None, None, None], values[(index - 1).clamp_min(0)].round(), 0.0)
        predicted, scale = _expected(codes.round(), before)
    return _bits(codes - predicted, scale).sum() * (len(values) / len(index))


def step_bits(codes: torch.Tensor) -> torch.Tensor:
    """By how many bits the fields grow where one code moves by -1 or by 1, float (2, N, planes, rows, columns).

    Args:
        codes: float (N, planes, rows, columns), whole numbers.

    Notes:
        By the law of `estimated_bits`, its scales held: what the code itself costs, what the codes right of it and
        below cost, and the same of the next pair, all of which it predicts.
    """
    before = torch.cat([torch.zeros_like(codes[:1]), codes[:-1]])
    predicted, scale = _expected(codes, before)
    gap = codes - predicted

    def grown(shift: float) -> torch.Tensor:
        """What every code costs more where its gap is wider by a shift."""
        return _bits(gap + shift, scale) - _bits(gap, scale)

    out = []
    for move in (-1.0, 1.0):
        aside, after, after_aside = grown(-0.5 * move), grown(-move), grown(0.5 * move)
        total = grown(move) + _reached(aside)
        total[:-1] += after[1:] + _reached(after_aside)[1:]
        out.append(total)
    return torch.stack(out)


def _reached(cost: torch.Tensor) -> torch.Tensor:
    """For every cell the costs of the cells right of it and below."""
    return F.pad(cost[..., 1:], (0, 1)) + F.pad(cost[..., 1:, :], (0, 0, 0, 1))


def _expected(still: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(prediction, scale of the residual) of rounded codes, given those of the pairs before."""
    moved = F.pad(still - before, (1, 0, 1, 0))
    left, above = moved[..., 1:, :-1], moved[..., :-1, 1:]
    padded = F.pad(before, (1, 1, 1, 1), mode="replicate")
    slope = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]).abs()
    slope = slope + (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]).abs()
    restless = 0.5 * slope + left.abs() + above.abs()
    kinds = torch.bucketize(restless, torch.tensor(_STEPS)) + (len(_STEPS) + 1) * torch.arange(still.shape[1]).view(
        1, -1, 1, 1
    )
    predicted = before + 0.5 * (left + above)
    size = (still - predicted).abs().clamp_max(1.0)
    sums = torch.zeros(int(kinds.max()) + 1).index_add(0, kinds.reshape(-1), size.reshape(-1))
    counts = torch.zeros(len(sums)).index_add(0, kinds.reshape(-1), torch.ones(kinds.numel()))
    return predicted, (sums / counts.clamp_min(1.0)).clamp_min(_SMALLEST_SCALE)[kinds]


def _bits(gap: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    chance = (1.0 - _SHARE_WIDE) * _chance(gap.abs(), scale) + _SHARE_WIDE * _chance(gap.abs(), torch.tensor(_WIDE))
    return -torch.log2(chance)


def _chance(gap: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Probability of the quantization cell at this distance under a Laplace law of this scale."""
    inside = 1.0 - torch.exp(-0.5 / scale) * torch.cosh(gap.clamp_max(0.5) / scale)
    outside = -0.5 * torch.expm1(-1.0 / scale) * torch.exp(-(gap - 0.5).clamp_min(0.0) / scale)
    return torch.where(gap < 0.5, inside, outside)
