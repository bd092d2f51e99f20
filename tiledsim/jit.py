"""Numba's compiler as everything here uses it: cached on disk, without the GIL."""

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import types
from numba.extending import intrinsic
from platformdirs import user_cache_path

from tiledsim.source_hash import source_hash

_CONFIG: Any = numba.config  # its names are set when it is imported
F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """Compile on first use, and keep the machine code for the processes that come later.

    Sums are not reordered; only a·b + c may be fused.  Where no folder can hold the cache (a
    machine without a home that can be written) each process compiles anew.
    """
    return _compiled(function, {"contract"})


def exact_jit(function: F) -> F:
    """Compile as :func:`jit` does, every operation rounded as it is written; nothing is fused.

    For what must follow another program to the last bit.
    """
    return _compiled(function, False)


def _compiled(function: F, fastmath: set[str] | bool) -> F:
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    folder = cache_folder()
    if folder is None:
        return cast(F, numba.njit(**options)(function))
    kept = _CONFIG.CACHE_DIR
    _CONFIG.CACHE_DIR = str(folder)  # read while the function is decorated
    try:
        return cast(F, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # "cannot cache function …: no locator available"
        return cast(F, numba.njit(**options)(function))
    finally:
        _CONFIG.CACHE_DIR = kept


COMPILED = ("campaign", "detector_model", "image_files", "kernels", "nanobragg", "scheduler/export")
"""The rooms with functions that Numba compiles."""


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Return the folder of the compiled kernels, None where none can be written.

    It stands outside the package, so that an installation may be read-only and leaves nothing
    behind: in ``NUMBA_CACHE_DIR`` where that is set, else in the platform's cache folder.  Its name
    is a hash of the sources that are compiled.
    """
    base = _CONFIG.CACHE_DIR
    root = Path(base) if base else user_cache_path("tiledsim") / "numba"
    folder = root / f"tiledsim-{source_hash(COMPILED)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


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
