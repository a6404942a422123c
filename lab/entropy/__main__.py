"""`python -m lab.entropy`: compile the class-map kernel into its cache, so that no first use waits for it."""

from __future__ import annotations

import numpy as np

from lab.entropy.labelmap import decode
from lab.entropy.mapwriter import encode

if __name__ == "__main__":
    decode(encode(np.eye(32, dtype=np.uint8)[None]).payload)
