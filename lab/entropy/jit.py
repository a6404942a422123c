"""The one door to numba: kernels compiled once, cached beside the source where that is possible.

A kernel's cache is renewed when its own file changes, not when a file it calls into changes; after editing a kernel,
delete the `*.nbi` files of `__pycache__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a compiled kernel; its Python twin stays at `.py_func`.

    Notes:
        Integer kernels only: no fastmath, nothing that depends on the processor. Where no folder can hold the cache
        (a packet on a read-only disk) the kernel is compiled in memory.
    """
    try:
        compiled: Callable[..., Any] = numba.njit(function, cache=True, forceinline=True)
    except RuntimeError:
        compiled = numba.njit(function, forceinline=True)
    return compiled
