"""Laws of the family `semantic`, on six drawn frames and two tiny networks."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FRAME, MODEL, N_PAIRS, toy_contract

from lab import archive, codecs, evidence, recipe, relocation, runtime
from lab.bitstream import MAGIC, Bitstream, check_tiling
from lab.codecs.base import SourceClip, silent
from lab.codecs.judge import ARCHIVE_BYTES, answers_of
from lab.codecs.pixels import rounded
from lab.codecs.semantic import actions, decode, edits, phases, poses, refinement, tails
from lab.codecs.semantic import format as syntax
from lab.codecs.semantic.content import Content
from lab.codecs.semantic.encode import params_of
from lab.codecs.semantic.judge import Judge
from lab.codecs.semantic.model import Renderer, Shape, tensor_shapes
from lab.codecs.semantic_tto import decode as tto
from lab.codecs.semantic_tto import format as tto_format
from lab.contract import Contract
from lab.errors import BitstreamError, RecipeError
from lab.evaluator import networks
from lab.recipe import Recipe
from lab.training import progress
from lab.training.schedule import Stage
from lab.training.trainer import NOTE
from lab.video import resample

TEXT = """
family = "semantic"
question = "does the path hold?"
seed = 3
[params]
width = 8
dilations = [1]
motion_width = 4
validate_every = 100
{params}
[[stages]]
name = "anchor"
steps = 12
batch_pairs = 2
pose = 0.0
lr = 0.01
seg_loss = "cross-entropy"
boost = 9.0
ema = 0.9
[[stages]]
name = "boost"
steps = 6
batch_pairs = 2
pose = 0.0
seg_loss = "softplus"
quantize = true
rate = 1.0
[[stages]]
name = "pose finetune"
steps = 12
batch_pairs = 2
seg = 0.0
lr = 0.01
[[stages]]
name = "joint"
steps = 4
batch_pairs = 2
lr = 1e-3
seg_loss = "softplus"
quantize = true
"""
SEARCH = 'refit = 1\nrepair = 1\nedit = true\ntails = ["router", "seed", "factor", "control"]'


def asked(params: str = "", name: str = "semantic/toy") -> Recipe:
    """A recipe for the toy."""
    return recipe.parse(TEXT.format(params=params), name)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The toy contract, with a source so large that a byte costs little."""
    found = toy_contract(tmp_path_factory.mktemp("ledgers"))
    return replace(found, source=replace(found.source, bytes=10_000_000))


@pytest.fixture(scope="module")
def clip(toy: Contract, tmp_path_factory: pytest.TempPathFactory) -> SourceClip:
    """The toy's source."""
    return SourceClip(contract=toy, cache=tmp_path_factory.mktemp("cache"), work=tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def stream(clip: SourceClip) -> Bitstream:
    """One payload with everything in it."""
    return codecs.get("semantic").encode(clip, asked(SEARCH), silent)


@pytest.fixture(scope="module")
def judge(clip: SourceClip, toy: Contract) -> Judge:
    """Both toy networks with their answers."""
    segnet, posenet = networks.load(toy)
    return Judge(answers_of(clip, segnet, posenet, silent), segnet, posenet, toy)


@pytest.fixture
def content(stream: Bitstream) -> Content:
    """What the payload says."""
    return syntax.read(stream.payload)


def acting(content: Content) -> Content:
    """The content under one action of every tail."""
    codes = {tail: np.ones(actions.length(tail, N_PAIRS), np.uint8) for tail in actions.TAILS}
    return replace(content, actions=actions.Actions(**codes))


def test_same_recipe_and_seed_give_the_same_bytes(clip: SourceClip, stream: Bitstream, tmp_path: Path) -> None:
    elsewhere = replace(clip, cache=tmp_path / "cache", work=tmp_path / "work")
    assert codecs.get("semantic").encode(elsewhere, asked(SEARCH), silent).payload == stream.payload


def test_recipes_that_differ_after_training_share_it(clip: SourceClip, stream: Bitstream) -> None:
    trained: list[str] = []

    def listen(stage: str, _done: int, _total: int) -> None:
        trained.append(stage.partition(NOTE)[0])

    codecs.get("semantic").encode(clip, asked("refit = 2"), listen)
    assert not [stage for stage in trained if stage.startswith("stage")]
    codecs.get("semantic").encode(clip, asked("seed = 1".replace("seed", "pose_scale")), listen)
    # Another unit of the poses leaves the stages for SegNet alone as they were.
    assert {stage for stage in trained if stage.startswith("stage")} == {"stage pose finetune", "stage joint"}


def test_the_log_of_all_phases_is_one(clip: SourceClip, stream: Bitstream) -> None:
    rows = [line.split(",") for line in (clip.work / "training.csv").read_text().splitlines()]
    steps = [int(row[0]) for row in rows[1:]]
    assert steps == sorted(steps) and steps[-1] == 34
    assert [*dict.fromkeys(row[1] for row in rows[1:])] == ["anchor", "boost", "pose finetune", "joint"]
    assert "pose finetune" in (clip.work / "stages.txt").read_text()


def test_the_decode_is_what_the_encoder_judged(content: Content, stream: Bitstream) -> None:
    """Frames at camera size, shrunk by the evaluator's resize, are the grid that was scored, bit for bit."""
    grid = torch.cat([rounded(frames) for frames in decode.rendered(content)])
    frames = np.stack(list(codecs.get("semantic").decode(stream.payload)))
    assert frames.shape == (N_PAIRS, 2, *FRAME, 3) and frames.dtype == np.uint8
    seen = resample.resize(torch.from_numpy(frames).movedim(-1, 2), MODEL).reshape(grid.shape)
    assert torch.equal(seen, grid.float())


def test_a_pair_is_decoded_the_same_in_any_company(content: Content) -> None:
    busy = acting(content)
    together = torch.cat(list(decode.rendered(busy)))
    for number in range(N_PAIRS):
        (alone,) = decode.rendered(busy, np.array([number]))
        assert torch.equal(alone[0], together[number])


def test_sections_tile_the_payload_and_carry_ideal_bits(stream: Bitstream) -> None:
    check_tiling(stream.sections, 0, len(stream.payload), "payload")
    assert [section.name for section in stream.sections] == ["header", "m", "w", "p", "r"]
    assert stream.sections[0].n_bytes == 12
    for section in stream.sections[1:]:
        assert section.ideal_bits is not None and 0.0 < section.ideal_bits <= 8.0 * section.n_bytes + 8.0
    assert codecs.by_payload(stream.payload).anatomy(stream.payload) == stream
    assert len(archive.write(stream.payload)) == len(stream.payload) + ARCHIVE_BYTES


@pytest.mark.parametrize(
    "params",
    [
        'scheme = "fp4-large"\nmotion = "warp"',
        'scheme = "depth"\nmotion = "zoom"',
        'scheme = "lsq-channel"\nnetworks = "bfloat16"\npose_dims = 3',
    ],
)
def test_every_scheme_and_motion_comes_back_from_its_payload(clip: SourceClip, params: str, tmp_path: Path) -> None:
    made = codecs.get("semantic").encode(replace(clip, work=tmp_path), asked(params), silent)
    found = syntax.read(made.payload)
    assert syntax.write(found).payload == made.payload
    assert len(list(codecs.get("semantic").decode(made.payload))) == N_PAIRS
    names = [child.name for child in made.sections[2].children]
    assert ("four-bit weights" in names) == ("fp4" in params)


def test_truncation_at_any_byte_is_refused(stream: Bitstream) -> None:
    for length in [*range(60), *range(60, len(stream.payload), 53)]:
        with pytest.raises(BitstreamError):
            syntax.read(stream.payload[:length])


def test_swapped_streams_are_refused(stream: Bitstream) -> None:
    """In every wrong order, with a header that addresses them correctly."""
    parts = {name: name.encode() + data for name, data in syntax.split(stream.payload).items()}
    for order in permutations(syntax.STREAMS):
        lengths = {place: len(parts[name]) for place, name in zip(syntax.STREAMS, order, strict=True)}
        payload = MAGIC + bytes([syntax.CODE]) + syntax.HEADER.write(lengths) + b"".join(parts[n] for n in order)
        if order == syntax.STREAMS:
            assert payload == stream.payload
            continue
        with pytest.raises(BitstreamError):
            syntax.read(payload)


def test_damage_is_refused_or_decodes_to_as_many_pairs(stream: Bitstream, content: Content) -> None:
    random = np.random.default_rng(0)
    refused = 0
    start = 12 + stream.sections[1].n_bytes
    for _ in range(200):
        damaged = bytearray(stream.payload)
        damaged[int(random.integers(start, len(damaged)))] ^= 1 << int(random.integers(8))
        try:
            found = syntax.read_beside(bytes(damaged), content.maps)
        except BitstreamError:
            refused += 1
            continue
        assert found.poses.shape == content.poses.shape
    assert refused > 20


@pytest.mark.parametrize(
    "lie", [{"size": (1 << 13, 1 << 13)}, {"size": (40, 50)}, {"pose_scale": 0}, {"size": (0, 10)}]
)
def test_a_header_that_promises_too_much_is_refused(content: Content, lie: dict[str, object]) -> None:
    with pytest.raises(BitstreamError):
        syntax.write(replace(content, head=content.head._replace(**lie)))  # type: ignore[arg-type]


def test_the_packet_ships_a_decoder_and_no_encoder() -> None:
    files = codecs.get("semantic").runtime_files()
    shipped = {path.name for path in files}
    assert {"decode.py", "format.py", "model.py", "content.py", "actions.py", "labelmap.py", "resample.py"} <= shipped
    assert not shipped & {"encode.py", "judge.py", "poses.py", "tails.py", "edits.py", "mapwriter.py", "trainer.py"}
    assert all(path.suffix == ".py" for path in files)


def test_every_action_changes_what_it_says_and_nothing_else() -> None:
    frames = torch.rand(1, 2, 3, *MODEL) * 200.0 + 20.0
    still = actions.route(actions.act(frames, np.zeros(1, np.int64), np.zeros(1, np.int64)), np.zeros(1, np.int64))
    assert torch.equal(still, frames)
    for code in range(1, 8):
        routed = actions.route(frames, np.array([code]))
        assert not torch.equal(routed[:, 0], frames[:, 0])
        assert torch.equal(routed[:, 1], frames[:, 1]) == (code in (1, 4, 5, 6))
        controlled = actions.act(frames, np.zeros(1, np.int64), np.array([code]))
        assert torch.equal(controlled[:, 0], frames[:, 0]) and not torch.equal(controlled[:, 1], frames[:, 1])
    for code in range(1, 16):
        seeded = actions.act(frames, np.array([code]), np.zeros(1, np.int64))
        assert not torch.equal(seeded[:, 0], frames[:, 0]) and torch.equal(seeded[:, 1], frames[:, 1])


def test_tails_come_back_from_their_bytes(content: Content) -> None:
    random = np.random.default_rng(1)
    for n_pairs in (1, 7, 150):
        codes = {
            tail: random.integers(0, values, actions.length(tail, n_pairs)).astype(np.uint8)
            for tail, values in actions.TAILS.items()
        }
        asked_for = actions.Actions(**codes)
        packed, _ = syntax.pack_actions(asked_for)
        found = syntax.read_actions(packed[1:], n_pairs)
        assert all(np.array_equal(getattr(found, tail), codes[tail]) for tail in codes)


def test_first_frames_alone_depend_on_the_pose(content: Content) -> None:
    """The pose sponge: SegNet's frame is drawn from the map alone."""
    renderer = decode.build(content)
    maps = torch.from_numpy(content.maps.labels)
    one, other = (renderer(maps, torch.full((N_PAIRS, 6), value)) for value in (0.0, 1.0))
    assert torch.equal(one[:, 1], other[:, 1]) and not torch.equal(one[:, 0], other[:, 0])


def test_the_motion_branch_moves_alone_in_its_phase(clip: SourceClip, tmp_path: Path) -> None:
    """After the stages of PoseNet alone, trunk and last frames are still those that SegNet's stages packed."""
    only = asked().stages[:2]
    finetune = {**asked().stages[2], "quantize": True}
    first = replace(asked(), stages=(*only, finetune))
    longer = replace(first, stages=(*only, {**finetune, "steps": 14}))
    made = [
        syntax.read(codecs.get("semantic").encode(replace(clip, work=tmp_path), it, silent).payload)
        for it in (first, longer)
    ]
    moved = {
        name for name in made[0].weights if not np.array_equal(made[0].weights[name].codes, made[1].weights[name].codes)
    }
    assert moved and all(name.startswith(phases.MOTION) for name in moved)


def test_refit_lowers_the_pose_distortion(content: Content, judge: Judge) -> None:
    start = replace(content, poses=poses.of_source(judge.known.pose, 6, 16), actions=actions.none())
    before = judge.validation(start)
    after = judge.validation(poses.refit(start, judge, before.posenet or 0.0, silent))
    assert after.posenet is not None and before.posenet is not None and after.posenet < before.posenet
    assert after.segnet == before.segnet


def test_a_tail_enters_only_where_it_pays(content: Content, judge: Judge, toy: Contract, tmp_path: Path) -> None:
    plain = replace(content, actions=actions.none())
    every = tuple(actions.TAILS)
    dear = Judge(judge.known, judge.segnet, judge.posenet, replace(toy, source=replace(toy.source, bytes=100)))
    kept = tails.admit(plain, dear, every, tmp_path / "dear.csv", silent)
    assert kept is plain
    better = tails.admit(plain, judge, every, tmp_path / "cheap.csv", silent)
    assert judge.validation(better).score < judge.validation(plain).score
    rows = [line.split(",") for line in (tmp_path / "cheap.csv").read_text().splitlines()]
    assert [row[0] for row in rows] == ["tail", *every] and all(
        (float(row[5]) < 0.0) == (row[6] == "yes") for row in rows[1:]
    )


def test_contour_edits_enter_only_where_they_pay(content: Content, judge: Judge, toy: Contract) -> None:
    random = np.random.default_rng(2)
    labels = content.maps.labels.copy()
    labels[:, MODEL[0] // 2 :] = 4
    labels[:, : MODEL[0] // 2] = 0
    bumps = random.random((N_PAIRS, MODEL[1])) < 0.05
    labels[:, MODEL[0] // 2][bumps] = 0
    start = replace(content, maps=edits.maps_of(labels, silent), actions=actions.none())
    dear = Judge(judge.known, judge.segnet, judge.posenet, replace(toy, source=replace(toy.source, bytes=3)))
    found = edits.edited(start, dear, silent)
    assert dear.validation(found).score < dear.validation(start).score
    spent, first = (sum(part.ideal_bits or 0.0 for part in it.maps.sections) for it in (found, start))
    assert spent < first - 8.0
    cheap = Judge(judge.known, judge.segnet, judge.posenet, replace(toy, source=replace(toy.source, bytes=10**12)))
    assert cheap.validation(edits.edited(start, cheap, silent)).score <= cheap.validation(start).score


class Told:
    """A monitor that keeps the names of the stages."""

    def __init__(self) -> None:
        self.stages: set[str] = set()

    def __call__(self, stage: str, _done: int, _total: int) -> None:
        self.stages.add(stage)


def test_refined_last_frames_are_read_better_and_repaired_first_ones_give_the_pose_back(
    content: Content, judge: Judge
) -> None:
    (frames,) = decode.rendered(content)
    maps, before = torch.from_numpy(content.maps.labels), rounded(frames).float()
    last = refinement.refined(frames[:, 1], maps, judge.segnet, 10)
    index, target = np.arange(N_PAIRS), judge.known.pose[:, : refinement.SCORED]
    seen = torch.stack([before[:, 0], last.float()], dim=1)
    assert judge.of_seen(seen, index)[0].mean() < judge.of_seen(before, index)[0].mean()
    first = refinement.repaired(frames[:, 0], last.float(), target, judge.posenet, 6)
    mended = torch.stack([first, last], dim=1).float()
    assert judge.of_seen(mended, index)[1].mean() < judge.of_seen(seen, index)[1].mean()
    assert torch.equal(refinement.refined(frames[:, 1], maps, judge.segnet, 0), rounded(frames[:, 1]))


def test_a_stage_with_a_pixel_term_copies_refined_frames_where_asked(clip: SourceClip, tmp_path: Path) -> None:
    """Its rows of the log hold the distance to them, and the search by real metric follows as ever."""
    copying = '[[stages]]\nname = "copy"\nsteps = 60\nbatch_pairs = 2\nseg = 0.0\npose = 0.0\npixel = 1.0\nlr = 0.01\n'
    payloads, distances, before = [], [], '[[stages]]\nname = "boost"'
    for distil in (4, 0):
        text = TEXT.format(params=f"distil = {distil}").replace(before, copying + before)
        apart, told = replace(clip, work=tmp_path / str(distil)), Told()
        payloads.append(codecs.get("semantic").encode(apart, recipe.parse(text, "semantic/toy"), told).payload)
        assert ("last frames refined" in told.stages) is bool(distil)
        with (apart.work / progress.LOG).open(encoding="utf-8", newline="") as log:
            distances.append([float(row["pixel_loss"]) for row in csv.DictReader(log) if row["pixel_loss"]])
    assert payloads[0] != payloads[1] and distances[0] and distances[1]
    assert distances[0][-1] < distances[1][-1]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ("pose_dims = 7", "six numbers"),
        ('tails = ["router", "router"]', "each once"),
        ('motion = "fly"', "film"),
        ("dilations = [9]", "dilated"),
        ("widht = 3", "width"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_with_the_reason(params: str, complaint: str) -> None:
    text = TEXT.format(params=params)
    key = params.split(" =")[0]
    if text.count(f"\n{key} =") > 1:
        text = "\n".join(line for line in text.split("\n") if not line.startswith(f"{key} =") or line == params)
    with pytest.raises(RecipeError, match=complaint):
        params_of(recipe.parse(text, "semantic/toy"))


def test_stages_in_an_order_that_cannot_be_are_refused() -> None:
    seg, pose = Stage(name="a", steps=1, pose=0.0), Stage(name="b", steps=1, seg=0.0)
    both = Stage(name="c", steps=1, quantize=True)
    assert [phase for phase, _ in phases.phases((seg, pose, both), "here")] == ["last", "first", "both"]
    for wrong in ((pose, both), (seg,), (both, seg), (seg, pose)):
        with pytest.raises(RecipeError):
            phases.phases(wrong, "here")


@pytest.mark.parametrize("motion", ["film", "warp", "zoom"])
def test_a_renderer_has_the_weights_that_its_shape_says(motion: str) -> None:
    shape = Shape(classes=5, embed=4, width=8, dilations=(1, 2), motion=motion, motion_width=6, pose_dims=6)  # type: ignore[arg-type]
    leave = {"film": 12, "warp": 6, "zoom": 4}[motion]
    sizes = {name: int(np.prod(dims)) for name, dims in tensor_shapes(shape).items() if len(dims) > 1}
    assert sizes["motion.leave.weight"] == leave * 6 * 9 and sizes["stem.weight"] == 8 * 18 * 9
    frames = Renderer(shape)(torch.zeros(1, 8, 12, dtype=torch.uint8), torch.zeros(1, 6))
    assert frames.shape == (1, 2, 3, 8, 12) and frames.min() >= -64.0 and frames.max() <= 319.0


TTO = """
family = "semantic_tto"
question = "what does the loop at inflate buy?"
[params]
inner = "semantic/range-mask-plain"
tto_at_inflate = {flag}
"""


def test_optimizing_at_inflate_helps_and_is_graded_invalid(content: Content, stream: Bitstream, judge: Judge) -> None:
    """The loop works, and its runtime names the rule that it breaks: uncharged networks of the judge."""
    (frames,) = decode.rendered(content)
    maps, index = torch.from_numpy(content.maps.labels), np.arange(N_PAIRS)
    head = tto_format.Head(refine_steps=10, repair_steps=4)
    better = tto.optimized(frames, maps, judge.segnet, judge.posenet, head)
    before, _ = judge.of_seen(rounded(frames).float(), index)
    after, _ = judge.of_seen(better.float(), index)
    assert better.dtype == torch.uint8 and after.mean() < before.mean()
    wrapped = tto_format.write(head, stream)
    assert codecs.by_payload(wrapped.payload).anatomy(wrapped.payload) == wrapped
    codec = codecs.get("semantic_tto")
    shipped = runtime.of_closure("semantic_tto", codec.runtime_files(), codec.spec.requirements)
    broken = relocation.read(shipped.files).broken_rules
    assert {"charge.networks-used", "charge.not-code"} <= set(broken)
    assert evidence.grade(evidence.Facts(broken_rules=broken))[0] is evidence.Grade.INVALID
    lawful = codecs.get("semantic")
    plain = runtime.of_closure("semantic", lawful.runtime_files(), lawful.spec.requirements)
    assert not relocation.read(plain.files).broken_rules


def test_whoever_takes_rendered_frames_may_ask_for_gradients(content: Content) -> None:
    assert all(torch.is_grad_enabled() for _ in decode.rendered(content))


def test_optimizing_at_inflate_must_be_asked_for() -> None:
    codecs.get("semantic_tto").check(recipe.parse(TTO.format(flag="true"), "semantic_tto/toy"))
    with pytest.raises(RecipeError, match="uncharged"):
        codecs.get("semantic_tto").check(recipe.parse(TTO.format(flag="false"), "semantic_tto/toy"))


@pytest.mark.parametrize("name", [name for name in recipe.names() if name.startswith("semantic")])
def test_every_shipped_recipe_can_be(name: str) -> None:
    asked_for = recipe.load(name)
    codecs.get(asked_for.family).check(asked_for)
    assert asked_for.parent is None or asked_for.parent in recipe.names()
