"""What a content is worth: written, parsed, drawn and shown to both frozen networks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lab.codecs import judge
from lab.codecs.pixels import rounded
from lab.codecs.semantic import decode
from lab.codecs.semantic import format as syntax
from lab.codecs.semantic.content import Content
from lab.training.progress import Validation


class Judge(judge.Judge):
    """Judges contents of this family."""

    def validation(self, content: Content, *, pose: bool = True) -> Validation:
        """What a content is worth, from its payload; the class maps' own round trip is proved once, at the end."""
        stream = syntax.write(content)
        parsed = syntax.read_beside(stream.payload, content.maps)
        frames = decode.rendered(parsed)
        return self.worth(
            self.measure((rounded(batch).float() for batch in frames), pose=pose), len(stream.payload), pose=pose
        )

    def of_frames(
        self, frames: torch.Tensor, index: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(segnet, posenet) distortion of drawn pairs, float (n, 2, 3, h, w), unrounded; `index` says which."""
        return self.of_seen(rounded(frames).float(), index)
