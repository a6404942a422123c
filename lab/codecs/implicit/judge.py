"""What a payload is worth: written, parsed, decoded and shown to both frozen networks.

Only the encoder judges. The aligned up-sampler hands the networks exactly the decoder's rounded grid, so nothing is
resized for it; any other goes to camera size and back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lab.codecs import judge
from lab.codecs.implicit import decode
from lab.codecs.implicit import format as syntax
from lab.codecs.implicit.content import Content, Head
from lab.codecs.pixels import rounded
from lab.training import losses, targets
from lab.training.progress import Validation
from lab.training.quantize import round_pixels
from lab.video import resample

_BATCH_PAIRS = 4


class Slopes(NamedTuple):
    """Gradients, float (n_pairs, latent_dim) and (n_pairs, planes, rows, columns); no fields, no gradient of them."""

    latents: torch.Tensor
    fields: torch.Tensor | None


class Judge(judge.Judge):
    """Judges contents of this family."""

    def validation(self, content: Content) -> Validation:
        """What a content is worth, from its payload."""
        payload = syntax.write(content).payload
        parsed = syntax.read(payload)
        found = self.measure(self.seen(frames, parsed.head) for frames in decode.rendered(parsed))
        return self.worth(found, len(payload))

    @staticmethod
    def payload_bytes(content: Content) -> int:
        """Size of a content's payload."""
        return len(syntax.write(content).payload)

    def seen(self, frames: torch.Tensor, head: Head) -> torch.Tensor:
        """Pairs as the networks see them, float (n, 2, 3, h, w), on the model grid.

        Args:
            frames: float (n, 2, 3, h, w), the decoder's, unrounded.
        """
        if head.up == "aligned":  # the evaluator's resize gives back exactly these
            return rounded(frames).float()
        return targets.planes_of(np.stack(list(decode.enlarge(frames, head))), self.known.size)

    def of_pairs(
        self, frames: torch.Tensor, head: Head, index: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(segnet, posenet) distortion of decoded pairs, float64 (n,) each.

        Args:
            frames: float (n, 2, 3, h, w), the decoder's, unrounded.
            index: which pairs they stand for.
        """
        return self.of_seen(self.seen(frames, head), index)

    def slopes(self, content: Content, posenet: float, tau: float) -> Slopes:
        """Gradient of a smooth score with respect to every latent and every code of a field.

        Args:
            posenet: mean distortion of the pose network, at which the score's root is linear.
            tau: width of the smooth count of flipped pixels, in logits.

        Notes:
            Times n_pairs: the gradient of each pair's own part.
        """
        decoder = decode.build(content)
        values = torch.from_numpy(content.latent_values())
        biases, fields = torch.from_numpy(content.biases()), decode.fields_of(content)
        weight = self.pose_weight(posenet)
        out = Slopes(torch.zeros_like(values), None if fields is None else torch.zeros_like(fields))
        for start in range(0, len(values), _BATCH_PAIRS):
            part = slice(start, start + _BATCH_PAIRS)
            z = values[part].clone().requires_grad_()
            field = None if fields is None else fields[part].clone().requires_grad_()
            frames = decoder(z, field) + biases
            if content.head.up == "bicubic":
                frames = resample.bicubic(frames, content.head.size)
            logits, pose = targets.answers(round_pixels(frames), self.known.size, self.segnet, self.posenet)
            flips = losses.flip_rate(logits, self.known.classes[part].long(), tau).flatten(1).mean(dim=1)
            loss = self.formula.segnet * flips + weight * losses.pose_distortion(pose, self.known.pose[part])
            asked = (z,) if field is None else (z, field)
            found = torch.autograd.grad(loss.sum(), asked)
            out.latents[part] = found[0]
            if out.fields is not None:
                out.fields[part] = found[1]
        return out
