"""Numba's compiler as the CPU kernel uses it: cached on disk, without the GIL."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """Compile on first use, and keep the machine code for the processes that come later.

    Sums are not reordered; only a·b + c may be fused.  Where no folder can hold the cache (an
    installation that is read-only, without a home) each process compiles anew.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
    try:
        return cast(F, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # "cannot cache function …: no locator available"
        return cast(F, numba.njit(**options)(function))
