"""An adversarial device: a lane's work is done only when somebody waits for it, at the last moment
or at random before, and memory that was given back is poisoned and handed out again.

A wait that is missing shows as wrong pixels.
"""

import ctypes
import random
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tests.gpu.shim_device import FAST, built
from tiledsim.kernels.cuda.device import LANES, Buffer, DeviceError


class Pool:
    """Memory by size; what comes back is poisoned and goes out again first."""

    def __init__(self) -> None:
        self.used = 0
        self._free: dict[int, list[NDArray[np.uint8]]] = {}
        self._all: list[NDArray[np.uint8]] = []

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        size = max(512, -(-nbytes // 512) * 512)
        self.used += size
        if self._free.get(size):
            return self._free[size].pop()
        self._all.append(np.full(size, 0xFF, np.uint8))
        return self._all[-1]

    def give(self, array: NDArray[np.uint8]) -> None:
        self.used -= array.size
        array.fill(0xFF)
        self._free.setdefault(array.size, []).append(array)


class LazyBuffer:
    def __init__(self, array: NDArray[np.uint8], nbytes: int) -> None:
        self.address = array.ctypes.data
        self.nbytes = nbytes


@dataclass(frozen=True)
class Mark:
    lane: int
    at: int


class LazyDevice:
    """``memory`` bounds what can be allocated [bytes]."""

    def __init__(self, seed: int, memory: int = 2**62) -> None:
        self.memory = memory
        self._queues = tuple(deque[Callable[[], None]]() for _ in range(LANES))
        self._put, self._ran = [0] * LANES, [0] * LANES
        self._device, self._host = Pool(), Pool()
        self._random = random.Random(seed)
        self._lock = RLock()

    def build(self, source: str, name: str) -> Any:
        library = ctypes.CDLL(str(built(source, name, FAST)))
        library.run_grid.argtypes = [ctypes.c_int64, ctypes.c_int, ctypes.c_void_p]
        return library

    def allocate(self, nbytes: int) -> Buffer:
        if self._device.used + nbytes > self.memory:
            raise DeviceError("out of memory", memory=True)
        array = self._device.take(nbytes)
        buffer = LazyBuffer(array, nbytes)
        weakref.finalize(buffer, self._device.give, array)
        return buffer

    def upload(self, array: NDArray[np.generic]) -> Buffer:
        buffer = self.allocate(max(array.nbytes, 1))
        source = np.ascontiguousarray(array)
        ctypes.memmove(buffer.address, source.ctypes.data, source.nbytes)
        return buffer

    def send(self, array: NDArray[np.generic], buffer: Buffer, lane: int) -> None:
        source, target, nbytes = array.ctypes.data, buffer.address, array.nbytes
        self._later(lane, lambda: ctypes.memmove(target, source, nbytes))

    def launch(
        self, kernel: Any, blocks: int, threads: int, parameters: NDArray[np.void], lane: int
    ) -> None:
        by_value = parameters.copy()

        def run() -> None:
            assert kernel.run_grid(blocks, threads, by_value.ctypes.data) == 0

        self._later(lane, run)

    def download(self, buffer: Buffer, array: NDArray[np.generic], lane: int) -> None:
        source, target, nbytes = buffer.address, array.ctypes.data, array.nbytes
        self._later(lane, lambda: ctypes.memmove(target, source, nbytes))

    def mark(self, lane: int) -> Mark:
        return Mark(lane, self._put[lane])

    def wait(self, *marks: Mark) -> None:
        for mark in marks or tuple(Mark(lane, self._put[lane]) for lane in range(LANES)):
            other = (mark.lane + self._random.randint(1, LANES - 1)) % LANES
            if self._random.random() < 0.3:
                some = self._ran[other] + self._random.randint(0, 3)
                self._run(other, min(self._put[other], some))
            self._run(mark.lane, mark.at)

    def seconds(self, first: Mark, last: Mark) -> float:
        for mark in (first, last):
            assert self._ran[mark.lane] >= mark.at, "a mark that was not reached"
        return 1e-3

    def host_array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        kind = np.dtype(dtype)
        count = int(np.prod(shape))
        array = self._host.take(max(1, count * kind.itemsize))
        owner = (ctypes.c_char * array.size).from_address(array.ctypes.data)
        weakref.finalize(owner, self._host.give, array)
        return np.frombuffer(owner, dtype=kind, count=count).reshape(shape)

    def release(self) -> None:
        pass

    def free_bytes(self) -> int:
        return self.memory - self._device.used

    def describe(self) -> dict[str, str]:
        return {}

    def _later(self, lane: int, work: Callable[[], Any]) -> None:
        with self._lock:
            self._queues[lane].append(work)
            self._put[lane] += 1

    def _run(self, lane: int, upto: int) -> None:
        with self._lock:
            while self._ran[lane] < upto:
                self._queues[lane].popleft()()
                self._ran[lane] += 1
