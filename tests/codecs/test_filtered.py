"""Laws of the family `filtered`: an untrained filter changes nothing, a trained one decodes as it was measured."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import torch

from lab import cli, closure
from lab import recipe as recipes
from lab.bitstream import check_tiling
from lab.codecs import by_payload, get, weights
from lab.codecs.base import Codec, SourceClip
from lab.codecs.filtered import codec, decode, material, side
from lab.codecs.filtered import format as syntax
from lab.codecs.filtered.model import ARCHITECTURES, SIDE, VIEWS, build_postfilter, render, steered
from lab.errors import BitstreamError, RecipeError, TrainingError, UnknownSyntax
from lab.evaluator import networks
from lab.recipe import Recipe
from lab.training import targets
from lab.training.progress import CHECKPOINT, LOG
from lab.training.quantize import Scheme

INNER = "conventional/av1-grid-crf30"
STAGES = ({"name": "fit", "steps": 24, "batch_pairs": 2, "lr": 2e-3, "seg_loss": "softplus", "quantize": True},)
PARAMS: dict[str, Any] = {
    "inner": INNER,
    "inner_params": {"crf": 55, "preset": "10"},
    "hidden": 4,
    "validate_every": 12,
}


def asked(stages: tuple[dict[str, Any], ...] = STAGES, **params: Any) -> Recipe:
    return Recipe(
        name="filtered/asked", family="filtered", question="what happens?", params={**PARAMS, **params}, stages=stages
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> SourceClip:
    """The toy contract with its own networks."""
    root = tmp_path_factory.mktemp("house")
    return SourceClip(contract=fakes.toy_contract(root / "ledgers"), cache=root / "cache", work=root / "work")


def elsewhere(clip: SourceClip, name: str) -> SourceClip:
    return replace(clip, work=clip.work / name)


@pytest.fixture(scope="module")
def payloads(clip: SourceClip) -> dict[str, bytes]:
    """A plain one, one with side codes, and one whose first frames are moved last ones."""
    return {
        "plain": codec.encode(elsewhere(clip, "plain"), asked()).payload,
        "shift": codec.encode(elsewhere(clip, "shift"), asked(architecture="shift", view="frame")).payload,
        "moved": codec.encode(elsewhere(clip, "moved"), asked(first="moved", view="frame")).payload,
    }


def decoded(payload: bytes) -> np.ndarray:
    return np.stack(list(codec.decode(payload)))


def grids() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (3, 2, 3, 18, 26), generator=generator).to(torch.uint8)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("view", VIEWS)
def test_an_untrained_filter_changes_nothing(architecture: str, view: str) -> None:
    model = build_postfilter(architecture, hidden=5, view=view)
    frames = grids()
    assert torch.equal(torch.cat(list(render(model, frames))), frames)
    # It starts at zero by its last layer alone: a gradient reaches it, and one step makes it do something.
    model(frames.float()).square().mean().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.03 * parameter.grad.sign()
    assert not torch.equal(torch.cat(list(render(model, frames))), frames)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_odd_grids_are_filtered_whole(architecture: str) -> None:
    model = build_postfilter(architecture, hidden=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.01)
    frames = grids()[..., :17, :25].float()
    with torch.no_grad():
        out = model(frames)
    assert out.shape == frames.shape
    assert float((out - frames)[..., -1, -1].abs().min()) > 0.0


def test_the_dilated_filter_sees_fifteen_pixels_and_the_standard_one_seven() -> None:
    for architecture, reach in (("standard", 3), ("dilated", 7)):
        model = build_postfilter(architecture, hidden=4, view="frame")
        torch.nn.init.ones_(model.body[-1].weight)
        frames = torch.full((1, 2, 3, 31, 31), 127.5, requires_grad=True)
        (model(frames) - frames)[0, 0, 0, 15, 15].backward()
        touched = frames.grad[0, 0].abs().sum(dim=0).nonzero()
        assert (touched.min(dim=0).values.tolist(), touched.max(dim=0).values.tolist()) == (
            [15 - reach] * 2,
            [15 + reach] * 2,
        )


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"standard, dilated.*shift, got 'unet'"):
        build_postfilter("unet")
    with pytest.raises(ValueError, match="frame, pair"):
        build_postfilter("standard", view="clip")
    with pytest.raises(ValueError, match="1 to 256"):
        build_postfilter("standard", hidden=0)


def test_the_table_of_families_finds_it(payloads: dict[str, bytes]) -> None:
    assert get("filtered") is codec
    assert by_payload(payloads["plain"]) is codec
    assert isinstance(codec, Codec)


@pytest.mark.parametrize("name", ["plain", "shift", "moved"])
def test_the_decode_shows_the_networks_what_was_measured(
    clip: SourceClip, payloads: dict[str, bytes], name: str
) -> None:
    """Camera frames through the evaluator's own chain give the components of the best candidate in the log."""
    contract = clip.contract
    segnet, posenet = networks.load(contract)
    known = material.reference(clip, segnet, posenet, lambda *_: None)
    frames = targets.planes_of(decoded(payloads[name]), contract.model_size)
    found = targets.measure([frames], known, segnet, posenet)
    if name == "plain":
        log = (clip.work / name / LOG).read_text(encoding="utf-8").splitlines()
        column = log[0].split(",").index("segnet")
        assert repr(found.segnet) in {row.split(",")[column] for row in log}
    head, parts = syntax.read(payloads[name])
    inner = torch.cat(list(decode.inner_frames(head, parts.inner)))
    codes = None if parts.side is None else torch.from_numpy(parts.side)
    shown = torch.cat(list(render(decode.filter_of(head, parts.weights), inner, codes)))
    assert torch.equal(frames, shown.float())


def test_the_filter_beats_the_codec_that_it_wraps(clip: SourceClip, payloads: dict[str, bytes]) -> None:
    contract = clip.contract
    segnet, posenet = networks.load(contract)
    known = material.reference(clip, segnet, posenet, lambda *_: None)
    head, parts = syntax.read(payloads["plain"])
    inner = targets.measure(decode.inner_frames(head, parts.inner), known, segnet, posenet)
    frames = targets.planes_of(decoded(payloads["plain"]), contract.model_size)
    found = targets.measure([frames], known, segnet, posenet)
    formula = contract.formula
    before, after = (
        formula.score(segnet=d.segnet, posenet=d.posenet, archive_bytes=1, source_bytes=10**9).total
        for d in (inner, found)
    )
    assert after < before


def test_one_recipe_and_seed_give_one_string_of_bytes(clip: SourceClip, payloads: dict[str, bytes]) -> None:
    assert codec.encode(elsewhere(clip, "again"), asked()).payload == payloads["plain"]
    assert codec.encode(elsewhere(clip, "plain"), asked()).payload == payloads["plain"]
    other = replace(asked(), seed=3)
    assert codec.encode(elsewhere(clip, "other"), other).payload != payloads["plain"]


@pytest.mark.parametrize("name", ["plain", "shift", "moved"])
def test_sections_nest_and_tile_the_payload_to_the_byte(payloads: dict[str, bytes], name: str) -> None:
    found = codec.anatomy(payloads[name])
    assert found.payload == payloads[name]
    check_tiling(found.sections, 0, len(payloads[name]), name)
    inner = next(section for section in found.sections if section.name == "inner")
    assert [child.name for child in inner.children] == ["header", "video"]
    assert len(inner.children[1].children) >= 2
    stored = next(section for section in found.sections if section.name == "weights")
    assert {child.name for child in stored.children} == {"lengths", "codes", "steps", "vectors"}


@pytest.mark.parametrize("name", ["plain", "shift", "moved"])
def test_truncation_at_any_byte_is_named(payloads: dict[str, bytes], name: str) -> None:
    payload = payloads[name]
    inner_at = payload.index(b"\xa7\x01")
    places = {*range(inner_at + 20), *range(len(payload) - 330, len(payload), 7), *range(0, len(payload), 97)}
    for place in sorted(place for place in places if 0 <= place < len(payload)):
        with pytest.raises(BitstreamError):
            decoded(payload[:place])


def test_damaged_bytes_end_in_frames_or_in_a_named_error(payloads: dict[str, bytes]) -> None:
    rng = random.Random(3)
    outcomes = set()
    for _ in range(40):
        damaged = bytearray(payloads["shift"])
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            outcomes.add(sum(1 for _ in codec.decode(bytes(damaged))))
        except BitstreamError:
            outcomes.add("refused")
    assert outcomes <= {fakes.N_PAIRS, "refused"}
    assert "refused" in outcomes


@pytest.mark.parametrize(
    "change", [{"n_pairs": 0}, {"n_pairs": 1 << 30}, {"hidden": 1 << 20}, {"grid_width": 9999}, {"height": 1 << 20}]
)
def test_a_header_that_claims_what_cannot_be_is_refused(payloads: dict[str, bytes], change: dict[str, int]) -> None:
    values, sections = syntax.LAYOUT.read(payloads["plain"])
    with pytest.raises(UnknownSyntax):
        next(codec.decode(syntax.LAYOUT.write({**values, **change}, sections).payload))


def test_a_payload_inside_itself_is_refused(payloads: dict[str, bytes]) -> None:
    values, sections = syntax.LAYOUT.read(payloads["plain"])
    nested = syntax.LAYOUT.write(values, {**sections, "inner": payloads["plain"]}).payload
    with pytest.raises(UnknownSyntax, match="another family"):
        next(codec.decode(nested))
    alien = syntax.LAYOUT.write(values, {**sections, "inner": b"\xa7\x63" + bytes(40)}).payload
    with pytest.raises(UnknownSyntax, match="conventional"):
        next(codec.decode(alien))


def test_weights_of_another_filter_are_refused(payloads: dict[str, bytes]) -> None:
    values, sections = syntax.LAYOUT.read(payloads["plain"])
    for change in ({"hidden": 5}, {"architecture": "psd"}, {"view": "frame"}, {"weights": "fp4"}):
        with pytest.raises(BitstreamError):
            next(codec.decode(syntax.LAYOUT.write({**values, **change}, sections).payload))


def codes_of(**values: int) -> torch.Tensor:
    """The codes of one frame by name, int8 (1, 10)."""
    return torch.tensor([[values.get(name, 0) for name in SIDE]], dtype=torch.int8)


def test_side_codes_move_frames_and_light_them() -> None:
    frames = grids()[0].float()
    both = codes_of().expand(2, -1)
    assert torch.equal(steered(frames, both), frames)
    whole = steered(frames, codes_of(down=32, right=-48).expand(2, -1))
    assert torch.allclose(whole[..., 2:, :-3], frames[..., :-2, 3:], atol=0.05)
    half = steered(frames, codes_of(right=8).expand(2, -1))
    assert torch.allclose(half[..., 1:], (frames[..., 1:] + frames[..., :-1]) / 2, atol=0.05)
    one = torch.cat([codes_of(), codes_of(bias=8, contrast=64)])
    lit = steered(frames, one)
    assert torch.equal(lit[0], frames[0])
    assert torch.allclose(lit[1], frames[1] + 4.0 + (frames[1] - 128.0) / 2.0)


def test_each_linear_code_moves_what_its_name_says() -> None:
    """On a ramp the displacement of every pixel can be read off: value before minus value after."""
    rows = torch.arange(33.0)[:, None].expand(33, 41)[None, None].expand(1, 3, 33, 41)
    columns = torch.arange(41.0)[None, :].expand(33, 41)[None, None].expand(1, 3, 33, 41)
    row, column = torch.linspace(-1, 1, 33)[:, None], torch.linspace(-1, 1, 41)[None, :]
    expected = {"stretch": (row, 0), "lean": (column, 0), "widen": (0, column), "turn": (0, row)}
    expected |= {"pitch": (row * row, row * column), "yaw": (row * column, column * column)}
    for name, (down, right) in expected.items():
        codes = codes_of(**{name: 10})
        inner = (0, 0, slice(3, -3), slice(3, -3))
        for ramp, by in ((rows, down), (columns, right)):
            moved = (ramp - steered(ramp, codes))[inner]
            wanted = (torch.zeros(33, 41) + 10 / 8 * torch.as_tensor(by))[3:-3, 3:-3]
            assert torch.allclose(moved, wanted, atol=1e-3), name


def test_moved_first_frames_are_not_coded(clip: SourceClip, payloads: dict[str, bytes]) -> None:
    head, parts = syntax.read(payloads["moved"])
    assert (head.n_pairs, head.n_inner) == (fakes.N_PAIRS, 2)
    inner = torch.cat(list(decode.inner_frames(head, parts.inner)))
    assert inner.shape == (fakes.N_PAIRS, 1, 3, *fakes.MODEL)
    _, coded = syntax.read(payloads["plain"])
    assert len(parts.inner) < len(coded.inner)
    last = np.stack([pair[1] for pair in clip.pairs()])
    given = np.concatenate(list(material.last_frames(clip).pairs()))
    assert np.array_equal(given[: len(last)], last)


def test_side_codes_undo_a_shift_that_the_networks_notice(clip: SourceClip) -> None:
    segnet, posenet = networks.load(clip.contract)
    known = material.reference(clip, segnet, posenet, lambda *_: None)
    there = torch.zeros(fakes.N_PAIRS, 2, len(SIDE), dtype=torch.int8)
    there[:, 0, 2:6] = torch.tensor([12, -9, 7, 5])
    moved = torch.cat(list(render(build_postfilter("standard", hidden=2), known.frames, there)))
    before = targets.measure([moved], known, segnet, posenet)
    model = build_postfilter("standard", hidden=2)

    def found_at(byte_price: float) -> np.ndarray:
        return side.search(
            model,
            moved,
            known,
            segnet,
            posenet,
            start=None,
            polish=True,
            pose_slope=5.0,
            seg_weight=100.0,
            byte_price=byte_price,
            batch=8,
            monitor=lambda *_: None,
        )[0]

    found = found_at(1e-9)
    after = targets.measure(render(model, moved, torch.from_numpy(found)), known, segnet, posenet)
    assert found.any()
    assert after.posenet < 0.3 * before.posenet
    assert after.segnet <= before.segnet
    assert not found_at(1e3).any()


def test_stages_may_train_behind_side_codes(clip: SourceClip) -> None:
    """The second part starts where the first stood, sees the codes, and ends no worse."""
    first = {"name": "seg", "steps": 12, "batch_pairs": 2, "lr": 2e-3, "seg_loss": "softplus", "pose": 0.0}
    second = {**first, "name": "both", "pose": 10.0, "lr": 5e-4, "quantize": True}
    recipe = asked((first, second), first="moved", view="frame", side_after=1)
    cheap = replace(clip.contract, source=replace(clip.contract.source, bytes=10**8))
    source = replace(elsewhere(clip, "behind"), contract=cheap)
    payload = codec.encode(source, recipe).payload
    assert codec.encode(source, recipe).payload == payload
    _, parts = syntax.read(payload)
    assert parts.side is not None
    assert parts.side[:, 0].any()
    log = (source.work / LOG).read_text(encoding="utf-8").splitlines()
    tried = [dict(zip(log[0].split(","), row.split(","), strict=True)) for row in log[1:]]
    assert {row["posenet"] for row in tried if row["candidate"]} == {""}
    behind = (source.work / "behind" / LOG).read_text(encoding="utf-8")
    assert ",both," in behind
    assert len(list(source.work.glob("codes-*.npy"))) == 1


def test_side_codes_survive_their_section() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(-127, 128, (7, 2, len(SIDE))).astype(np.int8)
    assert np.array_equal(syntax._unpack_side(syntax._pack_side(codes), 7), codes)
    with pytest.raises(BitstreamError):
        syntax._unpack_side(syntax._pack_side(codes), 8)


@pytest.mark.parametrize("scheme", ["int8-tensor", "int8-channel", "lsq", "lsq-channel", "fp4", "depth"])
def test_every_scheme_reaches_the_decoder_exactly(scheme: str) -> None:
    model = build_postfilter("multi-scale", hidden=6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4))
    live = dict(model.named_parameters())
    quantizer = Scheme(scheme, {name: tuple(value.shape) for name, value in live.items()})
    quantizer.calibrate(live)
    head = syntax.Head((36, 52), (18, 26), 3, "coded", "multi-scale", "pair", 6, weights.kind_of(scheme))
    rebuilt = decode.filter_of(head, weights.write(quantizer.pack(live).values(), head.weights))
    for name, value in quantizer.fake(live).items():
        assert torch.equal(value, dict(rebuilt.named_parameters())[name]), name


def test_a_checkpoint_gives_its_payload_back(clip: SourceClip, payloads: dict[str, bytes], tmp_path: Path) -> None:
    checkpoint = clip.work / "plain" / CHECKPOINT
    assert codec.restore(replace(clip, work=tmp_path), asked(), checkpoint).payload == payloads["plain"]
    with pytest.raises(TrainingError, match="another architecture"):
        codec.restore(replace(clip, work=tmp_path), asked(hidden=8), checkpoint)


def test_a_run_leaves_its_schedule_log_and_sensitivity(clip: SourceClip, payloads: dict[str, bytes]) -> None:
    left = {path.name for path in (clip.work / "plain").iterdir()}
    assert {"stages.txt", LOG, CHECKPOINT, "sensitivity.csv", "sensitivity-segnet.png"} <= left
    assert payloads["plain"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"inner": "conventional/nothing"}, "no such recipe"),
        ({"inner_params": {"crf": 99}}, "crf"),
        ({"inner_params": 3}, "inner_params"),
        ({"architecture": "unet"}, "standard, dilated"),
        ({"scheme": "int3"}, "int8-tensor"),
        ({"first": "moved"}, 'view = "frame"'),
        ({"side_after": 1}, "side_after below"),
        ({"hiden": 3}, "did you mean 'hidden'"),
        ({"profile": "wild", "steps": 100}, "smoke, proven-baseline"),
        ({"profile": "smoke", "steps": 100}, "either a profile"),
    ],
)
def test_a_recipe_that_asks_for_what_does_not_exist_is_refused(change: dict[str, Any], complaint: str) -> None:
    stages = () if change.get("profile") == "wild" else STAGES
    with pytest.raises(RecipeError, match=complaint):
        codec.check(asked(stages, **change))


def test_a_recipe_without_stages_or_profile_is_refused() -> None:
    with pytest.raises(RecipeError, match="profile"):
        codec.check(asked(()))


@pytest.mark.parametrize("name", [name for name in recipes.names() if name.startswith("filtered/")])
def test_every_recipe_that_ships_is_accepted_and_names_a_parent_that_ships(name: str) -> None:
    loaded = recipes.load(name)
    codec.check(loaded)
    if loaded.parent:
        parent = recipes.load(loaded.parent)
        assert (parent.params, parent.stages) != (loaded.params, loaded.stages)


def test_the_closure_holds_both_decoders_and_nothing_of_training() -> None:
    files = {closure.relative_name(path) for path in codec.runtime_files()}
    assert {"lab/codecs/filtered/decode.py", "lab/codecs/weights.py", "lab/codecs/conventional/decode.py"} <= files
    assert not [name for name in files if "training" in name or "evaluator" in name or name.endswith("encode.py")]


def test_the_verbs_train_and_eval_work_on_a_folder(
    clip: SourceClip, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'family = "filtered"\nquestion = "does it run?"\n[params]\n'
        f'inner = "{INNER}"\nhidden = 3\nvalidate_every = 4\n[params.inner_params]\ncrf = 55\npreset = "10"\n'
        '[[stages]]\nname = "fit"\nsteps = 6\nbatch_pairs = 2\nquantize = true\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    root = ["--ledgers", str(clip.contract.root.parent)]
    assert cli.main([*root, "train", str(recipe), "--contract", "toy", "-o", str(tmp_path / "out")]) == 0
    assert "6 steps, 12 pair visits" in capsys.readouterr().out
    assert cli.main([*root, "eval", str(tmp_path / "out" / CHECKPOINT), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["payload_bytes"] == (tmp_path / "out" / "payload.bin").stat().st_size
    assert row["score"] > 0
    assert row["device"] == "cpu"
    if not torch.backends.mps.is_available():
        asked_for = ["train", str(recipe), "--contract", "toy", "--device", "mps", "-o", str(tmp_path / "no")]
        assert cli.main([*root, *asked_for]) == 1
        assert "device 'mps'" in capsys.readouterr().err
        assert not (tmp_path / "no").exists()
    assert cli.main([*root, "train", INNER, "--contract", "toy", "-o", str(tmp_path / "no")]) == 1
    assert "a family that is trained" in capsys.readouterr().err
    assert cli.main(["profiles", "wilde"]) == 0
    assert "lane lines x15" in capsys.readouterr().out
