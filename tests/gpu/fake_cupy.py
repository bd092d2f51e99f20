"""What tiledsim uses of CuPy, on this processor: names, signatures and errors as in CuPy 14.

Memory is the process's, streams do everything at once, and kernels are built by g++.  A module to
put in the place of ``cupy``: it shows that :class:`CupyDevice` calls what is there, and in order.
"""

import ctypes
import time
from types import ModuleType
from typing import Any

import numpy as np

from tests.gpu.shim_device import built


class CUDARuntimeError(RuntimeError):
    pass


class CUDADriverError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class CompileException(Exception):  # noqa: N818 (its name in CuPy)
    pass


class _Memory:
    def __init__(self, nbytes: int) -> None:
        self.size = -(-nbytes // 512) * 512
        self.array = np.full(self.size, 0xFF, np.uint8)


class MemoryPointer:
    def __init__(self, mem: _Memory) -> None:
        self.mem = mem
        self.ptr = mem.array.ctypes.data

    def copy_from_host_async(self, mem: int, size: int, stream: "Stream") -> None:
        assert isinstance(stream, Stream)
        ctypes.memmove(self.ptr, mem, size)

    def copy_to_host_async(self, mem: int, size: int, stream: "Stream") -> None:
        assert isinstance(stream, Stream)
        ctypes.memmove(mem, self.ptr, size)


class Stream:
    current: "Stream | None" = None

    def __init__(self, *, non_blocking: bool) -> None:
        assert non_blocking

    def __enter__(self) -> "Stream":
        Stream.current = self
        return self

    def __exit__(self, *error: object) -> None:
        Stream.current = None

    def synchronize(self) -> None:
        pass


class Event:
    at: float | None = None

    def __init__(self, block: bool = False) -> None:
        assert block  # waiting that spins keeps a core from the tiles of other workers

    def record(self, stream: Stream) -> None:
        assert isinstance(stream, Stream)
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        if failing:
            raise CUDARuntimeError(failing[0])


def get_elapsed_time(start: Event, end: Event) -> float:
    assert start.at is not None
    assert end.at is not None
    return 1000.0 * (end.at - start.at)


class RawKernel:
    def __init__(self, code: str, name: str, options: tuple[str, ...] = ()) -> None:
        assert options == ("-std=c++17",)
        self._code, self._name = code, name
        self._library: Any = None

    def compile(self) -> None:
        if "nonsense" in self._code:
            raise CompileException("expected a declaration")
        self._library = ctypes.CDLL(str(built(self._code, self._name)))
        self._library.run_grid.argtypes = [ctypes.c_int64, ctypes.c_int, ctypes.c_void_p]

    def __call__(self, grid: tuple[int], block: tuple[int], args: tuple[np.ndarray]) -> None:
        (parameters,) = args
        assert parameters.size == 1  # what CuPy takes by value
        assert Stream.current is not None
        assert self._library.run_grid(grid[0], block[0], parameters.ctypes.data) == 0


class _Pool:
    freed = 0

    def free_all_blocks(self) -> None:
        self.freed += 1

    def free_bytes(self) -> int:
        return 0


failing: list[str] = []
"""What the next waits say is wrong."""


def make() -> ModuleType:
    """Return the module."""
    cupy, pools = ModuleType("cupy"), (_Pool(), _Pool())
    cuda = cupy.cuda = ModuleType("cupy.cuda")  # type: ignore[attr-defined]
    runtime = ModuleType("runtime")
    vars(runtime).update(
        CUDARuntimeError=CUDARuntimeError, getDeviceCount=lambda: 1, getDevice=lambda: 0,
        memGetInfo=lambda: (1, 2), driverGetVersion=lambda: 13020, runtimeGetVersion=lambda: 13000,
        getDeviceProperties=lambda device: {"name": b"a card", "major": 9, "minor": 0,
                                            "totalGlobalMem": 2**37},
    )  # fmt: skip
    vars(cuda).update(
        runtime=runtime, Stream=Stream, Event=Event, get_elapsed_time=get_elapsed_time,
        alloc=lambda nbytes: MemoryPointer(_Memory(nbytes)),
        alloc_pinned_memory=lambda nbytes: bytearray(nbytes),
    )  # fmt: skip
    for name, error in (("memory", OutOfMemoryError), ("driver", CUDADriverError),
                        ("compiler", CompileException)):  # fmt: skip
        setattr(cuda, name, ModuleType(name))
        setattr(getattr(cuda, name), error.__name__, error)
    vars(cupy).update(
        RawKernel=RawKernel, __version__="14.2.0",
        get_default_memory_pool=lambda: pools[0], get_default_pinned_memory_pool=lambda: pools[1],
    )  # fmt: skip
    return cupy
