"""What is particular to the official contest: the decoder that belongs to an axis, and what this machine may claim.

On its CPU axis the contest decodes the reference with PyAV, on its CUDA axis with NVIDIA's DALI. The two are not bit
equal, so the decoder is part of the axis and never swapped in silence: without DALI there is no CUDA axis here.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab import custody
from lab.contract import Contract
from lab.errors import EvaluationError, SampleCountMismatch
from lab.video import frames

KIND = "official"
ADVISORY = "advisory"
SEQUENCE_FRAMES = 2
DALI_BATCH = 4
DALI_PREFETCH = 4
_PYAV = "pyav, BT.601 limited range, bilinear chroma"
# The one file that submissions import from the folder two levels above theirs.
_SHARED_MODULE = "frame_utils.py"
_KEPT_AWAY = ("videos", "models")


def claimed_axis(asked: str) -> str:
    """The axis that a result of this machine may carry: the one asked for on Linux x86-64, an advisory one elsewhere.

    Notes:
        The contest runs on Linux x86-64. Other systems and processors round differently, and no rule can promote what
        was measured on them.
    """
    at_home = sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")
    return asked if at_home else f"{asked} {ADVISORY}"


def decoder(contract: Contract, axis: str) -> str:
    """What decodes the reference under a contract on an axis, with its version."""
    if contract.kind != KIND or not axis.startswith("cuda"):
        return _PYAV
    return "dali " + custody.versions(_dali_distributions()).get(_first(_dali_distributions()), "unknown")


def device(axis: str) -> str:
    """What runs the networks on an axis: the card with the libraries that drive it, or the processor as `cpu`.

    Notes:
        The processor's model stands beside it, under `machine`. Two cards of one axis need not score alike.
    """
    if not axis.startswith("cuda"):
        return axis
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no card"
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return f"{axis}: {card}, CUDA {torch.version.cuda}, cuDNN {cudnn}"


def check(contract: Contract, axis: str) -> None:
    """Return only if this machine has what an axis of a contract needs.

    Raises:
        EvaluationError: no card, or no DALI beside it where the contract is the official one.
    """
    if not axis.startswith("cuda"):
        return
    where = f"axis cuda of {contract.name}"
    if contract.kind == KIND:
        _expect_dali(where)
    if not torch.cuda.is_available():
        raise EvaluationError(
            where, expected="a CUDA card and a torch that was built for it", found="none",
            fix="measure on --axis cpu, or where a card is",
        )  # fmt: skip


def exact(axis: str) -> AbstractContextManager[Any]:
    """Full fp32 while the networks run: a card would otherwise shorten the factors of convolutions to TF32."""
    if not axis.startswith("cuda"):
        return nullcontext()
    flags: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def source_pairs(contract: Contract, axis: str) -> Iterator[NDArray[np.uint8]]:
    """The source's pairs as the axis decodes them, uint8 (2, H, W, 3) RGB, display order.

    Raises:
        EvaluationError: the official contract's CUDA axis is asked for, and DALI is not installed.
        SampleCountMismatch, VideoError: the source is not what the contract says.
    """
    if contract.kind == KIND and axis == "cuda":
        return _dali_pairs(contract)
    return frames.read_pairs(contract.source_path, n_pairs=contract.n_pairs, size=contract.frame_size)


def surroundings(submission: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """(files to show, folders to hide) around a submission that lies in the contest's own tree, `submissions/NAME`.

    Submissions import a module of that tree; its videos and networks must stay out of their sight.
    """
    place = submission.resolve()
    if place.parent.name != "submissions":
        return (), ()
    tree = place.parents[1]
    shown = tuple(path for path in (tree / _SHARED_MODULE,) if path.is_file())
    hidden = tuple(path for name in _KEPT_AWAY if (path := tree / name).is_dir())
    return shown, hidden


def _dali_distributions() -> tuple[str, ...]:
    return ("nvidia-dali-cuda130", "nvidia-dali-cuda120", "nvidia-dali-cuda110")


def _first(names: tuple[str, ...]) -> str:
    found = custody.versions(names)
    return next((name for name in names if name in found), names[0])


def _dali_pairs(contract: Contract) -> Iterator[NDArray[np.uint8]]:
    """Pairs as DALI's hardware decoder gives them, in the arrangement of the published evaluator.

    Raises:
        EvaluationError: DALI is not installed.
        SampleCountMismatch: fewer pairs than the contract asks for.
    """
    _expect_dali(f"axis cuda of {contract.name}")
    return _read_dali(contract)


def _expect_dali(where: str) -> None:
    if importlib.util.find_spec("nvidia") is None or importlib.util.find_spec("nvidia.dali") is None:
        raise EvaluationError(
            where, expected="DALI, which decodes the reference on this axis", found="none",
            fix="install nvidia-dali for this CUDA version, or measure on --axis cpu",
        )  # fmt: skip


def _read_dali(contract: Contract) -> Iterator[NDArray[np.uint8]]:
    fn: Any = importlib.import_module("nvidia.dali.fn")
    dali: Any = importlib.import_module("nvidia.dali")
    iterators: Any = importlib.import_module("nvidia.dali.plugin.pytorch")
    policy: Any = importlib.import_module("nvidia.dali.plugin.base_iterator").LastBatchPolicy.PARTIAL

    @dali.pipeline_def  # type: ignore[untyped-decorator]
    def decode() -> Any:
        return fn.experimental.inputs.video(
            name="video", sequence_length=SEQUENCE_FRAMES, device="mixed", no_copy=True, blocking=False,
            last_sequence_policy="pad",
        )  # fmt: skip

    # The buffer must outlive the pipeline, which reads it in place.
    buffer = np.fromfile(contract.source_path, dtype=np.uint8)
    pipeline = decode(batch_size=DALI_BATCH, num_threads=2, device_id=0, prefetch_queue_depth=DALI_PREFETCH)
    pipeline.build()
    pipeline.feed_input("video", [buffer])
    batches = iterators.DALIGenericIterator(
        [pipeline], output_map=["video"], auto_reset=False, last_batch_policy=policy, last_batch_padded=False,
        prepare_first_batch=False,
    )  # fmt: skip
    done = 0
    while done < contract.n_pairs:
        try:
            batch: NDArray[np.uint8] = next(batches)[0]["video"].cpu().numpy()
        except StopIteration:
            break
        for pair in batch[: contract.n_pairs - done]:
            if pair.shape != (SEQUENCE_FRAMES, *contract.frame_size, 3):
                raise SampleCountMismatch(
                    contract.source.file, expected=f"pairs of {contract.frame_size}", found=str(pair.shape)
                )
            yield pair
            done += 1
    if done != contract.n_pairs:
        raise SampleCountMismatch(contract.source.file, expected=f"{contract.n_pairs} pairs", found=str(done))
