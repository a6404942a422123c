"""From a recipe and a clip to a payload of the family `conventional`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lab.bitstream import Bitstream
from lab.codecs.base import Monitor, SourceClip
from lab.codecs.conventional import decode, encoders, prefilter
from lab.codecs.conventional import format as syntax
from lab.errors import BitstreamError, RecipeError, RoundTripMismatch
from lab.recipe import Recipe, fill
from lab.video import colour

_STEP_LIMIT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """What a recipe of this family sets.

    Attributes:
        encoder: x265, svt-av1 or x264.
        crf: the encoder's quality scale, 0 best.
        preset: the encoder's name for its speed.
        gop: pictures from one key picture to the next; 1 codes every picture alone, 0 the clip as one group.
        bframes: bidirectional pictures in a row, x265 and x264; the preset's without it.
        film_grain: SVT-AV1's film grain level, 0-50: the grain is taken out, described and put back by the decoder.
        encoder_options: further `key=value` of the encoder, from the table of what it understands.
        grid: size of a coded picture: the networks' model grid, the camera's frame, or `scale` times the camera's.
        scale: for grid "scale": the factor of both sides, rounded down to even.
        down: from frame to coded picture; "aligned" is the evaluator's own resize.
        up: from coded picture to frame; not used when the grid is the camera's.
        chroma: how the decoder enlarges chroma.
        unsharp: strength of the decoder's sharpening.
        noise: standard deviation of luma noise that the decoder adds, grey levels; costs no bytes.
        luma_denoise: standard deviation of a Gaussian on luma before coding, pixels of the coded grid.
        roi_mix: share of a denoised picture outside of the road corridor, 0-1; 0 is off.
        roi_sigma: the denoiser's Gaussian on luma, pixels.
        roi_reach, roi_feather: by how much the road is widened, and its soft border, pixels of the model grid.
    """

    encoder: Literal["x265", "svt-av1", "x264"]
    crf: float
    preset: str
    gop: int = 0
    bframes: int | None = None
    film_grain: int = 0
    encoder_options: tuple[str, ...] = ()
    grid: Literal["model", "camera", "scale"] = "model"
    scale: float = 0.45
    down: Literal["aligned", "lanczos", "bicubic", "area"] = "aligned"
    up: Literal["aligned", "bicubic", "lanczos", "bilinear"] = "aligned"
    chroma: Literal["bilinear", "nearest"] = "bilinear"
    unsharp: float = 0.0
    noise: float = 0.0
    luma_denoise: float = 0.0
    roi_mix: float = 0.0
    roi_sigma: float = 0.875
    roi_reach: int = 6
    roi_feather: float = 5.0

    def __post_init__(self) -> None:
        encoder = encoders.ENCODERS[self.encoder]
        if self.preset not in encoder.presets:
            raise ValueError(f"{self.encoder} has the presets {', '.join(encoder.presets)}, not {self.preset!r}")
        ranges: tuple[tuple[str, float, float], ...] = (
            ("crf", 0, encoder.crf_limit),
            ("gop", 0, 100_000),
            ("film_grain", 0, encoder.film_grain_limit),
            ("scale", 0.05, 1.0),
            ("unsharp", 0, _STEP_LIMIT * syntax.UNSHARP_STEP),
            ("noise", 0, _STEP_LIMIT * syntax.NOISE_STEP),
            ("luma_denoise", 0, 10),
            ("roi_mix", 0, 1),
            ("roi_sigma", 0, 10),
            ("roi_reach", 0, 64),
            ("roi_feather", 0, 64),
        )
        for name, low, high in ranges:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in {low} to {high} for {self.encoder}, got {value}")
        if self.bframes is not None and (self.encoder == "svt-av1" or not 0 <= self.bframes <= 16):
            raise ValueError(f"bframes must be 0 to 16 and is of x265 and x264 only, got {self.bframes}")

    def settings(self, where: str) -> encoders.Settings:
        """What the encoder is asked for."""
        return encoders.Settings(
            crf=self.crf,
            preset=self.preset,
            gop=self.gop,
            bframes=self.bframes,
            film_grain=self.film_grain,
            options=encoders.parse_options(self.encoder, self.encoder_options, where),
        )


def params_of(recipe: Recipe) -> Params:
    """The recipe's parameters, checked.

    Raises:
        RecipeError: a key is unknown or missing, a value does not fit, or the family has no such thing as stages.
    """
    where = f"recipe {recipe.name!r}"
    if recipe.stages:
        raise RecipeError(where, expected="no stages: nothing is trained here", found=f"{len(recipe.stages)} of them")
    params = fill(Params, recipe.params, where)
    params.settings(where)
    return params


def coded_size(params: Params, frame_size: tuple[int, int], model_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a coded picture, both even."""
    if params.grid == "camera":
        height, width = (side + side % 2 for side in frame_size)
    elif params.grid == "model":
        height, width = (side + side % 2 for side in model_size)
    else:
        height, width = (max(2, int(side * params.scale / 2) * 2) for side in frame_size)
    return height, width


def encode(source: SourceClip, recipe: Recipe, monitor: Monitor) -> Bitstream:
    """The bitstream of a clip under a recipe.

    Raises:
        RecipeError: the parameters do not fit the family or this contract's sizes.
        VideoError: the encoder refuses or fails.
        RoundTripMismatch: the decoder does not find the pictures that were coded.
    """
    params = params_of(recipe)
    contract = source.contract
    where = f"recipe {recipe.name!r}"
    size = coded_size(params, contract.frame_size, contract.model_size)
    _check_up(params, size, contract.frame_size, where)
    encoder = encoders.ENCODERS[params.encoder]
    stream = encoders.encode(
        params.encoder, params.settings(where), _pictures(source, params, size, monitor), size, contract.source.rate
    )
    head = syntax.Head(
        size=contract.frame_size,
        coded_size=size,
        n_pairs=contract.n_pairs,
        coding=encoder.coding,
        up="crop" if params.grid == "camera" else params.up,
        chroma=params.chroma,
        unsharp=round(params.unsharp / syntax.UNSHARP_STEP),
        noise=round(params.noise / syntax.NOISE_STEP),
    )
    bitstream = syntax.write(head, syntax.pack(stream, encoder.coding))
    _prove(bitstream.payload, monitor)
    return bitstream


def _check_up(params: Params, size: tuple[int, int], frame_size: tuple[int, int], where: str) -> None:
    if params.grid == "camera" or params.up != "aligned":
        return
    if any(large != small and large < 2 * small for large, small in zip(frame_size, size, strict=True)):
        raise RecipeError(
            where,
            expected=f"a frame at least twice the coded picture {size[0]}x{size[1]} for the aligned up-sampler",
            found=f"{frame_size[0]}x{frame_size[1]}",
            fix='set up = "bicubic"',
        )


def _pictures(source: SourceClip, params: Params, size: tuple[int, int], monitor: Monitor) -> Iterator[encoders.Planes]:
    """What the encoder is given, in display order."""
    corridor = None
    if params.roi_mix:
        corridor = prefilter.Corridor(source, reach=params.roi_reach, feather=params.roi_feather)
    total = source.contract.n_pairs
    for done, pair in enumerate(source.pairs(), start=1):
        planes = prefilter.to_planes(pair)
        if params.grid == "camera":
            small = prefilter.pad_even(planes).float()
        else:
            small = prefilter.DOWN_SAMPLERS[params.down](planes, size).clamp(0.0, 255.0)
        small = prefilter.denoise_luma(small, params.luma_denoise)
        if corridor is not None:
            small = prefilter.outside(small, corridor.of(planes, size), mix=params.roi_mix, sigma=params.roi_sigma)
        for frame in small:
            yield colour.rgb_to_yuv420(frame)
        monitor("encode", done, total)


def _prove(payload: bytes, monitor: Monitor) -> None:
    """Return only if the decoder finds every picture in a payload."""
    head, video = syntax.read(payload)
    try:
        for done, _ in enumerate(decode.pictures(head, video), start=1):
            monitor("read back", done // 2, head.n_pairs)
    except BitstreamError as error:
        raise RoundTripMismatch(
            "conventional", expected="the decoder to find every coded picture", found=str(error)
        ) from None
