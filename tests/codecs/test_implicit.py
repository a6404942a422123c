"""Laws of the family `implicit`, on six drawn frames and two tiny networks, and on one real public archive."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FRAME, MODEL, N_PAIRS, toy_contract
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lab import archive, codecs, experiment, recipe
from lab.bitstream import Bitstream
from lab.codecs.base import SourceClip, silent
from lab.codecs.implicit import decode, dual, fields, judge, packing, places, polish, published
from lab.codecs.implicit import format as syntax
from lab.codecs.implicit.clip import Clip
from lab.codecs.implicit.content import Content, Head
from lab.codecs.implicit.model import Decoder, Shape, published_shape, tensor_shapes
from lab.codecs.implicit.params import params_of
from lab.codecs.judge import ARCHIVE_BYTES, answers_of
from lab.codecs.pixels import rounded
from lab.contract import Contract
from lab.errors import BitstreamError, RecipeError
from lab.evaluator import networks
from lab.experiment import Bench
from lab.recipe import Recipe
from lab.training.quantize import Scheme
from lab.video import resample

PUBLIC = "pr104_qhnerv_ft_best.zip"
TEXT = """
family = "implicit"
question = "does the path hold?"
seed = 3
[params]
widths = [8, 8, 6]
kernels = [3, 3]
latent_dim = 4
rank = 3
validate_every = 20
{params}
[[stages]]
name = "pixels"
steps = 30
seg = 0.0
pose = 0.0
pixel = 1.0
lr = 5e-3
ema = 0.9
[[stages]]
name = "answers"
steps = 30
seg_loss = "cross-entropy"
lr = 2e-3
[[stages]]
name = "packed"
steps = 20
seg_loss = "flip"
quantize = true
rate = 1.0
lr = 3e-4
ema = 0.9
"""


def asked(params: str = "", name: str = "implicit/toy") -> Recipe:
    """A recipe for the toy."""
    return recipe.parse(TEXT.format(params=params), name)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A ledger of its own with the toy contract in it."""
    root = tmp_path_factory.mktemp("house")
    toy_contract(root / "ledgers")
    return Bench(ledgers=root / "ledgers", cache=root / "cache", work=root / "work", root=Path(__file__).parents[2])


@pytest.fixture(scope="module")
def toy(bench: Bench) -> Contract:
    """The toy contract, with a source so large that a byte costs little."""
    found = toy_contract(bench.ledgers)
    return replace(found, source=replace(found.source, bytes=100_000_000))


@pytest.fixture(scope="module")
def clip(bench: Bench, toy: Contract, tmp_path_factory: pytest.TempPathFactory) -> SourceClip:
    """The toy's source."""
    return SourceClip(contract=toy, cache=bench.cache, work=tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def stream(clip: SourceClip) -> Bitstream:
    """One trained payload."""
    return codecs.get("implicit").encode(clip, asked(), silent)


def elsewhere(clip: SourceClip, folder: Path) -> SourceClip:
    """The same source without this run's checkpoints."""
    return replace(clip, work=folder)


def public_member(shared: Path) -> bytes:
    """The one member of the public archive."""
    with zipfile.ZipFile(shared / "archives" / PUBLIC) as opened:
        return opened.read("0.bin")


def test_same_recipe_and_seed_give_the_same_bytes(clip: SourceClip, stream: Bitstream, tmp_path: Path) -> None:
    again = codecs.get("implicit").encode(elsewhere(clip, tmp_path), asked(), silent)
    assert again.payload == stream.payload


def test_a_run_killed_in_any_stage_goes_on_to_the_same_bytes(
    clip: SourceClip, stream: Bitstream, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    for last_step in (17, 47):  # in the pixel stage; between two validations of the stages after it

        def stop(stage: str, done: int, _total: int, last_step: int = last_step) -> None:
            if stage.startswith("stage") and done == last_step - (30 if last_step > 30 else 0):
                raise Killed

        with pytest.raises(Killed):
            codecs.get("implicit").encode(elsewhere(clip, tmp_path / str(last_step)), asked(), stop)
    for last_step in (17, 47):
        again = codecs.get("implicit").encode(elsewhere(clip, tmp_path / str(last_step)), asked(), silent)
        assert again.payload == stream.payload


def test_recipes_train_what_they_share_once(clip: SourceClip, tmp_path: Path) -> None:
    seen: list[str] = []

    def note(stage: str, _done: int, _total: int) -> None:
        seen.append(stage)

    source = elsewhere(clip, tmp_path / "first")
    first = codecs.get("implicit").encode(source, asked("shared = 2"), note)
    assert {stage.partition(" |")[0] for stage in seen} >= {"stage pixels", "stage answers", "stage packed"}
    seen.clear()
    other = recipe.parse(TEXT.format(params="shared = 2").replace('"flip"', '"hinge"'), "implicit/other")
    codecs.get("implicit").encode(elsewhere(clip, tmp_path / "second"), other, note)
    assert {stage.partition(" |")[0] for stage in seen if stage.startswith("stage")} == {"stage packed"}
    # Whatever was there before, the bytes are those of the recipe.
    alone = elsewhere(clip, tmp_path / "elsewhere" / "first")
    assert codecs.get("implicit").encode(alone, asked("shared = 2"), silent).payload == first.payload


def test_every_stage_leaves_the_score_of_its_payload(clip: SourceClip, tmp_path: Path) -> None:
    made = codecs.get("implicit").encode(elsewhere(clip, tmp_path), asked("constants = true"), silent)
    with (tmp_path / "stages.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["pixels", "answers", "packed", "decode constants"]
    assert [int(row["steps"]) for row in rows] == [30, 60, 80, 80]
    assert int(rows[-1]["n_bytes"]) == len(made.payload) + ARCHIVE_BYTES
    assert float(rows[-1]["score"]) <= min(float(row["score"]) for row in rows[1:3])
    with (tmp_path / "training.csv").open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == sorted(steps) and steps[-1] == 80


def test_the_decode_is_what_the_encoder_judged(
    clip: SourceClip, stream: Bitstream, bench: Bench, toy: Contract
) -> None:
    """Frames at camera size, shrunk by the evaluator's resize, are the grid that was scored, bit for bit."""
    content = syntax.read(stream.payload)
    grid = torch.cat([rounded(frames) for frames in decode.rendered(content)])
    frames = np.stack(list(codecs.get("implicit").decode(stream.payload)))
    assert frames.shape == (N_PAIRS, 2, *FRAME, 3) and frames.dtype == np.uint8
    seen = resample.resize(torch.from_numpy(frames).movedim(-1, 2), MODEL).reshape(grid.shape)
    assert torch.equal(seen, grid.float())


def test_a_pair_is_decoded_the_same_in_any_company(stream: Bitstream) -> None:
    content = syntax.read(stream.payload)
    together = torch.cat(list(decode.rendered(content)))
    for number in range(N_PAIRS):
        (alone,) = decode.rendered(content, np.array([number]))
        assert torch.equal(alone[0], together[number])


@pytest.mark.parametrize(
    "params",
    [
        'scheme = "depth"',
        'scheme = "int8-channel"\nup = "bicubic"',
        'modulated = true\nshuffled = true\nactivation = "gelu"',
        'field = "shares"\nfold = 2\nlevels = 3',
        'field = "shares"\nfold = 2\nlate = true',
        'refine = 3\nnetworks = "bfloat16"\nlatent_start = "noise"',
    ],
)
def test_every_scheme_and_shape_comes_back_from_its_payload(clip: SourceClip, params: str, tmp_path: Path) -> None:
    made = codecs.get("implicit").encode(elsewhere(clip, tmp_path), asked(params), silent)
    content = syntax.read(made.payload)
    assert syntax.write(content).payload == made.payload
    assert len(list(codecs.get("implicit").decode(made.payload))) == N_PAIRS
    assert codecs.by_payload(made.payload).anatomy(made.payload) == made


def test_a_recorded_run_scores_what_the_training_selected(bench: Bench, tmp_path: Path) -> None:
    """The best score in the training log is the score of the packet, decoded in a process of its own."""
    contract = toy_contract(bench.ledgers)
    run, _ = experiment.run(asked(), contract, bench)
    (log,) = bench.work.glob("toy*/*/answers/training.csv")
    rows = [line.split(",") for line in log.read_text().splitlines()]
    column = {name: number for number, name in enumerate(rows[0])}
    scored = [row for row in rows[1:] if row[column["score"]]]
    best = min(scored, key=lambda row: float(row[column["score"]]))
    assert float(best[column["segnet"]]) == pytest.approx(run.data["evaluation"]["segnet"], abs=1e-9)
    assert float(best[column["posenet"]]) == pytest.approx(run.data["evaluation"]["posenet"], rel=1e-4)
    assert int(best[column["n_bytes"]]) == run.archive_bytes
    # Another training may begin with this run where it names it as its parent, and nowhere else.
    elsewhere = 'seed = 3\nparent = "implicit/else"\nchanged = "x"'
    begun = TEXT.format(params=f'start = "{run.id}"').replace("seed = 3", elsewhere)
    with pytest.raises(RecipeError, match="run of its parent"):
        experiment.encode(recipe.parse(begun, "implicit/toy-on"), contract, bench, tmp_path / "stranger")
    own = recipe.parse(begun.replace("implicit/else", "implicit/toy"), "implicit/toy-on")
    assert experiment.encode(own, contract, bench, tmp_path / "own").is_dir()


def test_the_archive_around_a_payload_is_counted(stream: Bitstream) -> None:
    assert len(archive.write(stream.payload)) == len(stream.payload) + ARCHIVE_BYTES


def test_the_packet_ships_a_decoder_and_no_encoder() -> None:
    shipped = {path.name for path in codecs.get("implicit").runtime_files()}
    assert {"decode.py", "format.py", "model.py", "content.py", "packing.py", "resample.py"} <= shipped
    text = "".join(path.read_text(encoding="utf-8") for path in codecs.get("implicit").runtime_files())
    imported = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    assert not imported & {"brotli", "zstandard", "av"}
    assert not shipped & {"encode.py", "polish.py", "judge.py", "published.py", "trainer.py", "networks.py"}


def test_truncation_at_any_byte_is_refused(stream: Bitstream) -> None:
    for length in [*range(80), *range(80, len(stream.payload), 97)]:
        with pytest.raises(BitstreamError):
            syntax.read(stream.payload[:length])


def test_damage_is_refused_or_decodes_to_as_many_pairs(stream: Bitstream) -> None:
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(stream.payload)
        at = int(random.integers(2, 120))
        damaged[at] ^= 1 << int(random.integers(8))
        try:
            content = syntax.read(bytes(damaged))
        except BitstreamError:
            refused += 1
            continue
        assert content.latents.shape == (content.head.shape.latent_dim, content.head.n_pairs)
    assert refused > 100


@pytest.mark.parametrize(
    "lie",
    [
        {"n_pairs": 1 << 30},
        {"size": (1 << 20, 1 << 20)},
        {"shape": {"widths": (255,) * 9, "kernels": (5,) * 8}},
        {"shape": {"grid": (255, 255), "widths": (255, 255, 255), "kernels": (3, 3)}},
        {"size": (40, 50)},
    ],
)
def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(
    stream: Bitstream, lie: dict[str, object]
) -> None:
    content = syntax.read(stream.payload)
    head = content.head
    shape = lie.pop("shape", None)
    if isinstance(shape, dict):
        head = head._replace(shape=replace(head.shape, **shape))
    with pytest.raises(BitstreamError):
        syntax.write(replace(content, head=head._replace(**lie)))


@given(codes=arrays.arrays(np.int8, st.tuples(st.integers(1, 5), st.integers(1, 40))))
@settings(max_examples=60, deadline=None)
def test_codes_come_back_from_their_bytes(codes: np.ndarray) -> None:
    back = packing.unpack_weights(packing.pack_weights([codes, codes[:1]]), [codes.shape, codes[:1].shape])
    assert np.array_equal(back[0], codes) and np.array_equal(back[1], codes[:1])
    latents = codes.view(np.uint8)
    for signed in (True, False):
        packed = packing.pack_latents(latents, signed=signed)
        assert np.array_equal(packing.unpack_latents(packed, latents.shape, signed=signed), latents)


def test_a_bomb_stops_at_the_declared_size() -> None:
    bomb = packing.squeeze(bytes(50_000_000))
    assert len(bomb) < 50_000
    with pytest.raises(BitstreamError):
        packing.stretch(bomb, 1000, "bomb")


@given(codes=arrays.arrays(np.int8, st.tuples(*[st.integers(1, 4)] * 4), elements=st.integers(-128, 127)))
@settings(max_examples=20, deadline=None)
def test_fields_come_back_from_their_bytes(codes: np.ndarray) -> None:
    for coder in ("rows", "around"):
        packed = packing.pack_fields(codes, coder)
        assert np.array_equal(packing.unpack_fields(packed, codes.shape, coder), codes)


def test_a_field_starts_as_the_shares_of_classes() -> None:
    classes = torch.full((2, 8, 8), 2, dtype=torch.uint8)
    classes[0, :4, :4] = 0
    classes[1, 4:, 4:6] = 1
    codes = fields.shares(classes, 3, (2, 2), 4)
    assert codes.shape == (2, 2, 2, 2)
    assert codes[0, 0].tolist() == [[4.0, 0.0], [0.0, 0.0]] and codes[1, 1].tolist() == [[0.0, 0.0], [0.0, 4.0]]


def test_bits_of_a_field_that_repeats_are_fewer() -> None:
    torch.manual_seed(0)
    still = torch.randint(-3, 4, (1, 2, 6, 6)).float().expand(8, -1, -1, -1)
    moving = torch.randint(-3, 4, (8, 2, 6, 6)).float().requires_grad_()
    index = torch.arange(1, 8)
    bits = fields.estimated_bits(moving, index)
    assert float(fields.estimated_bits(still, index)) < 0.3 * float(bits.detach())
    (slope,) = torch.autograd.grad(bits, moving)
    assert slope.isfinite().all() and (slope != 0).any()


def test_corrections_move_exactly_what_they_name(stream: Bitstream) -> None:
    content = syntax.read(stream.payload)
    table = np.zeros((N_PAIRS, 2), np.int8)
    table[1] = 2 + 1, -3  # dimension 2, three quarters of a step down
    corrected = replace(content, sidecar=table, constants=np.array([8, 0, 0, 0, 0, -16, 0], np.int8))
    back = syntax.read(syntax.write(corrected).payload)
    moved = back.latent_values() - content.latent_values()
    assert np.count_nonzero(moved) == 1
    assert moved[1, 2] == pytest.approx(-0.75 * content.latent_sizes()[2], rel=1e-5)
    assert back.biases().reshape(-1).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, -2.0]


@pytest.mark.parametrize("what", [polish.latents, polish.sidecar, polish.constants])
def test_a_correction_is_kept_only_where_the_real_score_falls(
    clip: SourceClip, stream: Bitstream, toy: Contract, what: object
) -> None:
    segnet, posenet = networks.load(toy)
    known = answers_of(clip, segnet, posenet, silent)
    cheap, dear = (
        judge.Judge(known, segnet, posenet, replace(toy, source=replace(toy.source, bytes=n_bytes)))
        for n_bytes in (10**12, 100)
    )
    content = syntax.read(stream.payload)
    better = what(content, cheap, silent)  # type: ignore[operator]
    assert better is not content
    assert cheap.validation(better).score < cheap.validation(content).score
    kept = what(content, dear, silent)  # type: ignore[operator]
    assert dear.validation(kept).score <= dear.validation(content).score


def test_codes_of_a_field_move_only_where_the_real_score_falls(clip: SourceClip, toy: Contract, tmp_path: Path) -> None:
    made = codecs.get("implicit").encode(elsewhere(clip, tmp_path), asked('field = "shares"\nfold = 2'), silent)
    segnet, posenet = networks.load(toy)
    known = answers_of(clip, segnet, posenet, silent)
    content = syntax.read(made.payload)
    cheap, dear = (
        judge.Judge(known, segnet, posenet, replace(toy, source=replace(toy.source, bytes=n_bytes)))
        for n_bytes in (10**12, 100)
    )
    moved = places.sweep(content, cheap, silent)
    assert (moved.fields != content.fields).any() and np.abs(moved.fields - content.fields).max() == 1
    assert cheap.validation(moved).score < cheap.validation(content).score
    kept = places.sweep(content, dear, silent)
    assert dear.validation(kept).score <= dear.validation(content).score
    assert places.sweep(content, cheap, silent).fields.tolist() == moved.fields.tolist()


def test_a_polish_that_was_cut_off_goes_on_to_the_same_bytes(clip: SourceClip, tmp_path: Path) -> None:
    text = asked('field = "shares"\nfold = 2\nfield_polish = 2\nlatent_polish = 1')
    whole = codecs.get("implicit").encode(elsewhere(clip, tmp_path), text, silent)
    kept = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert [name.rpartition("-")[0] for name in kept] == ["field-polish-1", "field-polish-2", "latent-polish-1"]
    (tmp_path / kept[1]).unlink()
    asked_again: list[str] = []
    again = codecs.get("implicit").encode(
        elsewhere(clip, tmp_path), text, lambda stage, _done, _total: asked_again.append(stage)
    )
    assert again.payload == whole.payload
    assert "field polish" in asked_again and "latent polish" not in asked_again


def test_the_price_of_a_step_is_what_the_estimate_grows_by() -> None:
    """Scales are held for a price and follow for the estimate, so the two agree closely and not exactly."""
    generator = torch.Generator().manual_seed(5)
    slow = torch.rand((20, 2, 12, 16), generator=generator).cumsum(dim=0).mul(0.6).round()
    steps = fields.step_bits(slow)
    index = torch.arange(len(slow))
    before = float(fields.estimated_bits(slow, index))
    prices, grown = [], []
    for place in torch.randperm(slow.numel(), generator=generator)[:60].tolist():
        for row, move in enumerate((-1.0, 1.0)):
            changed = slow.flatten().clone()
            changed[place] += move
            grown.append(float(fields.estimated_bits(changed.view_as(slow), index)) - before)
            prices.append(float(steps[row].flatten()[place]))
    assert np.corrcoef(prices, grown)[0, 1] > 0.9
    assert np.median(np.abs(np.subtract(prices, grown))) < 0.25 * np.median(np.abs(grown))


@pytest.mark.parametrize("origin", [(0, 0), (1, 3), (3, 2)])
def test_a_window_holds_its_own_cell_and_no_pixel_twice(origin: tuple[int, int]) -> None:
    cells, side = (10, 13), 8
    each = torch.zeros((1, cells[0] * side, cells[1] * side))
    for row in range(origin[0], cells[0], places.PITCH):
        for column in range(origin[1], cells[1], places.PITCH):
            each[0, row * side : (row + 1) * side, column * side : (column + 1) * side] = 1.0 + row * 100 + column
    found = places.windows(each, cells, origin)[0] / side**2
    rows, columns = range(origin[0], cells[0], places.PITCH), range(origin[1], cells[1], places.PITCH)
    assert found.tolist() == [[1.0 + row * 100 + column for column in columns] for row in rows]


def test_the_pose_network_reaches_every_latent(clip: SourceClip, stream: Bitstream, toy: Contract) -> None:
    """The conversion of the public evaluator cuts gradients silently; ours must not."""
    segnet, posenet = networks.load(toy)
    known = answers_of(clip, segnet, posenet, silent)
    free = replace(toy, formula=replace(toy.formula, segnet=0.0))
    slopes = judge.Judge(known, segnet, posenet, free).slopes(syntax.read(stream.payload), 1e-3, 0.3)
    assert slopes.fields is None
    assert (slopes.latents.abs().sum(dim=0) > 0.0).all()


def test_training_against_both_decodes_reports_every_axis(clip: SourceClip, tmp_path: Path) -> None:
    first, second = np.stack(list(clip.pairs())), np.stack(list(dual.pairs(clip)))
    assert first.shape == second.shape and 0.0 < np.abs(first.astype(int) - second).mean() < 8.0
    text = asked('decodes = "both"\nnoisy = true\nfield = "shares"\nfold = 2')
    made = codecs.get("implicit").encode(elsewhere(clip, tmp_path), text, silent)
    rows = [line.split(",") for line in (tmp_path / "axes.csv").read_text().splitlines()]
    assert [row[0] for row in rows] == ["axis", "evaluator", "chroma repeated", "noise"]
    assert len({row[1] + row[2] for row in rows}) == 4
    assert codecs.get("implicit").encode(elsewhere(clip, tmp_path / "b"), text, silent).payload == made.payload


def test_a_lean_stem_spends_what_its_docstring_says() -> None:
    shape = Shape(kind="lean", latent_dim=7, grid=(6, 8), widths=(5, 4), kernels=(3,), rank=3)
    sizes = {name: int(np.prod(dims)) for name, dims in tensor_shapes(shape).items() if name.startswith("stem")}
    assert sum(sizes.values()) == 7 * 5 * 3 + 3 * 48 + 5 * 48


def test_rows_of_the_latents_are_dimensions() -> None:
    shape = Shape(kind="lean", latent_dim=7, grid=(2, 2), widths=(5, 4), kernels=(3,), rank=3)
    model = Clip(shape, 11, "waves")
    scheme = Scheme("int8-channel", {name: tuple(w.shape) for name, w in model.named_parameters()})
    assert scheme.pack(dict(model.named_parameters()))["latents"].steps.shape == (7,)


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ("kernels = [3, 3, 3]", "one width more"),
        ("kernels = [3, 4]", "1, 3 or 5"),
        ("widht = 3", "widths"),
        ("latent_dim = 200", "126"),
        ('scheme = "fp4"', "int8"),
        ("field_polish = 1", "takes fields"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_with_the_reason(params: str, complaint: str) -> None:
    lines = {line.split(" =")[0]: line for line in TEXT.split("[params]")[1].split("{params}")[0].split("\n") if line}
    key = params.split(" =")[0]
    text = TEXT.format(params=params)
    if key in lines:
        text = text.replace(lines[key] + "\n", "")
    with pytest.raises(RecipeError, match=complaint):
        params_of(recipe.parse(text, "implicit/bad"))


def test_a_run_whose_last_stage_asks_no_network_is_refused() -> None:
    blind = recipe.parse(TEXT.format(params="").split('[[stages]]\nname = "answers"')[0], "implicit/blind")
    with pytest.raises(RecipeError, match="networks judge"):
        params_of(blind)


def test_every_recipe_that_ships_makes_sense() -> None:
    shipped = [name for name in recipe.names() if name.startswith("implicit/")]
    assert shipped
    for name in shipped:
        params, stages = params_of(recipe.load(name))
        shape = params.shape((1, 1), 5)
        assert 192 % shape.scale == 256 % shape.scale == 0 and stages


def test_the_public_archive_is_accounted_for_to_the_byte(shared: Path) -> None:
    member = public_member(shared)
    found = published.parse(member)
    at = 0
    for section in found.sections:
        assert section.offset == at
        at += section.n_bytes
    assert at == len(member)
    assert sum(codes.size for codes in found.codes.values()) == 228_958
    assert found.latents.shape == (28, 600)
    for length in (0, 3, 83, 84, 90_000, len(member) - 1):
        with pytest.raises(BitstreamError):
            published.parse(member[:length])


def test_the_public_archive_packs_smaller_and_loses_nothing(shared: Path) -> None:
    member = public_member(shared)
    found = published.parse(member)
    packed = published.repack(found)
    back = syntax.read(packed.payload)
    assert len(packed.payload) < len(member)
    for name, codes in found.codes.items():
        assert np.array_equal(back.codes[name], codes) and back.steps[name][0] == found.scales[name]
    values = found.latents.astype(np.float32) * found.latent_scales.astype(np.float32)[:, None]
    assert np.array_equal(back.latent_values().T, values + found.minima.astype(np.float32)[:, None])


def first_pairs(pairs: Iterator[np.ndarray], n_pairs: int) -> np.ndarray:
    """The first pairs of a decode."""
    return np.stack([next(pairs) for _ in range(n_pairs)])


def test_the_public_archive_decodes_to_frames(shared: Path) -> None:
    payload = published.repack(published.parse(public_member(shared))).payload
    frames = first_pairs(decode.decode(payload), 2)
    assert frames.shape == (2, 2, 384, 512, 3)
    # Trained on the networks' answers alone: saturated patterns, different in every pair and frame.
    assert frames.std() > 40.0 and (frames[0] != frames[1]).mean() > 0.3 and (frames[:, 0] != frames[:, 1]).mean() > 0.9


@pytest.mark.slow
def test_the_public_archive_decodes_to_all_its_pairs(shared: Path) -> None:
    payload = published.repack(published.parse(public_member(shared))).payload
    n_pairs = 0
    for pair in decode.decode(payload):
        assert pair.shape == (2, 384, 512, 3)
        n_pairs += 1
    assert n_pairs == 600


def test_the_published_decoder_does_what_its_layers_say() -> None:
    """Against a plain restatement of the public decoder, layer by layer."""
    torch.manual_seed(0)
    shape = published_shape(5, 6, (64, 64))
    decoder = Decoder(shape)
    z = torch.randn(1, 5)
    w = dict(decoder.named_parameters())
    x = torch.sin((w["stem.weight"] @ z[0] + w["stem.bias"]).view(1, 6, 1, 1))
    for number, (before, after) in enumerate(zip(shape.widths, shape.widths[1:], strict=False)):
        old = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        if before != after:
            old = torch.nn.functional.conv2d(old, w[f"skips.{number}.weight"], w[f"skips.{number}.bias"])
        new = torch.nn.functional.conv2d(x, w[f"blocks.{number}.weight"], w[f"blocks.{number}.bias"], padding=1)
        x = torch.sin(torch.nn.functional.pixel_shuffle(new, 2) + old)
    inner = torch.nn.functional.conv2d(x, w["refine.0.weight"], w["refine.0.bias"], padding=2, dilation=2)
    x = x + 0.1 * torch.sin(torch.nn.functional.conv2d(inner, w["refine.1.weight"], w["refine.1.bias"], padding=1))
    for frame in (0, 1):
        rgb = torch.nn.functional.conv2d(x, w[f"rgb_{frame}.weight"], w[f"rgb_{frame}.bias"], padding=1)
        assert torch.allclose(decoder(z)[:, frame], torch.sigmoid(rgb) * 255.0, atol=1e-3)


def test_contents_of_other_tensors_are_not_written(stream: Bitstream) -> None:
    content = syntax.read(stream.payload)
    fewer = dict(list(content.codes.items())[1:])
    with pytest.raises(ValueError, match="architecture"):
        syntax.write(replace(content, codes=fewer))
    assert isinstance(content, Content) and isinstance(content.head, Head)


def test_training_may_begin_with_what_a_payload_holds(clip: SourceClip, stream: Bitstream, tmp_path: Path) -> None:
    """One step at no learning rate to speak of packs what the payload drew."""
    text = TEXT[: TEXT.index("[[stages]]")].format(params='start = "toy-00000000"')
    text += '[[stages]]\nname = "packed"\nsteps = 1\nseg_loss = "flip"\nquantize = true\nlr = 1e-9\n'
    going_on = recipe.parse(text, "implicit/toy-on")
    with pytest.raises(RecipeError, match="`start` names"):
        codecs.get("implicit").encode(elsewhere(clip, tmp_path / "none"), going_on, silent)
    begun = replace(elsewhere(clip, tmp_path / "begun"), start=stream.payload)
    again = codecs.get("implicit").encode(begun, going_on, silent)
    before, after = (
        np.stack(list(decode.decode(payload))).astype(float) for payload in (stream.payload, again.payload)
    )
    assert np.abs(before - after).mean() < 1.0
    other = recipe.parse(text.replace("widths = [8, 8, 6]", "widths = [8, 8, 8]"), "implicit/toy-other")
    with pytest.raises(RecipeError, match="another shape"):
        codecs.get("implicit").encode(replace(begun, work=tmp_path / "other"), other, silent)
