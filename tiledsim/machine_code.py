"""Compiled functions as machine code on disk, which later processes run without Numba.

The first process that calls a function has Numba compile it.  What LLVM makes of that is an object
file; llvmlite, Numba's own layer over LLVM, loads it in milliseconds.  It is called as compiled
functions call each other: an array is passed as the fields of Numba's struct, a tuple as its
fields one by one.  Such code may call nothing of Python's or Numba's: where it would, it is not
kept, and Numba runs the function as ever.
"""

import contextlib
import ctypes
import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol

import numpy as np

FORMAT: Final = 1
"""Of the files, and of how functions are called."""
_LIBRARY: Final = re.compile(
    r"llvm\..*|mem(cpy|move|set)|(sin|cos|tan|asin|acos|atan|atan2|exp|exp2|expm1|log|log2|log10|"
    r"log1p|pow|sqrt|cbrt|hypot|fma|fmod|floor|ceil|rint|trunc|tgamma|lgamma|erf)f?|sincos"
)
"""What machine code may call: the C library's mathematics."""
_DESTRUCTOR: Final = "declare void @NRT_MemInfo_call_dtor(ptr)"
"""What Numba calls when nobody needs an array's memory any more; ours belongs to Python."""

_LOCK: Final = Lock()
_LOADED: Final[dict[tuple[int, str], Callable[..., Any]]] = {}
_ENGINES: Final[list[Any]] = []
"""They hold the code in memory."""


class Compilable(Protocol):
    """A function that Numba compiles."""

    @property
    def function(self) -> Callable[..., Any]:
        """As it is written."""

    @property
    def options(self) -> dict[str, Any]:
        """Of Numba's compiler."""

    @property
    def dispatcher(self) -> Any:
        """Numba's own object for it."""


_ROOM: Final = (ctypes.c_int64 * 1)()
_NOTHING: Final = ctypes.addressof(_ROOM)
"""Where a function puts what it returns or raises, which is nothing."""


def call(compiled: Compilable, arguments: tuple[Any, ...], folder: Path | None) -> None:
    """Call a function, by its machine code where a folder keeps some, else through Numba."""
    flat: list[Any] = [_NOTHING, _NOTHING]
    words = ";".join([_flatten(argument, flat) for argument in arguments])
    key = id(compiled), words
    function = _LOADED.get(key)
    if function is None:
        with _LOCK:
            function = _LOADED.get(key) or _prepare(compiled, arguments, folder, words, flat)
            _LOADED[key] = function
    if not isinstance(function, ctypes._CFuncPtr):
        function(*arguments)
    elif status := function(*flat):
        raise RuntimeError(f"{compiled.function.__name__} ended with status {status}")


def _flatten(value: Any, flat: list[Any]) -> str:
    """Add a value to a list of C's arguments as Numba passes it; return its type, in words."""
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise TypeError("a compiled function was given an array that is not contiguous")
        flat += (None, None, value.size, value.itemsize, value.ctypes.data)
        flat += value.shape
        flat += value.strides
        return f"{value.dtype.str}[{value.ndim}]"
    if isinstance(value, tuple):
        fields = ",".join([_flatten(field, flat) for field in value])
        return f"{type(value).__qualname__}({fields})"
    if isinstance(value, bool | int | float):
        flat.append(value)
        return type(value).__name__
    raise TypeError(f"a compiled function was given a {type(value).__name__}")


_C_TYPES: Final[dict[type, Any]] = {
    type(None): ctypes.c_void_p, bool: ctypes.c_bool, int: ctypes.c_int64, float: ctypes.c_double,
}  # fmt: skip


def _prepare(
    compiled: Compilable, arguments: tuple[Any, ...], folder: Path | None, words: str,
    flat: Sequence[Any],
) -> Callable[..., Any]:
    """Load a function's machine code, after making it where there is none."""
    code: tuple[str, bytes] | None = None
    if folder is not None:
        path = folder / _file_name(compiled, words)
        code = _read(path)
        if code is None:
            code = _compile(compiled, arguments)
            _write(path, *code)
    if code is None or not code[1]:
        return compiled.dispatcher  # type: ignore[no-any-return]
    kinds = [_C_TYPES[type(value)] for value in flat]
    return ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(_load(*code))


@lru_cache(maxsize=1)
def _processor() -> tuple[str, str]:
    """Return name and features of this processor, as LLVM has them."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _file_name(compiled: Compilable, words: str) -> str:
    from importlib.metadata import version

    made_by = (version("numba"), version("llvmlite"), version("numpy"))
    digest = hashlib.sha256("\n".join((str(FORMAT), words, *_processor(), *made_by)).encode()).hexdigest()[:24]
    return f"{compiled.function.__module__}.{compiled.function.__name__}-{digest}.code"


def _read(path: Path) -> tuple[str, bytes] | None:
    """Return the name of a function and its machine code, empty where there can be none.

    None where the file is missing or damaged.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) < 4 or int.from_bytes(data[:4], "little") != zlib.crc32(data[4:]):
        return None
    name, _, code = data[4:].partition(b"\0")
    return name.decode(), code


def _write(path: Path, name: str, code: bytes) -> None:
    data = name.encode() + b"\0" + code
    with contextlib.suppress(OSError):  # the next process compiles again
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(zlib.crc32(data).to_bytes(4, "little") + data)
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def _target() -> Any:
    """Return a machine of LLVM's for this processor, as Numba sets it up for its own code."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = _processor()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=name, features=features, opt=3, reloc="static", codemodel="jitdefault", jit=True
    )


def _load(name: str, code: bytes) -> int:
    """Put machine code into memory; return the address of a function in it."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    return int(engine.get_function_address(name))


def _compile(compiled: Compilable, arguments: tuple[Any, ...]) -> tuple[str, bytes]:
    """Return the name of a function for arguments of these types and its object file, which is
    empty where it needs more than the C library.
    """
    import llvmlite.binding as llvm
    import numba

    bare = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **compiled.options)
    dispatcher = bare(compiled.function)
    dispatcher.compile(tuple(numba.typeof(argument) for argument in arguments))
    (signature,) = dispatcher.signatures
    name = str(dispatcher.overloads[signature].fndesc.llvm_func_name)
    text = dispatcher.inspect_llvm(signature)
    destroy = _DESTRUCTOR.replace("declare", "define") + " {\n  unreachable\n}"
    text = re.sub(re.escape(_DESTRUCTOR) + ".*", destroy, text)
    module = llvm.parse_assembly(text)
    outside = {function.name for function in module.functions if function.is_declaration}
    if not all(_LIBRARY.fullmatch(symbol) for symbol in outside):
        return name, b""
    return name, _target().emit_object(module)
