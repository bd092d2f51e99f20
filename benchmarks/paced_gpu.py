"""Workers whose GPU renders nothing and takes its time: so many pixels a second.

Preloaded by Dask workers (``distributed.worker.preload``).  TILEDSIM_PACE is the speed, and
TILEDSIM_PIXELS a file with the pixels [rows, cols] in float32 that come back, again and again.
Everything but the GPU is real: threads, lanes, bands, tables, what is written and recorded.
"""

import os
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels import choice, devices
from tiledsim.kernels.cuda import backend as cuda
from tiledsim.kernels.cuda.device import LANES
from tiledsim.pixel_statistics import reduce_rows
from tiledsim.scheduler.session.opening import preflight


@dataclass(frozen=True)
class PacedBuffer:
    """Memory of a device that has none."""

    address: int
    nbytes: int


class PacedDevice:
    """One card: kernels of all lanes run one after the other."""

    def __init__(self) -> None:
        self._pace = float(os.environ["TILEDSIM_PACE"])
        self._pixels = np.load(os.environ["TILEDSIM_PIXELS"])
        self._rows = reduce_rows(self._pixels, 0, self._pixels.shape[1])
        self._lock = threading.Lock()
        self._free_at = 0.0
        self._lanes = [0.0] * LANES

    def build(self, source: str, name: str) -> str:
        """Know a kernel by its name."""
        return name

    def allocate(self, nbytes: int) -> PacedBuffer:
        """Take no memory."""
        return PacedBuffer(1, nbytes)

    def upload(self, array: NDArray[np.generic]) -> PacedBuffer:
        """Take no memory."""
        return self.allocate(array.nbytes)

    def send(self, array: NDArray[np.generic], buffer: PacedBuffer, lane: int) -> None:
        """Copy nothing."""

    def launch(
        self, kernel: str, blocks: int, threads: int, parameters: NDArray[np.void], lane: int
    ) -> None:
        """Be busy until the pixels of the band would be there."""
        if kernel != "render":
            return
        pixels = int(parameters["rows"][0]) * int(parameters["cols"][0])
        with self._lock:
            begins = max(time.perf_counter(), self._free_at, self._lanes[lane])
            self._free_at = self._lanes[lane] = begins + pixels / self._pace

    def download(self, buffer: PacedBuffer, array: NDArray[Any], lane: int) -> None:
        """Give pixels, or their statistics, that were made before."""
        if array.ndim == 1:
            array[...] = np.resize(self._rows, array.shape)
        else:
            array[...] = np.resize(self._pixels, array.shape)

    def mark(self, lane: int) -> float:
        """Return when the lane will have come so far."""
        return max(time.perf_counter(), self._lanes[lane])

    def wait(self, *marks: float) -> None:
        """Sleep until then."""
        time.sleep(max(0.0, max(marks or self._lanes) - time.perf_counter()))

    def seconds(self, first: float, last: float) -> float:
        """Time between two marks."""
        return last - first

    def host_array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Make ordinary memory."""
        return np.empty(shape, dtype)

    def release(self) -> None:
        """Have nothing to give back."""

    def free_bytes(self) -> int:
        """Have memory without end."""
        return 2**62

    def describe(self) -> dict[str, str]:
        """Say what this is."""
        return {"device": f"none, {self._pace:.3g} pixels a second"}


def use() -> None:
    """Put the device in the place of CuPy's, in this process."""
    for module in (devices, choice, preflight):
        module.cuda_status = lambda: (True, "a GPU that is none")  # type: ignore[attr-defined]
    cuda.CupyDevice = PacedDevice  # type: ignore[misc,assignment]


def dask_setup(worker: object) -> None:
    """Do so in a worker."""
    use()
