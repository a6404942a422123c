"""Family `filtered`: any inner codec, and a tiny network that repairs what its receivers would trip over.

Idea: a standard encoder spends bits on what people see. A residual network of a few kilobytes, trained through the
frozen networks on this very clip, moves the decoded pixels to where the networks answer as they do on the source. It
works on the grid that they read, before the aligned up-sampling, so training and decoding see the same numbers.

    pairs -> inner encoder -> inner payload -----------------------------+
                                   |                                     |
                             decoded pairs -> post-filter -> networks    |    encode.py, side.py
                                                   ^  loss  |            v
                                                   +--------+-> weights, side codes
    inner payload -> inner decoder -> post-filter -> side codes -> aligned up-sampling     decode.py, model.py

Sections of a payload, see `format.py`:

    header    field table: sizes, architecture, width
    inner     the payload of the wrapped codec, its own sections inside
    weights   the filter's: codes, steps, vectors
    side      a luma bias and a sub-pixel shift per frame, where they pay

References: the learned post-filter entries of the contest, and the shift-compensated 1.236 entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.bitstream import Bitstream
from lab.codecs.base import CodecSpec, Monitor, Pair, SourceClip, silent
from lab.recipe import Recipe


class Filtered:
    """The family as the table of codecs has it; each method loads what it needs only then."""

    spec = CodecSpec(
        family="filtered",
        code=2,
        title="A codec and a learned post-filter",
        idea="Compress with a standard encoder, then repair the decode with a tiny network trained through the judges.",
        reference="learned post-filters of the contest; task-aware compression's CPU lane",
        sections=(
            ("header", "field table"),
            ("inner", "a payload of another family"),
            ("weights", "codes, steps and vectors of the post-filter"),
            ("side", "per frame a luma bias and a shift"),
        ),
        requirements=("numpy", "numba", "torch", "av"),
    )

    def check(self, recipe: Recipe) -> None:
        """Return only if the recipe's parameters make sense; raises RecipeError."""
        from lab.codecs.filtered.encode import plan_of

        plan_of(recipe)

    def encode(self, source: SourceClip, recipe: Recipe, monitor: Monitor = silent) -> Bitstream:
        """The bitstream of a source under a recipe; training resumes in `source.work`."""
        from lab.codecs.filtered.encode import encode

        return encode(source, recipe, monitor)

    def restore(self, source: SourceClip, recipe: Recipe, checkpoint: Path, monitor: Monitor = silent) -> Bitstream:
        """The bitstream of a checkpoint's best candidate."""
        from lab.codecs.filtered.encode import restore

        return restore(source, recipe, checkpoint, monitor)

    def decode(self, payload: bytes) -> Iterator[Pair]:
        """The decoded pairs, uint8 (2, H, W, 3) RGB, display order."""
        from lab.codecs.filtered.decode import decode

        return decode(payload)

    def anatomy(self, payload: bytes) -> Bitstream:
        """The payload's sections; the inner payload's own nest inside."""
        from lab.codecs.filtered.decode import anatomy

        return anatomy(payload)

    def runtime_files(self) -> tuple[Path, ...]:
        """The decoder closure."""
        from lab.closure import closure

        return closure("lab.codecs.filtered.decode")


codec = Filtered()
