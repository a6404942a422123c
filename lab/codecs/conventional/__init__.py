"""Family `conventional`: a standard encoder working on the grid that the networks see.

Idea: the receivers read a frame at the model grid only, so it is coded there, by x265, SVT-AV1 or x264, with every
choice of theirs that matters to the receivers open to a recipe: geometry, quantizer, preset, GOP, film grain, noise,
sharpening, and a denoise outside of the road that SegNet finds. The aligned up-sampler hands the decoded picture to
both networks without any resampling loss.

    pairs -> down-sample -> denoise -> YUV 4:2:0 -> encoder -> units        encode.py, prefilter.py, encoders.py
    units -> decoder -> RGB -> unsharp, noise -> up-sample -> pairs         decode.py, model.py

Sections of a payload, see `format.py`:

    header   field table: sizes, coding, up-sampler, filters
    video    the elementary stream, one child per unit in the anatomy

Reference: the x265 and AV1 entries of the contest (45 % Lanczos, AV1 with film grain, region-of-interest denoise).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.bitstream import Bitstream
from lab.codecs.base import CodecSpec, Monitor, Pair, SourceClip, silent
from lab.recipe import Recipe


class Conventional:
    """The family as the table of codecs has it; each method loads what it needs only then."""

    spec = CodecSpec(
        family="conventional",
        code=1,
        title="Standard encoders on the model grid",
        idea="Code only what the networks read, with x265 or SVT-AV1, and give it back by an exactly inverted resize.",
        reference="x265 and SVT-AV1 entries of the contest; aligned up-sampling is ours",
        sections=(("header", "field table"), ("video", "elementary stream: AV1 OBUs, HEVC or AVC NAL units")),
        requirements=("numpy", "torch", "av"),
    )

    def check(self, recipe: Recipe) -> None:
        """Return only if the recipe's parameters make sense; raises RecipeError."""
        from lab.codecs.conventional.encode import params_of

        params_of(recipe)

    def encode(self, source: SourceClip, recipe: Recipe, monitor: Monitor = silent) -> Bitstream:
        """The bitstream of a source under a recipe."""
        from lab.codecs.conventional.encode import encode

        return encode(source, recipe, monitor)

    def decode(self, payload: bytes) -> Iterator[Pair]:
        """The decoded pairs, uint8 (2, H, W, 3) RGB, display order."""
        from lab.codecs.conventional.decode import decode

        return decode(payload)

    def anatomy(self, payload: bytes) -> Bitstream:
        """The payload's sections, one child per coded unit."""
        from lab.codecs.conventional.format import anatomy

        return anatomy(payload)

    def runtime_files(self) -> tuple[Path, ...]:
        """The decoder closure."""
        from lab.closure import closure

        return closure("lab.codecs.conventional.decode")


codec = Conventional()
