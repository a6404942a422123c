"""The official evaluator agrees with the contest's loop, and refuses by name what that loop lets through."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import importlib.util
import subprocess
import sys
import types
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lab import cli, contract, custody, evidence, experiment, recipe, record, report
from lab.contract import Contract
from lab.errors import EvaluationError, RawSizeMismatch, SampleCountMismatch
from lab.evaluator import measure, official, preprocess
from lab.evaluator.packed import PackedConv
from lab.video import frames, raw

if not all(map(importlib.util.find_spec, ("timm", "segmentation_models_pytorch", "torchvision"))):
    pytest.skip("the extra `comma` is not installed", allow_module_level=True)

import contest
import test_evidence

N_PAIRS = 2


def silent(stage: str, done: int, total: int) -> None:
    """Reports nothing."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The official contract on four drawn frames and random weights."""
    return contest.drawn_contract(tmp_path_factory.mktemp("official") / "comma-2026", N_PAIRS)


@pytest.fixture(scope="module")
def decoded(drawn: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw file that differs a little from the source."""
    path = tmp_path_factory.mktemp("raw") / "0.raw"
    grain = np.random.default_rng(11).integers(-2, 3, (*drawn.frame_size, 1))
    with path.open("wb") as out:
        for frame in frames.read_frames(drawn.source_path):
            out.write(np.clip(frame.astype(np.int16) + grain, 0, 255).astype(np.uint8).tobytes())
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reference's answers are kept for all tests of this file."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def plain_networks(drawn: Contract) -> tuple[Any, Any]:
    """Both networks as the contest runs them: nothing folded, default layout."""
    from lab.evaluator import official_networks

    made = []
    for name, network in (("segnet", official_networks.segnet()), ("posenet", official_networks.posenet())):
        network.load_state_dict(load_file(drawn.weights_path(name)), strict=True)
        made.append(network.eval().requires_grad_(False))
    return made[0], made[1]


def test_the_contract_loads_without_its_files() -> None:
    official_contract = contract.load("comma-2026")
    assert (official_contract.kind, official_contract.n_pairs, official_contract.raw_bytes) == (
        "official",
        600,
        3662409600,
    )
    score = official_contract.score(segnet=0.00067623, posenet=0.00017198, archive_bytes=178981)
    assert score.total == pytest.approx(contest.total(0.00067623, 0.00017198, 178981, 37_545_489), abs=1e-12)


def test_frames_are_converted_value_for_value(drawn: Contract) -> None:
    ours = list(frames.read_pairs(drawn.source_path, n_pairs=N_PAIRS, size=drawn.frame_size))
    (theirs,) = contest.pairs_of_video(drawn.source_path, 16)
    assert np.array_equal(np.stack(ours), theirs.numpy())


def test_components_agree_with_the_contest_s_loop(
    drawn: Contract, decoded: Path, plain_networks: tuple[Any, Any], cache: Path
) -> None:
    """The bar: one pixel of the class maps, and 1e-6 of the pose distortion."""
    expected = contest.restated(drawn.source_path, decoded, *plain_networks)
    evaluator = measure.Evaluator(drawn, axis="cpu", cache=cache)
    packs = [layer for layer in evaluator.segnet.modules() if isinstance(layer, PackedConv)]
    assert packs and all(layer._packed is not None for layer in packs), "weights are arranged while loading"
    measured = evaluator.measure(decoded, silent)
    pixels = N_PAIRS * drawn.model_size[0] * drawn.model_size[1]
    assert expected["pairs"] == N_PAIRS and expected["segnet"] > 0.0 and expected["posenet"] > 0.0
    assert expected["segnet"] == pytest.approx(expected["pixels"] / pixels, rel=1e-6)
    assert abs(round(measured.segnet * pixels) - expected["pixels"]) <= 1
    assert abs(measured.posenet - expected["posenet"]) <= 1e-6
    again = evaluator.measure(decoded, silent)
    assert (again.segnet, again.posenet) == (measured.segnet, measured.posenet)
    assert len(list((cache / "answers").glob("*.npz"))) == 1


def test_answers_do_not_depend_on_the_number_of_threads(
    drawn: Contract, decoded: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(measure.LARGE_BATCH_PAIRS, "cpu", 1)  # so that two threads have a batch each
    evaluator = measure.Evaluator(drawn, axis="cpu", cache=cache)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            pairs = raw.read_pairs(decoded, n_pairs=N_PAIRS, size=drawn.frame_size)
            found.append(evaluator.answers(pairs, silent, "networks on the decode"))
    finally:
        torch.set_num_threads(before)
    one, two = found
    assert np.array_equal(one.classes, two.classes) and np.array_equal(one.pose, two.pose)


def test_a_report_reads_as_the_contest_s_does(drawn: Contract) -> None:
    text = "\n".join(
        [
            "=== Evaluation config ===", "  batch_size: 16", "=== Evaluation results over 600 samples ===",
            "  Average PoseNet Distortion: 0.38042614", "  Average SegNet Distortion: 0.00946623",
            "  Submission file size: 2,244,900 bytes", "  Original uncompressed size: 37,545,489 bytes",
            "  Compression Rate: 0.05979147",
            "  Final score: 100*segnet_dist + √(10*posenet_dist) + 25*rate = 4.39",
        ]
    )  # fmt: skip
    told = report.read(text)
    assert (told["posenet"], told["archive_bytes"], told["total"], told["n_pairs"]) == (0.38042614, 2244900, 4.39, 600)
    ours = contract.load("comma-2026").score(segnet=told["segnet"], posenet=told["posenet"], archive_bytes=2244900)
    assert ours.total == pytest.approx(told["total"], abs=0.005)


def test_a_short_or_partial_raw_file_is_refused(drawn: Contract, decoded: Path, tmp_path: Path) -> None:
    """The contest's loop scores a short file on fewer samples, and drops a partial frame."""
    short, partial = tmp_path / "short.raw", tmp_path / "partial.raw"
    data = decoded.read_bytes()
    short.write_bytes(data[: len(data) // N_PAIRS])
    partial.write_bytes(data + b"\0")
    evaluator = measure.Evaluator.__new__(measure.Evaluator)
    evaluator.contract = drawn
    for path in (short, partial):
        with pytest.raises(RawSizeMismatch, match=path.name):
            evaluator.measure(path, silent)


def test_a_short_source_is_refused(drawn: Contract, tmp_path: Path) -> None:
    longer = contract.parse(
        (drawn.root / "contract.toml").read_text(encoding="utf-8").replace("n_pairs = 2", "n_pairs = 3"),
        drawn.root, "longer",
    )  # fmt: skip
    with pytest.raises(SampleCountMismatch, match="6 frames"):
        list(official.source_pairs(longer, "cpu"))


def test_stray_files_do_not_move_the_rate(drawn: Contract) -> None:
    """The contest divides by the size of everything below its videos folder; here only the declared source counts."""
    (drawn.root / "files" / "stray.txt").write_bytes(b"x" * 5000)
    score = drawn.score(segnet=0.0, posenet=0.0, archive_bytes=1000)
    assert score.rate_term == 25 * 1000 / drawn.source_path.stat().st_size


def test_gradients_survive_the_preparation() -> None:
    """The contest's own conversion to planes has no gradient; ours has, at equal values."""
    drawn = torch.Generator().manual_seed(4)
    pairs = torch.randint(0, 256, (1, 2, 96, 128, 3), dtype=torch.uint8, generator=drawn)
    planes = preprocess.to_planes(pairs).requires_grad_(True)
    ours = preprocess.posenet_input(planes, (48, 64))
    ours.square().sum().backward()
    assert planes.grad is not None and float(planes.grad.abs().max()) > 0.0


def test_without_dali_there_is_no_cuda_axis(drawn: Contract) -> None:
    with pytest.raises(EvaluationError, match="DALI"):
        official.source_pairs(drawn, "cuda")
    assert official.decoder(drawn, "cpu").startswith("pyav")
    assert official.decoder(drawn, "cuda").startswith("dali")


def test_a_missing_card_is_one_clear_line(
    drawn: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(official.torch.cuda, "is_available", lambda: False)
    (tmp_path / "packet").mkdir()
    assert cli.main(["evaluate", str(tmp_path / "packet"), "--contract", "minidrive", "--axis", "cuda"]) == 1
    said = capsys.readouterr().err
    assert "a CUDA card" in said and "--axis cpu" in said and len(said.splitlines()) == 1
    with pytest.raises(EvaluationError, match="DALI"):
        measure.Evaluator(drawn, axis="cuda", cache=tmp_path)


def test_a_card_computes_in_full_precision() -> None:
    """Where the networks run on a card, its convolutions must not fall back to TF32."""
    before = torch.backends.cudnn.allow_tf32
    with official.exact("cuda"):
        assert torch.backends.cudnn.allow_tf32 is False and torch.backends.cudnn.deterministic is True
    assert torch.backends.cudnn.allow_tf32 == before
    assert torch.backends.cuda.matmul.allow_tf32 is False


@pytest.mark.parametrize(
    ("system", "machine", "axis"),
    [
        ("linux", "x86_64", "cpu"), ("linux", "aarch64", "cpu advisory"),
        ("darwin", "arm64", "cpu advisory"), ("darwin", "x86_64", "cpu advisory"),
    ],
)  # fmt: skip
def test_other_hardware_is_advisory_and_cannot_be_promoted(
    system: str, machine: str, axis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official.sys, "platform", system)
    monkeypatch.setattr(official.platform, "machine", lambda: machine)
    claimed = official.claimed_axis("cpu")
    assert claimed == axis
    promoted = record.verdict(0.1, None, claimed)[0]
    assert promoted == ("promoted" if axis == "cpu" else "open")
    # Everything else that a rank asks for is there, so that the axis alone decides.
    complete = dataclasses.replace(test_evidence.COMPLETE, axis=claimed)
    assert evidence.grade(complete)[0].ranks == (axis == "cpu")


UPSTREAM_INFLATE = """\
#!/usr/bin/env bash
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$HERE/../.." && pwd)"
NAME="$(basename "$HERE")"
mkdir -p "$2"
while IFS= read -r line; do
  [ -z "$line" ] && continue
  base="${line%.*}"
  cd "$ROOT"
  python -m "submissions.${NAME}.inflate" "$1/${base}.bin" "$2/${base}.raw"
done < "$3"
"""
UPSTREAM_PY = """\
import os, sys, zlib
from frame_utils import camera_size
assert not os.path.exists("videos/0.mkv") and not os.path.exists("models/segnet.safetensors")
width, height = camera_size
frame = zlib.decompress(open(sys.argv[1], "rb").read())
assert len(frame) == width * height * 3
with open(sys.argv[2], "wb") as out:
    for _ in range(4):
        out.write(frame)
"""


@pytest.fixture
def upstream_tree(tmp_path: Path) -> Path:
    """A tree laid out as the contest's repository, with one submission in its own style."""
    tree = tmp_path / "challenge"
    place = tree / "submissions" / "flat_grey"
    place.mkdir(parents=True)
    for name in ("videos/0.mkv", "models/segnet.safetensors", "models/posenet.safetensors"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"must stay out of sight")
    (tree / "frame_utils.py").write_text("camera_size = (1164, 874)\n", encoding="utf-8")
    (place / "inflate.sh").write_text(UPSTREAM_INFLATE, encoding="utf-8")
    (place / "inflate.sh").chmod(0o644)
    (place / "inflate.py").write_text(UPSTREAM_PY, encoding="utf-8")
    with zipfile.ZipFile(place / "archive.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("0.bin", zlib.compress(bytes(874 * 1164 * 3)))
    return tree


def test_a_submission_made_for_the_contest_evaluates_unchanged(
    upstream_tree: Path, drawn: Contract, cache: Path, tmp_path: Path
) -> None:
    bench = experiment.Bench(ledgers=tmp_path / "ledgers", cache=cache, work=tmp_path / "work", root=tmp_path)
    place = upstream_tree / "submissions" / "flat_grey"
    found = experiment.evaluate(place, drawn, bench, axis="cpu", work=tmp_path / "replay")
    assert found.archive_bytes == (place / "archive.zip").stat().st_size
    assert found.archive_sha256 == custody.sha256_file(place / "archive.zip")
    assert set(found.runtime.files) == {"inflate.py"}
    assert found.measurement.segnet > 0.0 and found.axis == official.claimed_axis("cpu")
    assert found.score.total == pytest.approx(
        contest.total(
            found.measurement.segnet, found.measurement.posenet, found.archive_bytes, drawn.source_path.stat().st_size
        )
    )


RECIPE = """
family = "conventional"
question = "does the contest's own flow inflate our packet?"
[params]
encoder = "svt-av1"
grid = "model"
down = "aligned"
up = "aligned"
crf = 50
preset = "10"
gop = 4
"""
# The steps of the published evaluate.sh up to the evaluation: fresh archive folder, unzip, inflate, check.
FLOW = """
set -euo pipefail
rm -rf "$1/archive"
mkdir -p "$1/archive"
if command -v unzip > /dev/null; then unzip -q -o "$1/archive.zip" -d "$1/archive"; else
  python -m zipfile -e "$1/archive.zip" "$1/archive"; fi
bash "$1/inflate.sh" "$1/archive" "$1/inflated" "$2"
while IFS= read -r line; do
  [ -z "$line" ] && continue
  [ -f "$1/inflated/${line%.*}.raw" ]
done < "$2"
"""


def test_a_packet_of_ours_evaluates_in_the_contest_s_flow_and_here_alike(
    drawn: Contract, plain_networks: tuple[Any, Any], cache: Path, tmp_path: Path
) -> None:
    """Relative paths, a folder that inflate.sh must make itself, a names file with an empty line, no walls; then the
    contest's loop and report over what came out, and our own verb over the folder as the contest leaves it."""
    bench = experiment.Bench(ledgers=tmp_path / "ledgers", cache=cache, work=tmp_path / "work", root=tmp_path)
    ours = tmp_path / "submissions" / "ours"
    ours.parent.mkdir()
    experiment.encode(recipe.parse(RECIPE, "conventional/flow"), drawn, bench, ours)
    (tmp_path / "public_test_video_names.txt").write_text("0.mkv\n\n", encoding="utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    command = ["bash", "-c", FLOW, "flow", "./submissions/ours", "public_test_video_names.txt"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    raw = ours / "inflated" / "0.raw"
    assert raw.stat().st_size == drawn.raw_bytes
    theirs = contest.restated(drawn.source_path, raw, *plain_networks)
    archive_bytes = (ours / "archive.zip").stat().st_size
    text = contest.report(theirs, archive_bytes, drawn.source_path.stat().st_size)
    (ours / "report.txt").write_text(text, encoding="utf-8")
    digest = custody.sha256_file(raw)
    found = experiment.evaluate(ours, drawn, bench, axis="cpu", work=tmp_path / "replay")
    assert found.inflation.raw_sha256 == digest
    told = report.read(text)
    assert (told["n_pairs"], told["archive_bytes"]) == (N_PAIRS, found.archive_bytes)
    assert told["posenet"] == pytest.approx(found.measurement.posenet, abs=1e-6)
    exact = contest.total(theirs["segnet"], theirs["posenet"], archive_bytes, drawn.source_path.stat().st_size)
    one_pixel = drawn.formula.segnet / (N_PAIRS * drawn.model_size[0] * drawn.model_size[1])
    assert told["total"] == pytest.approx(exact, abs=0.005 + 1e-9)
    assert found.score.total == pytest.approx(exact, abs=1.01 * one_pixel + 1e-5)
    ours_text = report.write(
        drawn, found.score, segnet=found.measurement.segnet, posenet=found.measurement.posenet,
        archive_bytes=found.archive_bytes, axis=found.axis,
    )  # fmt: skip
    results = [line.split(":")[0] for line in text.splitlines()[text.splitlines().index(results_head(text)) + 1 :]]
    assert [line.split(":")[0] for line in ours_text.splitlines() if line.split(":")[0] in results] == results


def results_head(text: str) -> str:
    """The line of a report over its results."""
    return next(line for line in text.splitlines() if "results over" in line)


def stand_in_for_dali(clip: Path, monkeypatch: pytest.MonkeyPatch, *, drop: int = 0, pad: int = 0) -> dict[str, Any]:
    """Modules in DALI's place that decode with PyAV; what they were asked for is returned and filled in."""
    asked: dict[str, Any] = {}

    def module(name: str, **content: Any) -> None:
        made = types.ModuleType(name)
        made.__spec__ = importlib.machinery.ModuleSpec(name, None)
        made.__path__ = []
        vars(made).update(content)
        monkeypatch.setitem(sys.modules, name, made)

    class Pipeline:
        def build(self) -> None:
            asked["built"] = True

        def feed_input(self, name: str, buffers: list[Any]) -> None:
            asked["fed"] = (name, [buffer.tobytes() for buffer in buffers])

    def pipeline_def(make: Any) -> Any:
        def made(**settings: Any) -> Pipeline:
            asked["pipeline"] = settings
            make()
            return Pipeline()

        return made

    class Iterator:
        def __init__(self, pipelines: list[Pipeline], **settings: Any) -> None:
            asked["iterator"] = settings
            pairs = list(frames.read_pairs(clip))
            pairs = pairs[: len(pairs) - drop] + pairs[-1:] * pad
            size = asked["pipeline"]["batch_size"]
            self.batches = iter(
                [torch.from_numpy(np.stack(pairs[at : at + size])) for at in range(0, len(pairs), size)]
            )

        def __next__(self) -> list[dict[str, torch.Tensor]]:
            return [{"video": next(self.batches)}]

    inputs = types.SimpleNamespace(video=lambda **settings: asked.update(input=settings))
    module("nvidia")
    module("nvidia.dali", pipeline_def=pipeline_def)
    module("nvidia.dali.fn", experimental=types.SimpleNamespace(inputs=inputs))
    module("nvidia.dali.plugin")
    module("nvidia.dali.plugin.pytorch", DALIGenericIterator=Iterator)
    module("nvidia.dali.plugin.base_iterator", LastBatchPolicy=types.SimpleNamespace(PARTIAL="partial"))
    return asked


def test_where_dali_is_installed_the_cuda_axis_decodes_with_it(
    drawn: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for DALI: it is fed the whole file, asked for pairs of frames on the card, and padding is left out."""
    asked = stand_in_for_dali(drawn.source_path, monkeypatch, pad=1)
    pairs = list(official.source_pairs(drawn, "cuda"))
    expected = list(frames.read_pairs(drawn.source_path, n_pairs=N_PAIRS, size=drawn.frame_size))
    assert len(pairs) == N_PAIRS and all(map(np.array_equal, pairs, expected))
    assert asked["fed"] == ("video", [drawn.source_path.read_bytes()])
    assert (asked["input"]["sequence_length"], asked["input"]["device"]) == (2, "mixed")
    assert asked["iterator"]["last_batch_policy"] == "partial" and asked["built"]


def test_a_decode_by_dali_that_ends_early_is_refused(drawn: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_dali(drawn.source_path, monkeypatch, drop=1)
    with pytest.raises(SampleCountMismatch, match="2 pairs"):
        list(official.source_pairs(drawn, "cuda"))


def test_a_card_is_part_of_the_identity(drawn: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cards on one axis have been seen to score differently."""
    assert official.device("cpu") == "cpu"
    monkeypatch.setattr(official.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(official.torch.cuda, "get_device_name", lambda: "Tesla T4")
    assert official.device("cuda").startswith("cuda: Tesla T4, CUDA ")
