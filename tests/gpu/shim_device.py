"""A device for the CUDA backend that is this processor: the kernels' text built by g++."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tiledsim.kernels.cuda.device import Buffer, DeviceError

SHIM = Path(__file__).parent / "shim"
COMPILER = shutil.which("g++") if sys.platform == "linux" else None
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror",
         "-Wno-unknown-pragmas", "-Wno-unused-parameter", "-Wno-unused-variable",
         "-Wno-unused-but-set-variable", "-Wno-unused-function")  # fmt: skip
FAST = ("-march=native",)
SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def built(text: str, kernel: str, extra: tuple[str, ...] = FAST) -> Path:
    """Build the library of a kernel; one of each text for the user of this machine."""
    code = f'{text}\n#line 1 "shim.cpp"\n{(SHIM / "shim.cpp").read_text()}'
    folder, flags = _folder(), (*FLAGS, *extra)
    library = folder / f"{_key(code, (SHIM / 'cuda.h').read_text(), kernel, *flags)}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            source, made = Path(scratch) / "kernel.cpp", Path(scratch) / "kernel.so"
            source.write_text(code)
            _compile(*flags, f"-DKERNEL={kernel}", "-shared", "-include",
                     str(_header(folder, flags)), str(source), "-o", str(made))  # fmt: skip
            os.replace(made, library)
    return library


def _header(folder: Path, flags: tuple[str, ...]) -> Path:
    """Return cuda.h with what the compiler made of it before: half the time of a kernel is that."""
    text = (SHIM / "cuda.h").read_text()
    header = folder / _key(text, *flags) / "cuda.h"
    if not header.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            (made / "cuda.h").write_text(text)
            _compile(*flags, "-x", "c++-header", str(made / "cuda.h"))
            with suppress(OSError):  # another process was first
                made.rename(header.parent)
    return header


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"tiledsim-shim-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise DeviceError(f"{folder} belongs to somebody else")
    return folder


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _compile(*arguments: str) -> None:
    if COMPILER is None:
        raise DeviceError("there is no g++")
    done = subprocess.run([COMPILER, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeviceError(f"g++: {done.stderr[:4000]}")


class ShimBuffer:
    """Memory of this process, filled with what is no number."""

    def __init__(self, nbytes: int) -> None:
        self.array = np.full(nbytes, 0xFF, dtype=np.uint8)
        self.nbytes = nbytes

    @property
    def address(self) -> int:
        return self.array.ctypes.data


class ShimDevice:
    """Runs kernels at once; memory is bounded where ``memory`` [bytes] says so."""

    def __init__(self, memory: int | None = None, flags: tuple[str, ...] = FAST) -> None:
        self.memory = memory
        self.flags = flags
        self.launches = 0
        self.most_bytes = 0
        self._taken: list[weakref.ref[ShimBuffer]] = []

    def build(self, source: str, name: str) -> Any:
        library = ctypes.CDLL(str(built(source, name, self.flags)))
        library.run_grid.argtypes = [ctypes.c_int64, ctypes.c_int, ctypes.c_void_p]
        library.parameters_bytes.restype = ctypes.c_size_t
        return library

    def allocate(self, nbytes: int) -> Buffer:
        if nbytes > self.free_bytes():
            raise DeviceError("out of memory", memory=True)
        buffer = ShimBuffer(nbytes)
        self._taken.append(weakref.ref(buffer))
        self.most_bytes = max(self.most_bytes, self._used_bytes())
        return buffer

    def upload(self, array: NDArray[Any]) -> Buffer:
        buffer = self.allocate(max(array.nbytes, 1))
        self.send(array, buffer, 0)
        return buffer

    def send(self, array: NDArray[Any], buffer: Buffer, lane: int) -> None:
        assert isinstance(buffer, ShimBuffer)
        assert array.nbytes <= buffer.nbytes
        buffer.array[: array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def launch(
        self, kernel: Any, blocks: int, threads: int, parameters: NDArray[np.void], lane: int
    ) -> None:
        assert kernel.parameters_bytes() == parameters.nbytes
        self.launches += 1
        if kernel.run_grid(blocks, threads, parameters.ctypes.data):
            raise DeviceError("the lanes of a warp did not meet at the same barriers")

    def download(self, buffer: Buffer, array: NDArray[Any], lane: int) -> None:
        assert isinstance(buffer, ShimBuffer)
        assert array.nbytes <= buffer.nbytes
        array[...] = buffer.array[: array.nbytes].view(array.dtype).reshape(array.shape)

    def mark(self, lane: int) -> float:
        return time.perf_counter()

    def wait(self, *marks: float) -> None:
        pass

    def seconds(self, first: float, last: float) -> float:
        return last - first

    def host_array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        array = np.empty(shape, dtype)
        array.view(np.uint8).fill(0xFF)
        return array

    def release(self) -> None:
        pass

    def _used_bytes(self) -> int:
        self._taken = [ref for ref in self._taken if ref() is not None]
        return sum(buffer.nbytes for ref in self._taken if (buffer := ref()) is not None)

    def free_bytes(self) -> int:
        return (self.memory or 2**62) - self._used_bytes()

    def describe(self) -> dict[str, str]:
        return {"device": "g++"}
