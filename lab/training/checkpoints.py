"""Checkpoints that survive a kill at any point: one safetensors file, replaced whole or not at all.

Tensors and plain data lie in the same file, the data as JSON in its header, so that no moment exists in which they
disagree. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lab.errors import TrainingError

_LIMIT_BYTES = 4_000_000_000
_STATE = "state"


def save_atomic(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint: whole into a temporary file, synced, then renamed over the old one.

    Raises:
        TrainingError: the disk is full or refuses; the old checkpoint stays whole.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    blob = save(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        metadata={_STATE: json.dumps(state, sort_keys=True)},
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        kept = "the checkpoint before it is whole" if path.is_file() else "there is no checkpoint before it"
        raise TrainingError(
            f"checkpoint {path.name}",
            expected=f"room for {len(blob):,} bytes",
            found=error.strerror or str(error),
            fix=f"{kept}; free the disk and start again, training resumes from there",
        ) from None


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(tensors, state) of a checkpoint.

    Raises:
        TrainingError: not there, or not a checkpoint of ours.
    """
    if not path.is_file():
        raise TrainingError(f"checkpoint {path.name}", expected="a file", found="nothing there")
    if path.stat().st_size > _LIMIT_BYTES:
        raise TrainingError(f"checkpoint {path.name}", expected=f"at most {_LIMIT_BYTES:,} bytes", found="more")
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})[_STATE])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise TrainingError(
            f"checkpoint {path.name}",
            expected="a safetensors file with the state of a training run",
            found=f"{type(error).__name__}: {error}",
            fix="`lab train` writes one",
        ) from None
    return tensors, state


def expect_shapes(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Size | tuple[int, ...]], where: str
) -> None:
    """Return only if a checkpoint's tensors are those of the model in hand.

    Raises:
        TrainingError: it was made by another architecture or another width.
    """
    have = {name: tuple(value.shape) for name, value in found.items()}
    want = {name: tuple(shape) for name, shape in expected.items()}
    if have != want:
        odd = sorted(name for name in have.keys() | want.keys() if have.get(name) != want.get(name))[:3]
        raise TrainingError(
            where,
            expected=", ".join(f"{name} {want.get(name, 'absent')}" for name in odd),
            found=", ".join(f"{name} {have.get(name, 'absent')}" for name in odd),
            fix="the checkpoint is of another architecture; train into an empty folder",
        )


def prefixed(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under `prefix/name`."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with `prefix/`, without it."""
    head = prefix + "/"
    return {name[len(head) :]: value for name, value in tensors.items() if name.startswith(head)}
