"""Family `implicit`: one small latent per pair and a trained decoder; the decoder itself is the archive.

Idea: a convolutional decoder is overfitted to one clip, through the frozen networks instead of through pixels, and
shipped as a few tens of kilobytes of integer codes beside eight-bit latents. What it draws need not be a picture; both
networks must answer as they do on the source.

    source -> answers of both networks -> stages of training -> codes, steps       encode.py, judge.py
    codes -> latent polish, side-car, decode constants                             polish.py
    codes, steps -> latents, fields, decoder -> frames on the model grid -> up-sampling    decode.py, model.py

Sections of a payload, see `format.py`:

    header         field table: sizes, architecture, how steps are stored
    widths         channels and kernels of every stage
    steps          quantization steps of the weights
    vectors        biases in half precision
    weights        weight codes
    latent steps   quantization steps of the latents
    latents        latent codes
    fields         codes of the fields
    side-car       one correction per pair: dimension, amount
    constants      channel biases and the latents' scale

Reference: the public HNeRV entries of the contest (`published.py` reads their archives); H. Chen et al., "HNeRV", 2023.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.bitstream import Bitstream
from lab.codecs.base import CodecSpec, Monitor, Pair, SourceClip, silent
from lab.recipe import Recipe


class Implicit:
    """The family as the table of codecs has it; each method loads what it needs only then."""

    spec = CodecSpec(
        family="implicit",
        code=4,
        title="Latents and a decoder that is the archive",
        idea="Overfit a tiny convolutional decoder to the answers of both networks and ship its weights.",
        reference="HNeRV (CVPR 2023) and the public HNeRV entries of the contest; aligned up-sampling is ours",
        sections=(
            ("header", "field table"),
            ("widths", "channels and kernels of every stage"),
            ("steps", "quantization steps of the weights"),
            ("vectors", "biases in half precision"),
            ("weights", "weight codes"),
            ("latent steps", "quantization steps of the latents"),
            ("latents", "latent codes"),
            ("fields", "codes of the fields"),
            ("side-car", "one correction per pair: dimension, amount"),
            ("constants", "channel biases and the latents' scale"),
        ),
        requirements=("numpy", "numba", "torch"),
    )

    def check(self, recipe: Recipe) -> None:
        """Return only if the recipe's parameters and stages make sense; raises RecipeError."""
        from lab.codecs.implicit.params import params_of

        params_of(recipe)

    def encode(self, source: SourceClip, recipe: Recipe, monitor: Monitor = silent) -> Bitstream:
        """The bitstream of a source under a recipe; trains, and resumes where a run was cut off."""
        from lab.codecs.implicit.encode import encode

        return encode(source, recipe, monitor)

    def decode(self, payload: bytes) -> Iterator[Pair]:
        """The decoded pairs, uint8 (2, H, W, 3) RGB, display order."""
        from lab.codecs.implicit.decode import decode

        return decode(payload)

    def anatomy(self, payload: bytes) -> Bitstream:
        """The payload's sections."""
        from lab.codecs.implicit.format import anatomy

        return anatomy(payload)

    def runtime_files(self) -> tuple[Path, ...]:
        """The decoder closure."""
        from lab.codecs.closure import closure

        return closure("lab.codecs.implicit.decode")


codec = Implicit()
