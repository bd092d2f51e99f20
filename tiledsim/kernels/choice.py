"""Which kernel renders: the one asked for, or the best that this machine has."""

from functools import lru_cache
from threading import Lock
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import BackendError
from tiledsim.kernels.devices import cuda_status
from tiledsim.kernels.rendered import Pending
from tiledsim.scene import Scene
from tiledsim.tile import Tile

BackendName = Literal["auto", "cpu", "cuda", "any"]
BACKENDS: Final = ("auto", "cpu", "cuda", "any")
"""``any``: of several processes, each takes the best that it has."""
DTYPES: Final = ("float64", "mixed")


class Backend(Protocol):
    """Something that renders tiles."""

    @property
    def name(self) -> str:
        """``cpu`` or ``cuda``."""

    @property
    def dtype(self) -> str:
        """Precision of the arithmetic: ``float64`` or ``mixed``."""

    @property
    def ahead(self) -> int:
        """Tiles that can be started before the result of the first is fetched, and pay."""

    def render(self, scene: Scene, tile: Tile) -> NDArray[np.float64]:
        """Render a tile [rows, cols] in photons per pixel; pixels not rendered are 0."""

    def render_bounded(self, scene: Scene, tile: Tile) -> tuple[NDArray[np.float64], float]:
        """Render a tile, and say by how many photons a pixel may be too small at most."""

    def start(self, scene: Scene, tile: Tile) -> Pending:
        """Start rendering a tile that is to be stored."""

    def release(self) -> None:
        """Give back the memory that is kept for the next tile."""

    def describe(self) -> dict[str, str]:
        """Return device, driver and library versions, for the record."""


def check_names(backend: str, dtype: str) -> None:
    """Raise BackendError for a backend or a precision that does not exist, or not together."""
    if backend not in BACKENDS:
        raise BackendError(f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}")
    if dtype not in DTYPES:
        raise BackendError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    if dtype == "mixed" and backend in ("cpu", "any"):
        raise BackendError("dtype 'mixed' needs a GPU; the CPU kernel computes in float64")


def choose_backend_name(requested: str, dtype: str) -> tuple[str, str]:
    """Resolve ``auto`` and ``any`` to the best kernel that this machine can run, and say why.

    Raises BackendError for a backend or a precision that does not exist, or cannot be used here.
    """
    check_names(requested, dtype)
    if requested == "cpu":
        return "cpu", "asked for"
    usable, why = cuda_status()
    if usable:
        return "cuda", why
    if requested == "cuda":
        raise BackendError(f"backend 'cuda' cannot be used: {why}")
    if dtype == "mixed":
        raise BackendError(f"dtype 'mixed' needs a GPU: {why}")
    return "cpu", why


_MAKING = Lock()
"""Threads that begin together make one backend, and one context on a GPU."""


def get_backend(name: str, dtype: str = "float64") -> Backend:
    """Make the backend of a name (one of ``BACKENDS``); one of each a process.

    Raises BackendError where it cannot be used; it never falls back to another.
    """
    with _MAKING:
        return make_backend(name, dtype)


@lru_cache(maxsize=4)
def make_backend(name: str, dtype: str) -> Backend:
    """Make the backend that :func:`get_backend` keeps."""
    chosen, _ = choose_backend_name(name, dtype)
    if chosen == "cuda":
        from tiledsim.kernels.cuda.backend import CudaBackend

        return CudaBackend(dtype)
    from tiledsim.kernels.cpu.backend import CpuBackend

    return CpuBackend()
