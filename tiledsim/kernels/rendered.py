"""What a kernel gives back of a tile that is to be stored, at once or later."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.pixel_statistics import (
    Roi,
    TileStatistics,
    columns_inside,
    combine_rows,
    reduce_rows,
)
from tiledsim.scene import Scene
from tiledsim.tile import Tile


@dataclass(frozen=True)
class Rendered:
    """A tile as it is stored."""

    pixels: NDArray[Any]
    """Photons [rows, cols] in float32, 0 where nothing is rendered; or whole numbers of counts."""
    rows: NDArray[np.void] | None
    """Statistics of every row, :data:`tiledsim.pixel_statistics.ROW` [rows]; None where whoever
    keeps the pixels reduces them."""
    seconds: float
    """What the processor or the GPU spent on it."""
    bound: float = 0.0
    """By how many photons a pixel may be too small at most."""

    def statistics(self, tile: Tile, roi: Roi) -> TileStatistics:
        """Add up what the pixels of the tile come to inside the region of interest."""
        rows = self.rows
        if rows is None:
            rows = reduce_rows(self.pixels, *columns_inside(tile, roi))
        return combine_rows(rows, tile, roi)


class Pending(Protocol):
    """A tile that is being rendered."""

    def result(self) -> Rendered:
        """Wait for it; raises what went wrong."""


class Renders(Protocol):
    """Something that renders tiles into the memory of this process."""

    def render_bounded(self, scene: Scene, tile: Tile) -> tuple[NDArray[np.float64], float]:
        """Render a tile [rows, cols], and say how much a pixel may lack at most."""


class OnHost:
    """A tile that is rendered when its result is asked for."""

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
        return Rendered(pixels, None, time.perf_counter() - started, bound)
