"""The compiled kernels and their Python twins make the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TWIN = """
import warnings
warnings.simplefilter("ignore")  # numpy's scalars tell of every overflow of a hash; compiled integers do not
from test_twins import digest
print(digest())
"""


def digest() -> str:
    """Of small payloads of every model by every coder, each decoded again, and of a table and weights."""
    import numpy as np
    from material import MODELS

    from lab.entropy import columns, weightstream
    from lab.entropy.coders import Coder
    from lab.entropy.streams import Stream
    from lab.entropy.transforms import Predict, Zigzag

    values = np.random.default_rng(2).integers(0, 6, 16)
    found = hashlib.sha256()
    for model in MODELS.values():
        for coder in Coder:
            stream = Stream(model=model, coder=coder, transforms=(Predict(2, ((29, 2), ())), Zigzag()))
            payload = stream.encode(values).payload
            assert np.array_equal(stream.decode(payload, 16), values)
            found.update(payload)
    table = values.reshape(8, 2)
    found.update(columns.encode(table).payload)
    found.update(weightstream.encode([table]).payload)
    return found.hexdigest()


def test_compiled_and_interpreted_kernels_agree_to_the_byte() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWIN],
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest()


def test_compiling_a_part_leaves_the_level_of_optimisation_as_it_was() -> None:
    import numba
    from numba.core import config

    from lab.entropy import jit

    levels: list[int] = []

    class Watched(jit._Lightly):
        def define_pipelines(self) -> list[object]:
            levels.append(int(config.OPT))
            return super().define_pipelines()

    before = config.OPT
    twice = numba.njit(lambda x: 2 * x, pipeline_class=Watched)
    assert numba.njit(lambda x: twice(x) + 1)(3) == 7
    assert levels == [jit._LIGHT]
    assert config.OPT is before
