"""Which kernel renders: the one asked for, or the best that this machine has."""

from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import BackendError
from tiledsim.scene import Scene
from tiledsim.tile import Tile

BackendName = Literal["auto", "cpu", "cuda"]


class Backend(Protocol):
    """Something that renders tiles."""

    @property
    def name(self) -> str:
        """``cpu`` or ``cuda``."""

    @property
    def dtype(self) -> str:
        """Precision of the arithmetic: ``float64`` or ``mixed``."""

    def render(self, scene: Scene, tile: Tile) -> NDArray[np.float64]:
        """Render a tile [rows, cols] in photons per pixel; pixels not rendered are 0."""

    def describe(self) -> dict[str, str]:
        """Return device, driver and library versions, for the record."""


def choose_backend_name(requested: str, dtype: str) -> tuple[str, str]:
    """Resolve ``auto`` to a kernel that this version has, and say why.

    Raises BackendError for a backend or a precision that does not exist here.
    """
    if requested not in ("auto", "cpu", "cuda"):
        raise BackendError(f"backend must be one of auto, cpu, cuda; got {requested!r}")
    if dtype not in ("float64", "mixed"):
        raise BackendError(f"dtype must be one of float64, mixed; got {dtype!r}")
    if requested == "cuda":
        raise BackendError(
            "backend 'cuda' cannot be used: this version of tiledsim renders on CPUs only; give "
            "--backend cpu"
        )
    if dtype == "mixed":
        raise BackendError("dtype 'mixed' needs a GPU; the CPU kernel computes in float64")
    return "cpu", "asked for" if requested == "cpu" else "the kernel of this version"


@lru_cache(maxsize=4)
def get_backend(name: str, dtype: str = "float64") -> Backend:
    """Make the backend of a name (``auto``, ``cpu``, ``cuda``); one of each a process.

    Raises BackendError where it cannot be used; it never falls back to another.
    """
    choose_backend_name(name, dtype)
    from tiledsim.kernels.cpu import CpuBackend

    return CpuBackend()
