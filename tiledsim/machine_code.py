"""Compiled functions as machine code on disk, which later processes run without Numba.

The first process that calls a function has Numba compile it.  What LLVM makes of that is an object
file; llvmlite, Numba's own layer over LLVM, loads it in milliseconds.  It is called as compiled
functions call each other: an array is passed as the fields of Numba's struct, a tuple as its
fields one by one.  Such code may call nothing of Python's or Numba's: where it would, it is not
kept, and Numba runs the function as ever.  So it does wherever keeping or loading fails.

Code is run that this user has written and nobody else can have changed, for this processor, by
these versions of everything that takes part; the name of a file is a hash of all that, and a hash
in the file covers its name and all of its bytes.  Files appear whole or not at all.
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol

import numpy as np

FORMAT: Final = 2
"""Of the files, and of how functions are called."""
_HARMLESS: Final = frozenset({"NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS"})
"""Settings of Numba that change nothing in what it compiles."""
_ARRAY: Final = ("meminfo", "parent", "nitems", "itemsize", "data", "shape", "strides")
"""Fields of an array, in the order in which they are passed."""
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


_C_FUNCTION: Final[type] = ctypes.CFUNCTYPE(None).__mro__[1]
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
    if not isinstance(function, _C_FUNCTION):
        function(*arguments)
    elif status := function(*flat):
        raise RuntimeError(f"{compiled.function.__name__} ended with status {status}")


def _flatten(value: Any, flat: list[Any]) -> str:
    """Add a value to a list of C's arguments as Numba passes it; return its type, in words.

    Raises TypeError for what has no such form here.
    """
    if isinstance(value, np.ndarray):
        if not (value.flags.c_contiguous and value.flags.aligned and value.dtype.isnative):
            raise TypeError("a compiled function was given an array that is not plain memory")
        flat += (None, None, value.size, value.itemsize, value.ctypes.data)
        flat += value.shape
        flat += value.strides
        return f"{value.dtype.str}[{value.ndim}]"
    if isinstance(value, tuple):
        fields = ",".join([_flatten(field, flat) for field in value])
        return f"{type(value).__qualname__}({fields})"
    if isinstance(value, np.bool_ | np.int64):
        value = value.item()
    for kind in (bool, int, float):
        if isinstance(value, kind):
            flat.append(value)
            return kind.__name__
    raise TypeError(f"a compiled function was given a {type(value).__name__}")


_C_TYPES: Final[dict[type, Any]] = {
    type(None): ctypes.c_void_p, bool: ctypes.c_bool, int: ctypes.c_int64, float: ctypes.c_double,
}  # fmt: skip
_LLVM_TYPES: Final = {bool: "i8", int: "i64", float: "double"}
"""As what a function takes them; whatever else is an address or a whole number."""


def _prepare(
    compiled: Compilable,
    arguments: tuple[Any, ...],
    folder: Path | None,
    words: str,
    flat: Sequence[Any],
) -> Callable[..., Any]:
    """Load a function's machine code, after making it where there is none."""
    if folder is not None and _may_be_kept():
        with contextlib.suppress(Exception):  # whatever it is, Numba can do without
            path = folder / _file_name(compiled, words)
            code = _read(path)
            if code is None:
                code = _compile(compiled, arguments, flat)
                _write(path, *code)
            if code[1]:
                kinds = [_C_TYPES[type(value)] for value in flat]
                return ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(_load(*code))
    return compiled.dispatcher  # type: ignore[no-any-return]


def _may_be_kept() -> bool:
    """Whether this is a machine on which that is tried, and Numba is used as it is."""
    settings = {name for name in os.environ if name.startswith("NUMBA_")} - _HARMLESS
    return sys.platform == "linux" and platform.machine() == "x86_64" and not settings


@lru_cache(maxsize=1)
def _processor() -> tuple[str, str]:
    """Return name and features of this processor, as LLVM has them."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _file_name(compiled: Compilable, words: str) -> str:
    from importlib.metadata import version

    made_by = (sys.version, *(version(name) for name in ("numba", "llvmlite", "numpy")))
    made_for = (sys.platform, platform.machine(), *_processor())
    told = "\n".join((str(FORMAT), words, *made_for, *made_by))
    digest = hashlib.sha256(told.encode()).hexdigest()[:24]
    return f"{compiled.function.__module__}.{compiled.function.__name__}-{digest}.code"


def _checksum(path: Path, data: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + data).digest()


def _read(path: Path) -> tuple[str, bytes] | None:
    """Return the name of a function and its machine code, empty where there can be none.

    None where the file is missing or damaged, or another user may have written it.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            about = os.fstat(file.fileno())
            if about.st_uid != os.getuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            data = file.read()
    except OSError:
        return None
    checksum, data = data[:32], data[32:]
    if checksum != _checksum(path, data):
        return None
    name, _, code = data.partition(b"\0")
    return name.decode(), code


def _write(path: Path, name: str, code: bytes) -> None:
    data = name.encode() + b"\0" + code
    with contextlib.suppress(OSError):  # the next process compiles again
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_checksum(path, data) + data)
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
    address = int(engine.get_function_address(name))
    if address == 0:
        raise LookupError(name)
    _ENGINES.append(engine)
    return address


def _compile(
    compiled: Compilable, arguments: tuple[Any, ...], flat: Sequence[Any]
) -> tuple[str, bytes]:
    """Return the name of a function for arguments of these types and its object file, which is
    empty where it needs more than the C library, or is called in another way than ``flat`` has it.
    """
    import llvmlite.binding as llvm
    import numba

    options = compiled.options | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher: Any = numba.njit(**options)(compiled.function)
    typeof: Callable[[Any], Any] = numba.typeof
    dispatcher.compile(tuple(typeof(argument) for argument in arguments))
    (signature,) = dispatcher.signatures
    name = str(dispatcher.overloads[signature].fndesc.llvm_func_name)
    text = dispatcher.inspect_llvm(signature)
    destroy = _DESTRUCTOR.replace("declare", "define") + " {\n  unreachable\n}"
    text = re.sub(re.escape(_DESTRUCTOR) + ".*", destroy, text)
    module = llvm.parse_assembly(text)
    outside = {function.name for function in module.functions if function.is_declaration}
    alone = all(_LIBRARY.fullmatch(symbol) for symbol in outside)
    if not (alone and _called_so(module.get_function(name), flat)):
        return name, b""
    return name, _target().emit_object(module)


def _called_so(function: Any, flat: Sequence[Any]) -> bool:
    """Whether a function takes what it is going to be given, in that order."""
    from numba.core import types
    from numba.core.registry import cpu_target

    array: Any = cpu_target.target_context.data_model_manager[types.float64[::1]]
    taken = [str(argument.type) for argument in function.arguments]
    given = [_LLVM_TYPES.get(type(value), "ptr") for value in flat]
    # Addresses of Python are numbers.
    fits = (a == b or (a, b) == ("ptr", "i64") for a, b in zip(taken, given, strict=True))
    return tuple(array._fields) == _ARRAY and all(fits)
