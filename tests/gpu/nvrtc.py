"""NVRTC without a GPU: the kernel's text to machine code, and what the compiler says of it.

The libraries of the wheels are called directly, so that several versions stand beside each other.
"""

import ctypes
import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

OPTIONS = ("-std=c++17", "-ftz=true", "--ptxas-options=-v")
"""CuPy's own, with the report of the assembler."""

VERSIONS = {12: "cuda_nvrtc/lib/libnvrtc.so.12", 13: "cu13/lib/libnvrtc.so.13"}
"""Where the wheels of the extras cuda12 and cuda13 keep it, below ``nvidia``."""


def library_file(version: int) -> Path | None:
    """Return the library of a major version; None where it is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [Path(folder) / VERSIONS[version] for folder in folders]
    return next((file for file in files if file.exists()), None)


@lru_cache
def _library(version: int) -> ctypes.CDLL:
    file = library_file(version)
    if file is None:
        raise CompileError(f"NVRTC {version} is not installed")
    return ctypes.CDLL(str(file))


class CompileError(Exception):
    """What NVRTC does not compile, with its log."""


@dataclass(frozen=True)
class Compiled:
    """Machine code of one kernel for one architecture."""

    code: bytes
    log: str
    registers: int
    stack_bytes: int
    spill_bytes: int

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.log.splitlines() if "warning" in line.lower()]


def compile_for(text: str, architecture: str, version: int = 13) -> Compiled:
    """Compile for an architecture such as ``sm_90``; CompileError where that fails."""
    library = _library(version)
    program = ctypes.c_void_p()

    def checked(status: int, what: str) -> None:
        if status != 0:
            raise CompileError(f"NVRTC {version}: {what}: status {status}")

    def output(name: str) -> bytes:
        size = ctypes.c_size_t()
        checked(getattr(library, f"nvrtcGet{name}Size")(program, ctypes.byref(size)), name)
        held = ctypes.create_string_buffer(size.value)
        checked(getattr(library, f"nvrtcGet{name}")(program, held), name)
        return held.raw

    made = library.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), b"bragg.cu", 0, None, None
    )
    checked(made, "create")
    try:
        options = [f"-arch={architecture}".encode(), *(option.encode() for option in OPTIONS)]
        array = (ctypes.c_char_p * len(options))(*options)
        status = library.nvrtcCompileProgram(program, len(options), array)
        said = output("ProgramLog").decode(errors="replace").rstrip("\0")
        if status != 0:
            raise CompileError(said)
        code = output("CUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    return Compiled(
        code,
        said,
        registers=_number(r"Used (\d+) registers", said),
        stack_bytes=_number(r"(\d+) bytes stack frame", said),
        spill_bytes=_number(r"(\d+) bytes spill stores", said)
        + _number(r"(\d+) bytes spill loads", said),
    )


def _number(pattern: str, log: str) -> int:
    found = re.search(pattern, log)
    if found is None:
        raise CompileError(f"the compiler does not report {pattern!r}: {log}")
    return int(found[1])
