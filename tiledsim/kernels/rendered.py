"""What a kernel gives back of a tile that is to be stored, at once or later."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.pixel_statistics import columns_inside, reduce_rows
from tiledsim.scene import Scene
from tiledsim.tile import Tile


@dataclass(frozen=True)
class Rendered:
    """A tile as it is stored."""

    pixels: NDArray[Any]
    """Photons [rows, cols] in float32, 0 where nothing is rendered; or whole numbers of counts."""
    rows: NDArray[np.void]
    """Statistics of every row, :data:`tiledsim.pixel_statistics.ROW` [rows]."""
    seconds: float
    """What the processor or the GPU spent on it."""
    bound: float = 0.0
    """By how many photons a pixel may be too small at most."""


class Pending(Protocol):
    """A tile that is being rendered."""

    def result(self) -> Rendered:
        """Wait for it; raises what went wrong."""


class Renders(Protocol):
    """Something that renders tiles into the memory of this process."""

    def render_bounded(self, scene: Scene, tile: Tile) -> tuple[NDArray[np.float64], float]:
        """Render a tile [rows, cols], and say how much a pixel may lack at most."""


class OnHost:
    """A tile that is rendered when its result is asked for, and reduced by NumPy."""

    def __init__(self, renderer: Renders, scene: Scene, tile: Tile) -> None:
        self._renderer = renderer
        self._scene = scene
        self._tile = tile

    def result(self) -> Rendered:
        """Render the tile."""
        started = time.perf_counter()
        with np.errstate(over="ignore"):  # what float32 cannot hold shows in the statistics
            image, bound = self._renderer.render_bounded(self._scene, self._tile)
            pixels = image.astype(np.float32)
        rows = reduce_rows(pixels, *columns_inside(self._tile, self._scene.roi))
        return Rendered(pixels, rows, time.perf_counter() - started, bound)
