"""NVRTC without a GPU: the kernel's text to machine code, and what the compiler says of it."""

import re
from dataclasses import dataclass
from typing import Any

OPTIONS = ("-std=c++17", "-ftz=true", "--ptxas-options=-v")
"""CuPy's own, with the report of the assembler."""


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


def compile_for(text: str, architecture: str) -> Compiled:
    """Compile for an architecture such as ``sm_90``; CompileError where that fails."""
    from cuda.bindings import nvrtc

    def checked(answer: tuple[Any, ...]) -> Any:
        if answer[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompileError(str(answer[0]))
        return answer[1] if len(answer) > 1 else None

    program = checked(nvrtc.nvrtcCreateProgram(text.encode(), b"bragg.cu", 0, [], []))
    try:
        options = [f"-arch={architecture}".encode(), *(option.encode() for option in OPTIONS)]
        answer = nvrtc.nvrtcCompileProgram(program, len(options), options)
        log = bytes(checked(nvrtc.nvrtcGetProgramLogSize(program)))
        checked(nvrtc.nvrtcGetProgramLog(program, log))
        said = log.decode(errors="replace").rstrip("\0")
        if answer[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompileError(said)
        code = bytes(checked(nvrtc.nvrtcGetCUBINSize(program)))
        checked(nvrtc.nvrtcGetCUBIN(program, code))
    finally:
        nvrtc.nvrtcDestroyProgram(program)
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
