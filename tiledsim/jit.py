"""Numba's compiler as everything here uses it: loaded when it is needed, cached, without the GIL.

Numba takes a second of processor time to be imported and made ready.  So a function that is
compiled here is a :class:`Compiled`, which stands for it until somebody calls it, and what Python
calls is kept as machine code that later processes run without Numba
(:mod:`tiledsim.machine_code`).
"""

import os
import stat
import tempfile
from collections.abc import Callable
from functools import cached_property, lru_cache, update_wrapper
from pathlib import Path
from typing import Any, TypeVar, cast

from tiledsim.source_hash import source_hash

F = TypeVar("F", bound=Callable[..., Any])

CONTRACTED = frozenset({"contract"})
"""Sums are not reordered; only a·b + c may be fused."""
EXACT: frozenset[str] = frozenset()
"""Every operation rounded as it is written."""


def jit(function: F) -> F:
    """Compile on first use, and keep the machine code for the processes that come later.

    Sums are not reordered; only a·b + c may be fused.  Where no folder can hold the cache (a
    machine without a home that can be written) each process compiles anew.
    """
    return cast(F, Compiled(function, CONTRACTED))


def piece(function: F) -> F:
    """Compile as :func:`jit` does, into each function that calls it: a part of one, with a name.

    What is passed to it costs nothing, be it a tuple of fifty fields.
    """
    return cast(F, Compiled(function, CONTRACTED, inlined=True))


def entry(function: F) -> F:
    """Compile as :func:`jit` does what Python calls; later processes need no Numba for it.

    The function returns None; it neither allocates memory nor raises anything.
    """
    return cast(F, Compiled(function, CONTRACTED, alone=True))


def exact_jit(function: F) -> F:
    """Compile as :func:`jit` does, every operation rounded as it is written; nothing is fused.

    For what must follow another program to the last bit.
    """
    return cast(F, Compiled(function, EXACT))


def exact_entry(function: F) -> F:
    """Compile as :func:`entry` does, every operation rounded as it is written."""
    return cast(F, Compiled(function, EXACT, alone=True))


class Compiled:
    """A function that is compiled when it is first called, by Python or by a compiled function."""

    def __init__(
        self, function: Callable[..., Any], fused: frozenset[str], *, inlined: bool = False,
        alone: bool = False,
    ) -> None:  # fmt: skip
        """``alone``: its machine code is kept in a form that needs no Numba."""
        update_wrapper(self, function)
        self.function = function
        self.fused = fused
        self._inlined = inlined
        self._alone = alone

    @property
    def options(self) -> dict[str, Any]:
        """Of Numba's compiler."""
        return {"nogil": True, "fastmath": set(self.fused) or False, "error_model": "numpy"}

    @cached_property
    def dispatcher(self) -> Any:
        """Numba's own object for the function."""
        import numba

        options = self.options | ({"forceinline": True} if self._inlined else {})
        folder = cache_folder()
        if folder is None:
            return numba.njit(**options)(self.function)
        config: Any = numba.config  # its names are set when it is imported
        kept = config.CACHE_DIR
        config.CACHE_DIR = str(folder)  # read while the function is decorated
        try:
            return numba.njit(cache=True, **options)(self.function)
        except RuntimeError:  # "cannot cache function …: no locator available"
            return numba.njit(**options)(self.function)
        finally:
            config.CACHE_DIR = kept

    @property
    def _numba_type_(self) -> Any:
        """What Numba takes this for where a compiled function calls it."""
        from numba.core import types

        return types.Dispatcher(self.dispatcher)

    def __call__(self, *arguments: Any) -> Any:
        """Call the function from Python."""
        if not self._alone:
            return self.dispatcher(*arguments)
        from tiledsim.machine_code import call

        return call(self, arguments, cache_folder())


COMPILED = ("campaign", "detector_model", "image_files", "kernels", "nanobragg", "scheduler/export")
"""The rooms with functions that Numba compiles."""
_COMPILERS = ("jit.py", "machine_code.py")
"""And what says how."""


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Return the folder of the compiled kernels, None where none can be written.

    It stands outside the package, so that an installation may be read-only and leaves nothing
    behind: in ``NUMBA_CACHE_DIR`` where that is set, else in the platform's cache folder.  Its name
    has a hash of the sources that are compiled.  What is in it is run, so that it is each user's
    own, and not used where another can write to it.
    """
    from platformdirs import user_cache_path

    base = os.environ.get("NUMBA_CACHE_DIR", "")
    root = Path(base) if base else user_cache_path("tiledsim") / "numba"
    user = str(os.getuid()) if hasattr(os, "getuid") else "kernels"
    folder = root / f"tiledsim-{user}-{source_hash(COMPILED + _COMPILERS)}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_ours_alone(folder):
            return None
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def _is_ours_alone(folder: Path) -> bool:
    """Whether no other user can write to a folder; where nobody can say, it is."""
    if not hasattr(os, "getuid"):
        return True
    about = folder.stat()
    return about.st_uid == os.getuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


class _Intrinsic:
    """Instructions that Numba cannot express, generated when a compiled function needs them."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    @cached_property
    def _template(self) -> Any:
        from numba.extending import intrinsic

        return intrinsic(self._make)

    @property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target

        template = self._template
        cpu_target.typing_context.refresh()  # which takes note of what was registered since
        return cpu_target.typing_context.resolve_value_type(template)


def instructions(make: Callable[..., Any]) -> Any:
    """Make what a compiled function can call of a function for Numba's ``intrinsic``."""
    return _Intrinsic(make)


def _wide_vectors(typing_context: Any) -> Any:
    """Let the function that calls this use the widest vectors of the processor.

    LLVM prefers half the width on AVX-512 machines, for the sake of code around it that would be
    clocked down; a kernel that does nothing else loses a third of its speed to that.  Elsewhere
    the attribute means nothing.
    """
    from numba.core import types

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # The set of llvmlite admits only the attributes that it knows; LLVM takes any string.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), codegen


wide_vectors = cast(Callable[[], None], instructions(_wide_vectors))
