"""The one door to numba: kernels compiled once, cached beside the source where that is possible.

A kernel's cache is renewed when its own file changes, not when a file it calls into changes; after editing a kernel,
delete the `*.nbi` files of `__pycache__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import compiler

# Typed as anything: numba reads its settings from the environment, and its stubs leave out some options.
_config: Any = numba.config
_njit: Any = numba.njit
_LIGHT = 1  # LLVM's level of optimisation for what a kernel takes in and optimises once more


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a compiled kernel that Python can call; its Python twin stays at `.py_func`.

    Notes:
        Integer kernels only: no fastmath, nothing that depends on the processor. Where no folder can hold the cache
        (a packet on a read-only disk) the kernel is compiled in memory.
    """
    try:
        compiled: Callable[..., Any] = numba.njit(function, cache=True, forceinline=True)
    except RuntimeError:
        compiled = numba.njit(function, forceinline=True)
    return compiled


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` for the use of kernels only, merged into each of them.

    Notes:
        It has no door from Python, which takes longer to compile than many a small function, and is optimised lightly:
        the kernel that it becomes a part of is optimised as a whole.
    """
    return _inside(function, forceinline=True)


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """A `part` that is called instead of merged: a large one, which every level above would have to optimise again."""
    return _inside(function, forceinline=False)


class _Lightly(compiler.CompilerBase):
    """numba's own pipeline at a low level of optimisation; its compiler lock is held meanwhile."""

    def define_pipelines(self) -> list[Any]:
        """The passes of every other kernel."""
        return [compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)]  # type: ignore[no-untyped-call]

    def compile_extra(self, func: Any) -> Any:
        """Compile, and leave the level as it was."""
        level = _config.OPT
        _config.OPT = type(level)(_LIGHT)
        try:
            return super().compile_extra(func)  # type: ignore[no-untyped-call]
        finally:
            _config.OPT = level


def _inside(function: Callable[..., Any], *, forceinline: bool) -> Callable[..., Any]:
    # Not cached: the kernel's own cache holds what became part of it.
    compiled: Callable[..., Any] = _njit(
        function, no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=_Lightly, forceinline=forceinline
    )
    return compiled
