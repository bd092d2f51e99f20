"""Numba's compiler as the CPU kernel uses it: cached on disk, without the GIL."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import types
from numba.extending import intrinsic

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


def _wide_vectors(typing_context: Any) -> Any:
    """Let the function that calls this use the widest vectors of the processor.

    LLVM prefers half the width on AVX-512 machines, for the sake of code around it that would be
    clocked down; a kernel that does nothing else loses a third of its speed to that.  Elsewhere
    the attribute means nothing.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # The set of llvmlite admits only the attributes that it knows; LLVM takes any string.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), codegen


wide_vectors = cast(Callable[[], None], intrinsic(_wide_vectors))
