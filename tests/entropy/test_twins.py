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
    """Of small payloads of every model by every coder, each decoded again, and of tables, weights and class maps."""
    import numpy as np
    from material import MODELS, transforms

    from lab.entropy import columns, labelmap, mapwriter, weightstream
    from lab.entropy.coders import Coder
    from lab.entropy.streams import Stream

    values = np.random.default_rng(2).integers(0, 25, 48)
    found = hashlib.sha256()
    for model in MODELS.values():
        for coder in Coder:
            for name in ("none", "columns predicted") if model != MODELS["golomb-rice"] else ("none",):
                stream = Stream(model=model, coder=coder, transforms=transforms(48)[name])
                payload = stream.encode(values).payload
                assert np.array_equal(stream.decode(payload, 48), values)
                found.update(payload)
    table = values.reshape(12, 4)
    found.update(columns.encode(table).payload)
    found.update(weightstream.encode([table]).payload)
    maps = (table[None] % 3).astype(np.uint8)
    payload = mapwriter.encode(maps).payload
    assert np.array_equal(labelmap.decode(payload), maps)
    found.update(payload)
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
