"""Laws of the family `conventional`: repeatable bytes, exact decoding, tiled sections, no trust in damaged input."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch

from lab import recipe as recipes
from lab.bitstream import check_tiling
from lab.codecs import by_payload, get
from lab.codecs.base import Codec, SourceClip
from lab.codecs.conventional import codec, decode, encode, prefilter
from lab.codecs.conventional import format as syntax
from lab.contract import Contract, Formula, SourceFile
from lab.errors import BitstreamError, LabError, RecipeError, Truncated, UnknownSyntax
from lab.recipe import Recipe
from lab.video import frames, resample

CAMERA, GRID, N_PAIRS = (146, 219), (64, 96), 5

VARIANTS: dict[str, dict[str, Any]] = {
    "x265": {"encoder": "x265", "crf": 28, "preset": "medium"},
    "x265 all intra": {"encoder": "x265", "crf": 28, "preset": "ultrafast", "gop": 1},
    "x264": {"encoder": "x264", "crf": 28, "preset": "fast", "bframes": 2},
    "av1": {"encoder": "svt-av1", "crf": 35, "preset": "10"},
    "av1 grain": {"encoder": "svt-av1", "crf": 35, "preset": "10", "film_grain": 22},
    "av1 gop": {"encoder": "svt-av1", "crf": 35, "preset": "10", "gop": 4, "encoder_options": ["sharpness=1"]},
    "camera": {"encoder": "x265", "crf": 28, "preset": "fast", "grid": "camera"},
    "scale": {
        "encoder": "x265",
        "crf": 30,
        "preset": "fast",
        "grid": "scale",
        "down": "lanczos",
        "up": "bicubic",
        "unsharp": 0.5,
        "noise": 2.0,
        "luma_denoise": 0.8,
        "chroma": "nearest",
    },
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> SourceClip:
    """Ten frames of a moving texture, kept without loss."""
    root = tmp_path_factory.mktemp("contract")
    rng = np.random.default_rng(5)
    rows, columns = CAMERA[0] + 2, CAMERA[1] + 40
    texture = rng.integers(0, 256, (rows // 6 + 1, columns // 6 + 1, 3)).repeat(6, 0).repeat(6, 1).astype(np.uint8)
    with av.open(str(root / "0.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.height, stream.width, stream.pix_fmt = CAMERA[0], CAMERA[1] + 1, "yuv420p"
        for index in range(2 * N_PAIRS):
            view = np.ascontiguousarray(texture[: CAMERA[0], 3 * index : 3 * index + CAMERA[1] + 1])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode(None))
    contract = Contract(
        name="texture",
        title="a moving texture",
        kind="own",
        root=root,
        source=SourceFile(file="0.mkv", sha256="", bytes=100_000, n_frames=2 * N_PAIRS, fps="20/1"),
        frame_size=CAMERA,
        model_size=GRID,
        n_pairs=N_PAIRS,
        classes=("road", "other"),
        networks={},
        formula=Formula(segnet=100.0, posenet=10.0, rate=25.0),
        time_limit_s=60,
    )
    return SourceClip(contract=contract, cache=root / "cache", work=root / "work")


def asked(params: dict[str, Any]) -> Recipe:
    return Recipe(name="conventional/asked", family="conventional", question="what happens?", params=params)


@pytest.fixture(scope="module")
def payloads(clip: SourceClip) -> dict[str, bytes]:
    return {name: codec.encode(clip, asked(params)).payload for name, params in VARIANTS.items()}


def decoded(payload: bytes) -> np.ndarray:
    return np.stack(list(codec.decode(payload)))


def test_the_table_of_families_finds_it(payloads: dict[str, bytes]) -> None:
    assert get("conventional") is codec
    assert by_payload(payloads["av1"]) is codec
    assert isinstance(codec, Codec)


@pytest.mark.parametrize("name", VARIANTS)
def test_one_recipe_gives_one_string_of_bytes(clip: SourceClip, payloads: dict[str, bytes], name: str) -> None:
    assert codec.encode(clip, asked(VARIANTS[name])).payload == payloads[name]


@pytest.mark.parametrize("name", VARIANTS)
def test_decoding_is_exact_in_count_and_size_and_repeats(payloads: dict[str, bytes], name: str) -> None:
    first = decoded(payloads[name])
    assert first.shape == (N_PAIRS, 2, *CAMERA, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, decoded(payloads[name]))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_decode_is_the_source_in_order_and_in_colour(
    clip: SourceClip, payloads: dict[str, bytes], name: str
) -> None:
    def seen(pairs: np.ndarray) -> torch.Tensor:
        return resample.resize(torch.from_numpy(pairs).flatten(0, 1).movedim(-1, 1), GRID)

    def distance(first: torch.Tensor, second: torch.Tensor) -> float:
        return float((first - second).square().mean().sqrt())

    source, found = seen(np.stack(list(clip.pairs()))), seen(decoded(payloads[name]))
    right = distance(source, found)
    assert right < 0.7 * distance(source[1:], found[:-1])
    assert right < 0.7 * distance(source[:-1], found[1:])
    assert right < 0.7 * distance(source, found.flip(1))
    assert abs(float((source - found).mean())) < 3.0


def test_the_networks_receive_exactly_the_decoded_picture(payloads: dict[str, bytes]) -> None:
    head, video = syntax.read(payloads["av1"])
    planes = list(decode.pictures(head, video))
    frames_seen = resample.resize(torch.from_numpy(decoded(payloads["av1"])).flatten(0, 1).movedim(-1, 1), GRID)
    same_size = head._replace(size=GRID, up="bilinear")
    coded = np.stack([decode.finish(same_size, picture, n) for n, picture in enumerate(planes)])
    assert torch.equal(frames_seen.round().to(torch.uint8), torch.from_numpy(coded).movedim(-1, 1))


def test_film_grain_is_put_back_by_the_decoder(payloads: dict[str, bytes]) -> None:
    assert payloads["av1"] != payloads["av1 grain"]
    assert not np.array_equal(decoded(payloads["av1"]), decoded(payloads["av1 grain"]))


@pytest.mark.parametrize("name", VARIANTS)
def test_sections_tile_the_payload_to_the_byte(payloads: dict[str, bytes], name: str) -> None:
    anatomy = codec.anatomy(payloads[name])
    assert anatomy.payload == payloads[name]
    check_tiling(anatomy.sections, 0, len(payloads[name]), name)
    video = anatomy.sections[-1]
    assert video.name == "video"
    pictures = [child for child in video.children if child.kind in ("frame", "picture", "key picture")]
    assert len(pictures) >= 2 * N_PAIRS


@pytest.mark.parametrize("name", ["x265", "x264", "av1 grain"])
def test_nothing_but_pictures_and_one_copy_of_each_parameter_set_is_kept(payloads: dict[str, bytes], name: str) -> None:
    head, video = syntax.read(payloads[name])
    units = list(syntax.units(video, head.coding))
    assert not {unit.name for unit in units} & {"temporal delimiter", "delimiter", "message", "metadata", "padding"}
    sets = [unit.data for unit in units if unit.name.endswith(("set", "sequence header"))]
    assert len(sets) == len(set(sets)) > 0


@pytest.mark.parametrize("name", ["x265", "av1 grain", "camera"])
def test_truncation_at_any_byte_is_named(payloads: dict[str, bytes], name: str) -> None:
    payload = payloads[name]
    places = {0, 1, 2, 5, 11, 12, 13, 14, len(payload) - 1, *range(15, len(payload), max(1, len(payload) // 60))}
    for place in sorted(places):
        with pytest.raises(BitstreamError):
            decoded(payload[:place])


def test_fewer_pictures_than_announced_are_truncation(payloads: dict[str, bytes]) -> None:
    for name in ("x265 all intra", "av1"):
        head, video = syntax.read(payloads[name])
        with pytest.raises(Truncated):
            decoded(syntax.write(head._replace(n_pairs=N_PAIRS + 1), video).payload)
        with pytest.raises(UnknownSyntax):
            decoded(syntax.write(head._replace(n_pairs=N_PAIRS - 1), video).payload)


@pytest.mark.parametrize("name", ["x265", "x264", "av1 grain", "scale"])
def test_damaged_bytes_end_in_frames_or_in_a_named_error(payloads: dict[str, bytes], name: str) -> None:
    rng = random.Random(11)
    outcomes = set()
    for _ in range(60):
        damaged = bytearray(payloads[name])
        for _ in range(rng.choice((1, 1, 3))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            outcomes.add(sum(1 for _ in codec.decode(bytes(damaged))))
        except BitstreamError:
            outcomes.add("refused")
    assert outcomes <= {N_PAIRS, "refused"}
    assert "refused" in outcomes


@pytest.mark.parametrize(
    "change",
    [
        {"size": (1 << 20, 1 << 20)},
        {"coded_size": (1 << 14, 1 << 14)},
        {"size": (0, 10)},
        {"coded_size": (63, 96)},
        {"n_pairs": 0},
        {"n_pairs": 1 << 30},
        {"coded_size": (74, 110)},
        {"up": "crop"},
    ],
)
def test_a_header_that_claims_what_cannot_be_is_refused_before_memory_is_taken(
    payloads: dict[str, bytes], change: dict[str, Any]
) -> None:
    head, video = syntax.read(payloads["av1"])
    with pytest.raises(UnknownSyntax):
        syntax.write(head._replace(**change), video)
    forged = dict(zip(("height", "width"), head._replace(**change).size, strict=True))
    forged |= dict(zip(("coded_height", "coded_width"), head._replace(**change).coded_size, strict=True))
    values, sections = syntax.LAYOUT.read(payloads["av1"])
    values |= forged | {key: value for key, value in change.items() if "size" not in key}
    with pytest.raises(UnknownSyntax):
        next(codec.decode(syntax.LAYOUT.write(values, sections).payload))


def test_a_stream_of_another_size_than_announced_is_refused(payloads: dict[str, bytes]) -> None:
    head, video = syntax.read(payloads["av1"])
    with pytest.raises(BitstreamError):
        decoded(syntax.write(head._replace(coded_size=(32, 48)), video).payload)


@pytest.mark.parametrize("payload", [b"", b"\xa7", b"\xa7\x02", b"PK\x03\x04" + bytes(60), bytes(200)])
def test_alien_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(BitstreamError):
        decoded(payload)
    with pytest.raises(BitstreamError):
        codec.anatomy(payload)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"quality": 3}, "'quality'"),
        ({"crf": 99}, "crf must lie in 0 to 63"),
        ({"preset": "slow"}, "presets"),
        ({"bframes": 3}, "x265 and x264 only"),
        ({"encoder": "libaom"}, "one of x265, svt-av1, x264"),
        ({"encoder_options": ["sharpnes=1"]}, "did you mean .*sharpness"),
        ({"encoder_options": ["keyint=3"]}, "not set elsewhere"),
        ({"encoder_options": ["sharpness"]}, "key=value"),
        ({"encoder_options": ["sharpness=1:lp=4"]}, "key=value"),
        ({"encoder_options": ["sharpness=1", "sharpness=2"]}, "every key once"),
        ({"roi_mix": 1.5}, "roi_mix"),
        ({"film_grain": 51}, "film_grain"),
    ],
)
def test_a_recipe_that_asks_for_what_does_not_exist_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        codec.check(asked(VARIANTS["av1"] | change))


def test_film_grain_is_of_av1_only() -> None:
    with pytest.raises(RecipeError, match="film_grain"):
        codec.check(asked(VARIANTS["x265"] | {"film_grain": 8}))


def test_stages_are_refused() -> None:
    with pytest.raises(RecipeError, match="stages"):
        codec.check(replace(asked(VARIANTS["x265"]), stages=({"steps": 3},)))


def test_aligned_up_sampling_below_a_scale_of_two_is_refused_before_encoding(clip: SourceClip) -> None:
    with pytest.raises(RecipeError, match=r'set up = "bicubic"'):
        codec.encode(clip, asked({**VARIANTS["av1"], "grid": "scale", "scale": 0.9}))


def test_a_clip_that_is_too_short_is_an_error_and_not_a_shorter_payload(clip: SourceClip) -> None:
    longer = SourceClip(contract=replace(clip.contract, n_pairs=N_PAIRS + 1), cache=clip.cache, work=clip.work)
    with pytest.raises(LabError, match="expected 12 frames, found 10"):
        codec.encode(longer, asked(VARIANTS["av1"]))


def test_the_region_of_interest_keeps_the_road_and_smooths_the_rest(
    clip: SourceClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LeftIsRoad(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            left = torch.zeros(x.shape[0], 2, *x.shape[-2:])
            left[:, 0, :, : x.shape[-1] // 3] = 1.0
            left[:, 1, :, x.shape[-1] // 3 :] = 1.0
            return left

    networks = pytest.importorskip("lab.evaluator.networks")
    monkeypatch.setattr(networks, "load", lambda contract: (LeftIsRoad(), None))
    pair = prefilter.to_planes(next(clip.pairs()))
    corridor = prefilter.Corridor(clip, reach=2, feather=2.0).of(pair, GRID)
    small = resample.resize(pair, GRID)
    out = prefilter.outside(small, corridor, mix=0.6, sigma=1.0)
    assert torch.allclose(out[..., :20], small[..., :20], atol=1e-3)
    assert float((out - small)[..., 60:].abs().mean()) > 1.0
    plain = codec.encode(clip, asked(VARIANTS["x265"])).payload
    smoothed = codec.encode(clip, asked(VARIANTS["x265"] | {"roi_mix": 0.8, "roi_sigma": 1.5})).payload
    assert len(smoothed) < len(plain)


def test_progress_is_reported_to_the_end(clip: SourceClip) -> None:
    seen: list[tuple[str, int, int]] = []
    codec.encode(clip, asked(VARIANTS["x264"]), lambda *event: seen.append(event))
    assert ("encode", N_PAIRS, N_PAIRS) in seen
    assert ("read back", N_PAIRS, N_PAIRS) in seen


@pytest.mark.parametrize("name", [name for name in recipes.names() if name.startswith("conventional/")])
def test_every_recipe_that_ships_is_accepted_and_names_a_parent_that_ships(name: str) -> None:
    loaded = recipes.load(name)
    codec.check(loaded)
    if loaded.parent:
        parent = encode.params_of(recipes.load(loaded.parent))
        assert encode.params_of(loaded) != parent
        assert loaded.changed


def test_recipes_that_ship_ask_for_different_things() -> None:
    shipped = [name for name in recipes.names() if name.startswith("conventional/")]
    assert len({encode.params_of(recipes.load(name)) for name in shipped}) == len(shipped)


def test_coded_sides_are_even_on_every_grid() -> None:
    for grid in ("model", "camera", "scale"):
        params = encode.Params(encoder="x265", crf=30, preset="fast", grid=grid)  # type: ignore[arg-type]
        size = encode.coded_size(params, (437, 583), (192, 256))
        assert all(side % 2 == 0 for side in size)


def test_pictures_reach_the_encoder_in_pairs_order(clip: SourceClip) -> None:
    single: Iterator[np.ndarray] = frames.read_frames(clip.contract.source_path)
    first = next(single)[: CAMERA[0], : CAMERA[1]]
    np.testing.assert_array_equal(next(clip.pairs())[0], first)
    assert clip.contract.source.rate == Fraction(20)
