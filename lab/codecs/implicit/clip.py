"""What training moves: a clip's latents with their decoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from lab.codecs.implicit import fields, packing
from lab.codecs.implicit.content import Content
from lab.codecs.implicit.model import Decoder, Shape
from lab.video import resample


class Clip(nn.Module):
    """Latents of a whole clip and the decoder: pair numbers int64 (n,) to frames, float (n, 2, 3, h, w), 0-255.

    Latents lie as (dimensions, pairs), so that a quantizer's row is a dimension. With `up` the frames are enlarged as
    a decoder will do it; when `noisy`, every pixel moves by -1, 0 or 1 grey level.
    """

    def __init__(self, shape: Shape, n_pairs: int, start: str) -> None:
        super().__init__()
        self.latents = nn.Parameter(_waves(shape.latent_dim, n_pairs, noisy=start == "noise"))
        if shape.planes:
            # A vector, because a quantizer keeps vectors as they are: these are codes already.
            self.fields = nn.Parameter(torch.zeros(n_pairs * math.prod(shape.field)))
            # Bits of the coder for one of the estimate, which knows less of what surrounds a code.
            self.field_price = 1.0
        self.decoder = Decoder(shape)
        self.up: tuple[int, int] | None = None
        self.noisy = False

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        latents = self.latents[:, index].T
        field = None
        if self.decoder.shape.planes:
            field = fields.rounded(self.fields.view(-1, *self.decoder.shape.field)[index])
        frames: torch.Tensor = self.decoder(latents, field)
        if self.up is not None:
            frames = resample.bicubic(frames, self.up)
        if self.noisy:
            # Seeded by the latents as they are: another draw at every step, the same one after a resume.
            seed = int(latents.detach().double().abs().sum() * 2.0**20)
            noise = torch.randint(-1, 2, frames.shape, generator=torch.Generator().manual_seed(seed))
            frames = frames + noise
        return frames

    @torch.no_grad()
    def take(self, content: Content) -> None:
        """Begin with what a payload holds, of this shape; corrections of its decode are left behind."""
        bare = replace(content, sidecar=np.empty((0, 2), np.int8), constants=np.empty(0, np.int8))
        values = {f"decoder.{name}": value for name, value in bare.values().items()}
        values |= {"latents": bare.latent_values().T, "fields": bare.fields.astype(np.float32)}
        for name, parameter in self.named_parameters():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values[name])).reshape(parameter.shape))

    def rate_bits(self, weights: Mapping[str, torch.Tensor], index: torch.Tensor) -> torch.Tensor:
        """Estimated bits of all fields from those of these pairs; a second decode of a pair counts as the pair."""
        if not self.decoder.shape.planes:
            return torch.zeros(())
        every = weights["fields"].view(-1, *self.decoder.shape.field)
        return self.field_price * fields.estimated_bits(every, index % len(every))

    @torch.no_grad()
    def price_fields(self) -> None:
        """Set what an estimated bit costs, from the fields as they are now."""
        codes = self.fields.view(-1, *self.decoder.shape.field).round()
        estimated = float(fields.estimated_bits(codes, torch.arange(len(codes))))
        n_bytes = len(packing.pack_fields(codes.to(torch.int8).numpy(), "around"))
        self.field_price = 8.0 * n_bytes / max(estimated, 1.0)


def _waves(dimension: int, n_pairs: int, *, noisy: bool) -> torch.Tensor:
    """First latents, float (dimension, n_pairs), of about unit variance."""
    if noisy:
        return torch.randn(dimension, n_pairs)
    # From half a turn over the clip to one turn in sixteen pairs, a constant ratio apart.
    fastest = max(n_pairs / 16.0, 1.0)
    turns = 0.5 * (fastest / 0.5) ** torch.linspace(0.0, 1.0, dimension)
    phase = torch.rand(dimension) * 2.0 * math.pi
    time = torch.linspace(0.0, 1.0, n_pairs)
    return math.sqrt(2.0) * torch.sin(2.0 * math.pi * turns[:, None] * time + phase[:, None])
