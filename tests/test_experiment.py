"""The path from a recipe to a record, on a contract of six frames with real files, real encoders, real processes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FRAME, MODEL, N_PAIRS, drawn_frames, toy_contract, write_video

from lab import archive, cli, contract, custody, experiment, packet, recipe, replay, report, runtime
from lab.contract import Contract
from lab.errors import (
    ContractError,
    DigestMismatch,
    DuplicateRun,
    PacketError,
    RawSizeMismatch,
    RecipeError,
    ReplayError,
    SampleCountMismatch,
    VideoError,
)
from lab.evaluator import freeze, measure, networks
from lab.experiment import Bench
from lab.ledger import Ledger
from lab.video import frames

TEXT = """
family = "conventional"
question = "does the path hold?"
[params]
encoder = "svt-av1"
grid = "model"
down = "aligned"
up = "aligned"
crf = {crf}
preset = "8"
gop = 6
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A ledger of its own with the toy contract in it."""
    root = tmp_path_factory.mktemp("house")
    toy_contract(root / "ledgers")
    return Bench(ledgers=root / "ledgers", cache=root / "cache", work=root / "work", root=Path(__file__).parents[1])


@pytest.fixture(scope="module")
def toy(bench: Bench) -> Contract:
    """The toy contract."""
    return contract.load("toy", bench.ledgers)


def asked(crf: int, name: str = "conventional/toy") -> recipe.Recipe:
    """A recipe for the toy."""
    return recipe.parse(TEXT.format(crf=crf), name)


@pytest.fixture(scope="module")
def built(bench: Bench, toy: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One packet."""
    return experiment.encode(asked(20), toy, bench, tmp_path_factory.mktemp("packets") / "packet")


def test_a_run_is_measured_from_its_packet_and_recorded(bench: Bench, toy: Contract, tmp_path: Path) -> None:
    """Every figure of the record is recomputed here from first principles, from the archive alone."""
    left = bench.folder(toy, asked(20))
    left.mkdir(parents=True, exist_ok=True)
    (left / "training.csv").write_text("as a trainer leaves it")
    run, fresh = experiment.run(asked(20), toy, bench)
    assert fresh
    assert (Ledger(bench.ledgers).evidence("toy", run.id) / "training.csv").read_text() == "as a trainer leaves it"
    kept = Ledger(bench.ledgers).archive("toy", run.data["custody"]["archive_sha256"])
    assert kept.stat().st_size == run.archive_bytes

    from lab.codecs.conventional.decode import decode

    decoded = torch.from_numpy(np.stack(list(decode(archive.payload_of(kept)))))
    source = torch.from_numpy(np.stack(list(frames.read_pairs(toy.source_path))))
    seg, pose = networks.load(toy)

    def answers(pairs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = pairs.flatten(0, 1).permute(0, 3, 1, 2).float()
        small = torch.nn.functional.interpolate(flat, size=MODEL, mode="bilinear", align_corners=False)
        small = small.unflatten(0, (-1, 2))
        red, green, blue = small.unbind(2)
        luma = (0.299 * red + 0.587 * green + 0.114 * blue).clamp(0, 255)
        chroma = [((blue - luma) / 1.772 + 128).clamp(0, 255), ((red - luma) / 1.402 + 128).clamp(0, 255)]
        planes = [luma[..., i::2, j::2] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
        planes += [torch.nn.functional.avg_pool2d(plane, 2) for plane in chroma]
        twelve = torch.stack(planes, dim=2).flatten(1, 2)
        with torch.no_grad():
            return seg(small[:, 1]).argmax(1), pose((twelve - 127.5) / 63.75)

    (classes, motion), (classes_hat, motion_hat) = answers(source), answers(decoded)
    segnet = (classes != classes_hat).float().mean().item()
    posenet = ((motion - motion_hat)[:, :6] ** 2).mean().item()
    total = 100 * segnet + math.sqrt(10 * posenet) + 25 * run.archive_bytes / toy.source.bytes
    assert run.data["evaluation"]["segnet"] == pytest.approx(segnet, abs=1e-6)
    assert run.data["evaluation"]["posenet"] == pytest.approx(posenet, abs=1e-6)
    assert run.total == pytest.approx(total, abs=1e-4)


def test_the_evidence_of_a_run_agrees_with_its_record(bench: Bench, toy: Contract) -> None:
    run, _ = experiment.run(asked(20), toy, bench, once=True)
    folder = Ledger(bench.ledgers).evidence("toy", run.id)
    figures = report.read((folder / "report.txt").read_text())
    assert figures["total"] == pytest.approx(run.total, abs=1e-9)
    assert figures["n_pairs"] == N_PAIRS
    rows = (folder / "pairs.csv").read_text().splitlines()[1:]
    assert len(rows) == N_PAIRS
    mean = sum(float(row.split(",")[1]) for row in rows) / N_PAIRS
    assert mean == pytest.approx(run.data["evaluation"]["segnet"], abs=1e-12)
    anatomy = json.loads((folder / "anatomy.json").read_text())
    assert sum(section["n_bytes"] for section in anatomy["sections"]) == run.archive_bytes
    assert json.loads((folder / "evaluation.json").read_text())["custody"] == run.data["custody"]


def test_a_run_asked_for_once_is_not_repeated(bench: Bench, toy: Contract) -> None:
    first, _ = experiment.run(asked(20), toy, bench, once=True)
    again, fresh = experiment.run(asked(20), toy, bench, once=True)
    assert (again.id, fresh) == (first.id, False)


def test_the_same_bytes_are_not_recorded_twice(bench: Bench, toy: Contract) -> None:
    experiment.run(asked(20), toy, bench, once=True)
    with pytest.raises(DuplicateRun, match="never edited"):
        experiment.run(asked(20), toy, bench)


def test_a_recorded_run_repeats_to_the_same_bytes(bench: Bench, toy: Contract) -> None:
    run, _ = experiment.run(asked(20), toy, bench, once=True)
    result = experiment.rerun(run.id, toy, bench)
    assert result["same_bytes"] and result["same_raw"] and result["same_runtime"]
    assert result["total"][0] == result["total"][1]


def test_a_child_is_judged_against_its_parent(bench: Bench, toy: Contract) -> None:
    parent, _ = experiment.run(asked(20), toy, bench, once=True)
    child = replace(asked(63, "conventional/coarser"), parent="conventional/toy", changed="crf 20 -> 63")
    run, _ = experiment.run(child, toy, bench)
    assert run.parents == (parent.id,)
    assert run.verdict == ("promoted" if run.total < parent.total else "rejected")
    assert run.grade in ("A", "A-negative")


def test_a_child_without_a_recorded_parent_is_refused_before_work(bench: Bench, toy: Contract) -> None:
    orphan = replace(asked(30), parent="conventional/never-run", changed="everything")
    with pytest.raises(RecipeError, match=r"lab run conventional/never-run"):
        experiment.run(orphan, toy, bench)


def test_the_inflating_process_sees_neither_source_nor_networks(
    built: Path, toy: Contract, bench: Bench, tmp_path: Path
) -> None:
    """A decoder that looks for them finds empty folders."""
    if not replay.namespaces():
        pytest.skip("this kernel offers no namespaces to an unprivileged process")
    spy = tmp_path / "spy"
    packet.build(spy, archive.payload_of(built / "archive.zip"), runtime.of_closure("conventional", ()), title="spy")
    hidden = " ".join(f'"{path}"' for path in bench.hidden(toy) if path.is_dir())
    (spy / "inflate.sh").write_text(
        f'find {hidden} -type f > "$2/0.raw" 2>/dev/null\n'
        'umount "$(dirname "$2")" 2>/dev/null && exit 9\n'
        "if timeout 2 bash -c 'echo > /dev/tcp/1.1.1.1/53' 2>/dev/null; then exit 8; fi\n"
    )
    seen = replay.inflate(spy, tmp_path / "work", raw_bytes=0, hidden=bench.hidden(toy), time_limit_s=30)
    assert seen.raw.read_bytes() == b""
    assert {"no network", "source hidden", "networks hidden"} <= set(seen.walls)


@pytest.mark.parametrize(
    ("script", "error", "complaint"),
    [
        ("exit 3", ReplayError, "found 3"),
        ("true", ReplayError, "0.raw"),
        ('head -c 100 /dev/zero > "$2/0.raw"', RawSizeMismatch, "found 100"),
        ('head -c 110593 /dev/zero > "$2/0.raw"', RawSizeMismatch, "found 110,593"),
        ('head -c 110592 /dev/zero > "$2/0.raw"; touch "$2/more"', ReplayError, "found more"),
        ("sleep 60", ReplayError, "within 2 s"),
        ('ln -s /dev/zero "$2/0.raw"', ReplayError, "0.raw"),
    ],
)
def test_an_inflation_that_went_wrong_never_becomes_a_score(
    script: str, error: type[Exception], complaint: str, built: Path, toy: Contract, tmp_path: Path
) -> None:
    assert toy.raw_bytes // 2 == 110_592
    limit = 2 if script.startswith("sleep") else 60
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "archive.zip").write_bytes((built / "archive.zip").read_bytes())
    (wrong / "inflate.sh").write_text(script + "\n")
    with pytest.raises(error, match=complaint):
        replay.inflate(wrong, tmp_path / "work", raw_bytes=110_592, hidden=(), time_limit_s=limit)


def test_a_packet_without_its_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "packet").mkdir()
    with pytest.raises(ReplayError, match=r"archive\.zip"):
        replay.inflate(tmp_path / "packet", tmp_path / "work", raw_bytes=1, hidden=(), time_limit_s=1)


def test_too_few_frames_are_no_score(toy: Contract, bench: Bench, tmp_path: Path) -> None:
    evaluator = measure.Evaluator(toy, axis="cpu", cache=bench.cache)
    pair = np.zeros((2, *FRAME, 3), np.uint8)
    for n_pairs in (N_PAIRS - 1, N_PAIRS + 1):
        with pytest.raises(SampleCountMismatch):
            evaluator.answers([pair] * n_pairs, lambda *_: None, "test")


def test_a_source_measured_against_itself_has_no_distortion(toy: Contract, bench: Bench, tmp_path: Path) -> None:
    raw = tmp_path / "0.raw"
    raw.write_bytes(b"".join(pair.tobytes() for pair in frames.read_pairs(toy.source_path)))
    measured = measure.Evaluator(toy, axis="cpu", cache=bench.cache).measure(raw, lambda *_: None)
    assert (measured.segnet, measured.posenet) == (0.0, 0.0)


def test_reference_answers_are_kept_and_survive_damage(toy: Contract, tmp_path: Path) -> None:
    evaluator = measure.Evaluator(toy, axis="cpu", cache=tmp_path)
    first = evaluator.reference(lambda *_: None)
    (kept,) = (tmp_path / "answers").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    again = evaluator.reference(lambda *_: None)
    assert np.array_equal(first.pose, again.pose) and np.array_equal(first.classes, again.classes)


def test_pose_gradients_are_alive_through_the_preprocessing(toy: Contract) -> None:
    """The trap that public entries fell into: clamping in place under no-grad zeroes them silently."""
    from lab.evaluator import preprocess

    _, pose = networks.load(toy)
    seen = torch.rand(1, 2, 3, *FRAME).mul(255).requires_grad_()
    pose(preprocess.posenet_input(seen, MODEL))[:, :6].square().sum().backward()
    assert seen.grad is not None
    for frame in range(2):
        assert seen.grad[:, frame].abs().max() > 0


def test_a_changed_network_is_refused(tmp_path: Path) -> None:
    toy = toy_contract(tmp_path)
    weights = toy.weights_path("posenet")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(DigestMismatch, match="posenet"):
        networks.load(toy)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    toy = toy_contract(tmp_path)
    toy.source_path.unlink()
    bench = Bench(ledgers=tmp_path, cache=tmp_path / "c", work=tmp_path / "w", root=tmp_path)
    with pytest.raises(custody.CustodyError, match="source of contract 'toy'"):
        experiment.run(asked(20), toy, bench)
    assert not (tmp_path / "toy" / "runs").exists()


def test_an_own_video_becomes_a_contract(tmp_path: Path) -> None:
    judge = toy_contract(tmp_path / "ledgers")
    write_video(tmp_path / "mine.mkv", drawn_frames(5))
    made, remarks = freeze.new("mine", tmp_path / "mine.mkv", tmp_path / "ledgers", judged_by=judge)
    assert made.n_pairs == 2
    assert "5 frames" in remarks[0]
    assert contract.load("mine", tmp_path / "ledgers").digest == made.digest
    with pytest.raises(ContractError, match="free name"):
        freeze.new("mine", tmp_path / "mine.mkv", tmp_path / "ledgers", judged_by=judge)


@pytest.mark.parametrize("content", [b"", b"just a text\n" * 100, bytes(5000)])
def test_what_is_no_video_becomes_no_contract(content: bytes, tmp_path: Path) -> None:
    judge = toy_contract(tmp_path / "ledgers")
    (tmp_path / "mine.mkv").write_bytes(content)
    with pytest.raises(VideoError):
        freeze.new("mine", tmp_path / "mine.mkv", tmp_path / "ledgers", judged_by=judge)
    assert not (tmp_path / "ledgers" / "mine").exists()


def test_frames_below_the_model_grid_become_no_contract(tmp_path: Path) -> None:
    judge = toy_contract(tmp_path / "ledgers")
    write_video(tmp_path / "tiny.mkv", drawn_frames(4, (24, 32)))
    with pytest.raises(ContractError, match="model grid"):
        freeze.new("tiny", tmp_path / "tiny.mkv", tmp_path / "ledgers", judged_by=judge)


def test_the_verbs_walk_the_whole_path(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "verb.toml").write_text(TEXT.format(crf=35))
    base = ["--ledgers", str(bench.ledgers)]
    assert cli.main([*base, "encode", str(tmp_path / "verb.toml"), "--contract", "toy", "-o", str(tmp_path / "p")]) == 0
    assert cli.main([*base, "evaluate", str(tmp_path / "p"), "--contract", "toy"]) == 0
    assert "Final score" in capsys.readouterr().out
    assert cli.main([*base, "run", str(tmp_path / "verb.toml"), "--contract", "toy"]) == 0
    identifier = capsys.readouterr().out.split()[0]
    assert cli.main([*base, "ledger", "show", identifier]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == identifier
    assert cli.main([*base, "rerun", identifier, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_bytes"]
    assert cli.main([*base, "anatomy", str(tmp_path / "p" / "archive.zip")]) == 0
    assert "every one accounted for" in capsys.readouterr().out
    assert cli.main([*base, "encode", str(tmp_path / "verb.toml"), "--contract", "toy", "-o", str(tmp_path / "p")]) == 1
    assert "a new folder" in capsys.readouterr().err


def test_an_alien_archive_is_refused(tmp_path: Path, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (
        ("cut.zip", archive.write(b"\xa7\x01abc")[:-9]),
        ("text.zip", b"no archive"),
        ("empty.zip", b""),
    ):
        (tmp_path / name).write_bytes(content)
        assert cli.main(["anatomy", str(tmp_path / name)]) == 1
        assert name in capsys.readouterr().err
        with pytest.raises(PacketError):
            archive.read(tmp_path / name)
