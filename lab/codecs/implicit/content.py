"""What a payload of the family `implicit` says, and the numbers that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.codecs.implicit.model import Shape, tensor_shapes
from lab.codecs.implicit.packing import FieldCoder

# Units of the corrections: of a latent's step, of a grey level, and of the latents' scale.
SIDECAR_UNIT = 0.25
BIAS_UNIT = 0.125
SCALE_UNIT = 1.0 / 1024.0


class Head(NamedTuple):
    """The header's values, checked."""

    size: tuple[int, int]
    n_pairs: int
    up: Literal["aligned", "bicubic", "none"]
    shape: Shape
    granularity: Literal["tensor", "row"] = "tensor"
    step_kind: Literal["half", "single", "exponent"] = "half"
    vectors: Literal["half", "codes"] = "half"
    latent_kind: Literal["signed", "unsigned"] = "signed"
    field_coder: FieldCoder = "rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a payload says.

    Attributes:
        head: sizes and architecture.
        codes: int8 of every quantized weight tensor, by name, in the decoder's order.
        steps: float32 (1,) or (rows,) for each of them; half-representable or powers of two where the header says so.
        vectors: float32 of every vector that is not quantized, half-representable.
        latents: uint8 (latent_dim, n_pairs), signed codes in two's complement.
        fields: int8 (n_pairs, planes, rows, columns); no planes where the decoder takes no field.
        latent_steps: float32 (1,) or (latent_dim,); for unsigned codes (2, latent_dim): steps, offsets.
        sidecar: int8 (n_pairs, 2): dimension + 1 or 0 for none, amount in units of a quarter step.
        constants: int8 (7,): bias of the six channels in eighths of a grey level, scale of latents in 1/1024; or empty.
    """

    head: Head
    codes: dict[str, NDArray[np.int8]]
    steps: dict[str, NDArray[np.float32]]
    vectors: dict[str, NDArray[np.float32]]
    latents: NDArray[np.uint8]
    fields: NDArray[np.int8]
    latent_steps: NDArray[np.float32]
    sidecar: NDArray[np.int8]
    constants: NDArray[np.int8]

    def values(self) -> dict[str, NDArray[np.float32]]:
        """Every weight, float32, by name."""
        out: dict[str, NDArray[np.float32]] = {}
        for name, shape in tensor_shapes(self.head.shape).items():
            if name in self.vectors:
                out[name] = self.vectors[name].reshape(shape)
            else:
                steps = self.steps[name].reshape((-1,) + (1,) * (len(shape) - 1))
                out[name] = self.codes[name].astype(np.float32).reshape(shape) * steps
        return out

    def latent_values(self) -> NDArray[np.float32]:
        """Latents with every correction, float32 (n_pairs, latent_dim)."""
        if self.head.latent_kind == "unsigned":
            steps, offsets = self.latent_steps.reshape(2, -1, 1)
            values = self.latents.astype(np.float32) * steps + offsets
        else:
            steps = np.broadcast_to(self.latent_steps.reshape(-1, 1), (len(self.latents), 1))
            values = self.latents.view(np.int8).astype(np.float32) * steps
        if len(self.sidecar):
            pairs = np.flatnonzero(self.sidecar[:, 0])
            dimensions = self.sidecar[pairs, 0].astype(np.int64) - 1
            amounts = self.sidecar[pairs, 1].astype(np.float32) * np.float32(SIDECAR_UNIT)
            values[dimensions, pairs] += amounts * steps[dimensions, 0]
        if len(self.constants):
            values *= np.float32(1.0 + float(self.constants[6]) * SCALE_UNIT)
        return np.ascontiguousarray(values.T)

    def latent_sizes(self) -> NDArray[np.float32]:
        """By how much a latent moves when its code moves by one, float32 (latent_dim,)."""
        unsigned = self.head.latent_kind == "unsigned"
        steps = self.latent_steps.reshape(2, -1)[0] if unsigned else self.latent_steps
        scale = 1.0 + float(self.constants[6]) * SCALE_UNIT if len(self.constants) else 1.0
        return np.broadcast_to(steps, (len(self.latents),)) * np.float32(scale)

    def biases(self) -> NDArray[np.float32]:
        """What is added to the decoder's output before rounding, grey levels, float32 (2, 3, 1, 1)."""
        biases = self.constants[:6].astype(np.float32) if len(self.constants) else np.zeros(6, np.float32)
        return (biases * np.float32(BIAS_UNIT)).reshape(2, 3, 1, 1)
