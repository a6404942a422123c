"""Family `semantic`: exact class maps, a tiny renderer that draws them for the networks, and the search that follows.

Idea: SegNet reads only the last frame of a pair, so its class map is sent exactly and drawn by a small generator in
whatever colours SegNet reads rightly. PoseNet reads both frames, so the first one, which nobody else looks at, is drawn
to make the motion right: a few numbers per pair condition it.

    source -> frozen SegNet -> class maps -> m                                     encode.py
    maps, poses -> phases of training -> packed weights -> w                       phases.py, model.py
    poses solved for on PoseNet -> p; contours edited -> m; actions tried -> r     poses.py, edits.py, tails.py
    m, w, p, r -> frames on the model grid -> aligned up-sampling                  decode.py, actions.py

Sections of a payload, see `format.py`:

    header     twelve bytes that address four streams
    m          class maps of the last frames
    w          the renderer: sizes, four-bit weights, other weights
    p          poses, one stream per dimension
    r          actions, one stream per tail

Reference: the public entries quantizr, qzs3 range mask ("The Wrong Target") and kitchen_sink of the contest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.bitstream import Bitstream
from lab.codecs.base import CodecSpec, Monitor, Pair, SourceClip, silent
from lab.recipe import Recipe


class Semantic:
    """The family as the table of codecs has it; each method loads what it needs only then."""

    spec = CodecSpec(
        family="semantic",
        code=3,
        title="Class maps and a tiny renderer",
        idea="Send what SegNet sees exactly and draw a picture that both networks read rightly.",
        reference="quantizr, qzs3 range mask and kitchen_sink of the contest; aligned up-sampling is ours",
        sections=(
            ("header", "twelve bytes that address four streams"),
            ("m", "class maps of the last frames"),
            ("w", "the renderer: sizes, four-bit weights, other weights"),
            ("p", "poses, one stream per dimension"),
            ("r", "actions, one stream per tail"),
        ),
        requirements=("numpy", "numba", "torch"),
    )

    def check(self, recipe: Recipe) -> None:
        """Return only if the recipe's parameters and stages make sense; raises RecipeError."""
        from lab.codecs.semantic.encode import params_of

        params_of(recipe)

    def encode(self, source: SourceClip, recipe: Recipe, monitor: Monitor = silent) -> Bitstream:
        """The bitstream of a source under a recipe; trains, and resumes where a run was cut off."""
        from lab.codecs.semantic.encode import encode

        return encode(source, recipe, monitor)

    def decode(self, payload: bytes) -> Iterator[Pair]:
        """The decoded pairs, uint8 (2, H, W, 3) RGB, display order."""
        from lab.codecs.semantic.decode import decode

        return decode(payload)

    def anatomy(self, payload: bytes) -> Bitstream:
        """The payload's sections."""
        from lab.codecs.semantic.format import anatomy

        return anatomy(payload)

    def runtime_files(self) -> tuple[Path, ...]:
        """The decoder closure."""
        from lab.codecs.closure import closure

        return closure("lab.codecs.semantic.decode")


codec = Semantic()
