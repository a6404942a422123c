"""The one door to numba: kernels compiled once, cached beside the source where that is possible.

A kernel's cache is renewed when its own file changes, not when a file it calls into changes; after editing a kernel,
delete the `*.nbi` files of `__pycache__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a compiled kernel that Python can call; its Python twin stays at `.py_func`.

    Notes:
        Integer kernels only: no fastmath, nothing that depends on the processor. Where no folder can hold the cache
        (a packet on a read-only disk) the kernel is compiled in memory.
    """
    return _compiled(function, {})


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` for the use of kernels only: a door from Python takes longer to compile than many a small function."""
    return _compiled(function, {"no_cpython_wrapper": True, "no_cfunc_wrapper": True})


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    try:
        compiled: Callable[..., Any] = numba.njit(function, cache=True, forceinline=True, **options)
    except RuntimeError:
        compiled = numba.njit(function, forceinline=True, **options)
    return compiled
