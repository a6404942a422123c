"""Laws of the trainer: it learns, it repeats, it survives a kill, and it stops before it spoils anything."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import killed_run
import numpy as np
import pytest
import rooms
import torch
from torch import nn

from lab.codecs.filtered.model import build_postfilter
from lab.errors import TrainingError
from lab.training import checkpoints, compute, progress, targets
from lab.training.config import TrainConfig
from lab.training.progress import CHECKPOINT, LOG
from lab.training.schedule import Stage
from lab.training.trainer import NOTE, Trainer

SHORT = Stage(name="fit", steps=30, batch_pairs=2, lr=3e-3, seg_loss="softplus", ema=0.9)


def fit(config: TrainConfig, folder: Path | None = None, hidden: int = 6, **options: Any) -> Any:
    segnet, posenet = rooms.networks()
    trainer = Trainer(build_postfilter("standard", hidden=hidden), config, folder=folder)
    return trainer.fit(rooms.damaged(), options.pop("source", rooms.reference()), posenet, segnet, **options)


def config(*stages: Stage, **changes: Any) -> TrainConfig:
    known = {"source_bytes": 50_000, "validate_every": 10, "checkpoint_every": 5, "log_every": 5}
    return TrainConfig(stages=stages or (SHORT,), **{**known, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run that nobody killed: its folder and digest."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, killed_run.digest(killed_run.run(folder))


def test_training_lowers_the_decoded_score_of_a_damaged_clip() -> None:
    segnet, posenet = rooms.networks()
    known = rooms.reference()
    untouched = targets.measure([targets.planes_of(rooms.damaged(), rooms.GRID)], known, segnet, posenet)
    fitted = fit(config(replace(SHORT, steps=120), source_bytes=10_000_000))
    before = config().validation(untouched, 0).score
    assert fitted.validation.score < 0.8 * before
    assert fitted.validation.segnet < untouched.segnet


def test_what_is_validated_is_what_is_packed() -> None:
    """The best candidate's packed weights, run through the model, give its recorded components again."""
    fitted = fit(config(replace(SHORT, quantize=True)))
    segnet, posenet = rooms.networks()
    model = build_postfilter("standard", hidden=6)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(fitted.values[name])
        out = model(targets.planes_of(rooms.damaged(), rooms.GRID)).round().clamp(0, 255)
    found = targets.measure([out], rooms.reference(), segnet, posenet)
    assert found.segnet == fitted.validation.segnet
    assert abs(found.posenet - fitted.validation.posenet) < 1e-9


def test_arrays_of_source_pairs_serve_as_well_as_their_answers() -> None:
    assert fit(config(), source=rooms.source()).validation.score == fit(config()).validation.score


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, two, other = (killed_run.digest(fit(config(seed=seed))) for seed in (1, 1, 2))
    assert one == two != other


@pytest.mark.parametrize("kill_at", [5, 19])
def test_a_run_killed_in_mid_stage_ends_in_the_same_bytes(
    tmp_path: Path, whole: tuple[Path, str], kill_at: int
) -> None:
    """kill -9 once in each stage, between checkpoints; the resumed process must not differ by a bit."""
    script = [sys.executable, str(Path(killed_run.__file__)), str(tmp_path)]
    here = Path(killed_run.__file__).parent
    found = os.pathsep.join(map(str, (here, here.parent, here.parents[1])))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": found}
    process = subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == str(kill_at):
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    _, state = checkpoints.load(tmp_path / CHECKPOINT)
    assert 0 < state["done_steps"] < kill_at + 3
    done = subprocess.run(script, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1] == f"digest {whole[1]}"
    assert (tmp_path / LOG).read_bytes() == (whole[0] / LOG).read_bytes()


def test_a_run_stopped_after_any_checkpoint_ends_in_the_same_bytes(tmp_path: Path, whole: tuple[Path, str]) -> None:
    """Every checkpoint of a run is copied as it is written; each copy resumes to the same end."""
    seen: dict[int, Path] = {}

    def keep(_stage: str, done: int, _total: int) -> None:
        if (tmp_path / "live" / CHECKPOINT).is_file():
            seen[done] = tmp_path / f"copy{done}"
            shutil.copytree(tmp_path / "live", seen[done])

    killed_run.run(tmp_path / "live", keep)
    steps = {path: checkpoints.load(path / CHECKPOINT)[1]["done_steps"] for path in seen.values()}
    by_step = {step: path for path, step in steps.items()}
    assert len(by_step) >= 8
    for path in list(by_step.values())[::3]:
        assert killed_run.digest(killed_run.run(path)) == whole[1]


def test_a_finished_run_is_given_back_without_training(whole: tuple[Path, str]) -> None:
    told: list[int] = []
    again = killed_run.run(whole[0], lambda _stage, done, _total: told.append(done))
    assert killed_run.digest(again) == whole[1]
    assert told == []


def test_the_log_has_every_term_and_every_candidate(whole: tuple[Path, str]) -> None:
    with (whole[0] / LOG).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == progress.COLUMNS
    steps = [row for row in rows if row["loss"]]
    tried = [row for row in rows if row["candidate"]]
    assert [int(row["step"]) for row in steps] == [*range(2, 15, 2), *range(16, 31, 2)]
    assert all(float(row["rate_loss"]) > 0 for row in steps if row["stage"] == "second")
    assert {row["candidate"] for row in tried} == {"ema", "average", "last", "swa"}
    _, state = checkpoints.load(whole[0] / CHECKPOINT)
    assert float(min(tried, key=lambda row: float(row["score"]))["score"]) == state["best"]["score"]


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    class Breaks(nn.Module):
        """Turns its output into nothing at the eighth call."""

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = build_postfilter("standard", hidden=4), 0

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            self.calls += self.training
            out: torch.Tensor = self.inner(frames)
            return out * float("nan") if self.calls > 7 else out

    segnet, posenet = rooms.networks()
    trainer = Trainer(Breaks(), config(checkpoint_every=5), folder=tmp_path)
    with pytest.raises(TrainingError, match=r"stage 'fit', step 8 of 30.*finite loss.*nan.*checkpoint\.safetensors"):
        trainer.fit(rooms.damaged(), rooms.reference(), posenet, segnet)
    tensors, state = checkpoints.load(tmp_path / CHECKPOINT)
    assert state["done_steps"] == 5
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values())


def test_a_checkpoint_of_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    fit(config(), tmp_path)
    with pytest.raises(
        TrainingError, match=r"body\.0\.weight \(8, 6, 3, 3\).*found.*\(6, 6, 3, 3\).*another architecture"
    ):
        fit(config(), tmp_path, hidden=8)


def test_a_checkpoint_of_another_schedule_or_clip_is_refused(tmp_path: Path) -> None:
    fit(config(), tmp_path)
    for changed in (config(replace(SHORT, lr=1e-3)), config(seed=9), config(material="another clip")):
        with pytest.raises(TrainingError, match="another schedule, seed or clip"):
            fit(changed, tmp_path)


def test_a_full_disk_keeps_the_old_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / CHECKPOINT
    checkpoints.save_atomic(path, {"x": torch.ones(3)}, {"step": 1})
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"No space left.*the checkpoint before it is whole"):
        checkpoints.save_atomic(path, {"x": torch.zeros(3)}, {"step": 2})
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [CHECKPOINT]


@pytest.mark.parametrize("damage", [b"", b"\x80\x04K\x01.", b"12345678{}"])
def test_what_is_no_checkpoint_is_refused_and_never_unpickled(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes(damage)
    with pytest.raises(TrainingError, match="safetensors"):
        checkpoints.load(path)


def test_frozen_parameters_do_not_move() -> None:
    frozen = fit(config(replace(SHORT, freeze=("body.0",), ema=0.0)))
    start = build_postfilter("standard", hidden=6)
    moved = fit(config(replace(SHORT, ema=0.0)))
    scheme_start = fit(config(replace(SHORT, steps=1, lr=1e-12, ema=0.0)))
    assert torch.equal(frozen.values["body.0.weight"], scheme_start.values["body.0.weight"])
    assert not torch.equal(moved.values["body.0.weight"], scheme_start.values["body.0.weight"])
    assert start.body is not None
    with pytest.raises(ValueError, match="freezes every parameter"):
        fit(config(replace(SHORT, freeze=("body",))))


def test_batches_are_permutations_that_depend_on_seed_and_step_alone() -> None:
    drawn = torch.cat([progress.batch_index(3, 0, step, 10, 4) for step in range(5)])
    assert sorted(drawn[:10].tolist()) == sorted(drawn[10:].tolist()) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:].tolist()
    assert torch.equal(progress.batch_index(3, 0, 4, 10, 4), drawn[16:])
    assert not torch.equal(progress.batch_index(4, 0, 4, 10, 4), drawn[16:])


def test_hard_pairs_come_from_the_hardest_fifth() -> None:
    difficulty = torch.from_numpy(np.arange(50, dtype=np.float64))
    index = progress.with_hard(torch.arange(10), difficulty, 0.3, 1, 0)
    assert index[3:].tolist() == list(range(3, 10))
    assert int(index[:3].min()) >= 40


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(TrainingError, match="cpu, cuda, mps"):
        compute.device("tpu")
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if not there:
            with pytest.raises(TrainingError, match=f"device '{name}'.*only cpu"):
                compute.device(name)


def test_training_leaves_the_thread_count_as_it_was() -> None:
    torch.set_num_threads(2)
    try:
        fit(config(replace(SHORT, steps=1)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_progress_tells_the_loss_its_terms_and_the_score_it_suggests(tmp_path: Path) -> None:
    told: list[str] = []
    segnet, posenet = rooms.networks()
    trainer = Trainer(
        build_postfilter("standard", hidden=4), config(), monitor=lambda stage, *_: told.append(stage), folder=tmp_path
    )
    trainer.fit(rooms.damaged(), rooms.reference(), posenet, segnet)
    assert told[0] == "stage fit"  # nothing was logged yet
    name, _, note = told[-1].partition(NOTE)
    assert name == "stage fit"
    with (tmp_path / LOG).open(encoding="utf-8") as file:
        last = [row for row in csv.DictReader(file) if row["loss"]][-1]
    assert f"loss {float(last['loss']):.4g}" in note
    assert f"seg {float(last['seg_loss']):.3g}, pose {float(last['pose_loss']):.3g}" in note
    assert f"score about {float(last['running_score']):.3f}" in note


@pytest.mark.parametrize("full_at", [1, 4, 7])
def test_a_disk_that_fills_up_in_mid_run_costs_no_step_that_was_saved(
    tmp_path: Path, whole: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, full_at: int
) -> None:
    """Log or checkpoint, whichever meets the full disk; with room again the run ends in the same bytes."""
    synced, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(TrainingError, match="No space left"):
            killed_run.run(tmp_path)
    assert (tmp_path / CHECKPOINT).is_file() == (full_at > 2)
    assert killed_run.digest(killed_run.run(tmp_path)) == whole[1]
    assert (tmp_path / LOG).read_bytes() == (whole[0] / LOG).read_bytes()
