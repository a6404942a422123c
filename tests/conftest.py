"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real material that lies beside the repository and never in it; tests skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "README.md").is_file():
        pytest.skip("no folder `shared` with real clips, masks and archives beside the repository")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Two workers of two threads each on two cores spin against each other; one thread each does not."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
