"""What a content is worth: written, parsed, drawn and shown to both frozen networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from lab.codecs import judge, weights
from lab.codecs.pixels import rounded
from lab.codecs.semantic import decode
from lab.codecs.semantic import format as syntax
from lab.codecs.semantic.content import Content, Maps
from lab.codecs.semantic.model import Renderer, Shape
from lab.training.parameters import estimated_bytes
from lab.training.progress import Validation
from lab.training.quantize import Quantized


class Judge(judge.Judge):
    """Judges contents of this family."""

    def validation(self, content: Content) -> Validation:
        """What a content is worth, from its payload; the class maps' own round trip is proved once, at the end."""
        stream = syntax.write(content)
        parsed = syntax.read_beside(stream.payload, content.maps)
        seen = (rounded(frames).float() for frames in decode.rendered(parsed))
        return self.worth(self.measure(seen), len(stream.payload))

    def of_last_frames(self, shape: Shape, maps: Maps, packed: Mapping[str, Quantized]) -> Validation:
        """What a renderer without its motion branch is worth, by SegNet alone; its bytes are estimated."""
        renderer = Renderer(shape)
        values = {name: torch.from_numpy(weights.values(tensor)) for name, tensor in packed.items()}
        renderer.load_state_dict(values, strict=False)
        found = self.measure(_last_frames(renderer, torch.from_numpy(maps.labels)), pose=False)
        return self.worth(found, len(maps.coded) + estimated_bytes(packed.values()), pose=False)


@torch.no_grad()
def _last_frames(renderer: Renderer, maps: torch.Tensor) -> Iterator[torch.Tensor]:
    for part in torch.split(maps, decode.BATCH_PAIRS):
        last = rounded(renderer.last_frame(part, renderer.features(part))).float()
        yield torch.stack([last, last], dim=1)
