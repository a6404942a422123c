"""Family `semantic_tto`: a payload of the family `semantic`, refined at inflate by the networks that judge it.

Idea: the decoder runs Adam on its own frames, with the frozen networks as the loss. The published mask renderers did
so before the rule was stated; it buys distortion for no bytes, since it ships the judge's networks uncharged. A run of
this family is therefore graded invalid by rule: its runtime carries files of weights that no archive pays for. It is
here to be measured, never ranked; what the same loop can find at the encoder goes into the streams of `semantic`.

    payload of `semantic` -> frames on the grid
    last frames: Adam on the margin of wrong and nearly wrong pixels against the decoded class map        decode.py
    first frames: a few steps back to the pose that the pair had before

Sections of a payload, see `format.py`:

    header     steps of both kinds
    semantic   a whole payload of the family `semantic`

Reference: the contest's entries of the kind (refused there by the rule on large artefacts); kitchen_sink's private row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.bitstream import Bitstream
from lab.codecs.base import CodecSpec, Monitor, Pair, SourceClip, silent
from lab.recipe import Recipe


class SemanticTto:
    """The family as the table of codecs has it; each method loads what it needs only then."""

    spec = CodecSpec(
        family="semantic_tto",
        code=5,
        title="Class maps refined by the judges at inflate",
        idea="Optimize the decoded frames through the frozen networks themselves; never ranked.",
        reference="test-time optimization of the contest's mask renderers",
        sections=(("header", "field table"), ("semantic", "payload of the family semantic")),
        requirements=("numpy", "numba", "torch", "safetensors"),
    )

    def check(self, recipe: Recipe) -> None:
        """Return only if the recipe's parameters make sense; raises RecipeError."""
        from lab.codecs.semantic_tto.encode import params_of

        params_of(recipe)

    def encode(self, source: SourceClip, recipe: Recipe, monitor: Monitor = silent) -> Bitstream:
        """The bitstream of a source under a recipe."""
        from lab.codecs.semantic_tto.encode import encode

        return encode(source, recipe, monitor)

    def decode(self, payload: bytes) -> Iterator[Pair]:
        """The decoded pairs, uint8 (2, H, W, 3) RGB, display order."""
        from lab.codecs.semantic_tto.decode import decode

        return decode(payload)

    def anatomy(self, payload: bytes) -> Bitstream:
        """The payload's sections."""
        from lab.codecs.semantic_tto.format import anatomy

        return anatomy(payload)

    def runtime_files(self) -> tuple[Path, ...]:
        """The decoder closure, and the networks of the embedded contract: what makes a run of this family invalid."""
        from lab.codecs.closure import closure
        from lab.contract import SHIPPED

        folder = SHIPPED / "minidrive"
        networks = (folder / "contract.toml", *sorted(folder.glob("*.safetensors")))
        return (*closure("lab.codecs.semantic_tto.decode"), *networks)


codec = SemanticTto()
