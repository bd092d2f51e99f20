"""How much of a tile goes through a GPU at once: so many bytes, and what takes so many seconds."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Final

from tiledsim.kernels.cuda.device import LANES
from tiledsim.kernels.cuda.params import PATCH_SLOW
from tiledsim.kernels.cuda.parts import Part, parts_of
from tiledsim.kernels.cuda.source import Specialisation
from tiledsim.pixel_statistics import ROW
from tiledsim.scene import Scene
from tiledsim.tile import Tile

BAND_BYTES: Final = 32 * 2**20
"""Device memory for the pixels of one band; there is one in each lane."""
BAND_SECONDS: Final = 0.2
"""What one launch should take.  What drives a display ends a kernel that takes seconds."""
FIRST_BAND_STEPS: Final = 200_000_000
"""Evaluations of one launch of a kernel that was not timed yet: 0.2 s of the slowest cards."""

_PIXEL_BYTES: Final = 13
"""A float64, an element of the mask, and the float32 that is stored."""


def row_bytes(tile: Tile) -> int:
    """Device memory that a row of a band takes."""
    return _PIXEL_BYTES * tile.cols + ROW.itemsize


def band_rows(
    scene: Scene, tile: Tile, band_bytes: int = BAND_BYTES, band_steps: float = math.inf
) -> int:
    """Rows of a tile that are rendered at once, whole rows of patches."""
    rows = band_bytes // row_bytes(tile)
    rows = int(min(rows, band_steps / (tile.cols * scene.steps_per_pixel)))
    return min(max(rows // PATCH_SLOW * PATCH_SLOW, PATCH_SLOW), tile.rows)


def bands_bytes(scene: Scene, tile: Tile) -> int:
    """Device memory that the bands of all lanes take at most."""
    return LANES * row_bytes(tile) * band_rows(scene, tile)


def split_into_bands(tile: Tile, rows: int) -> list[Tile]:
    """Cut a tile into bands of at most ``rows``, at the edges of patches where it can."""
    edges = [tile.slow_start]
    while edges[-1] < tile.slow_stop:
        stop = edges[-1] + rows
        aligned = stop // PATCH_SLOW * PATCH_SLOW
        if stop >= tile.slow_stop:
            stop = tile.slow_stop
        elif aligned > edges[-1]:
            stop = aligned
        edges.append(stop)
    return [replace(tile, slow_start=start, slow_stop=stop) for start, stop in pairwise(edges)]


class BandSize:
    """The size of the bands of one GPU: what its memory and its speed allow."""

    def __init__(self, most_bytes: int) -> None:
        self._usual = self._bytes = most_bytes
        self._steps_per_second: dict[Specialisation, float] = {}

    def split(self, scene: Scene, tile: Tile, special: Specialisation) -> list[Tile]:
        """Cut a tile into bands."""
        return split_into_bands(tile, band_rows(scene, tile, self._bytes, self._steps(special)))

    def parts(self, scene: Scene, band: Tile, special: Specialisation) -> list[Part]:
        """Divide the steps of a band into launches."""
        return parts_of(scene, special, self._steps(special) / (band.rows * band.cols))

    def learn(self, special: Specialisation, steps: int, seconds: float) -> None:
        """Take note of how long a tile took."""
        if seconds > 0.0:
            self._steps_per_second[special] = steps / seconds

    def _steps(self, special: Specialisation) -> float:
        """Evaluations that a launch may have: BAND_SECONDS at the speed of the last tile."""
        if special not in self._steps_per_second:
            return FIRST_BAND_STEPS
        return BAND_SECONDS * self._steps_per_second[special]

    def halve(self, scene: Scene, tile: Tile) -> bool:
        """Take half the memory from now on; False where the bands of a tile are the smallest."""
        rows = band_rows(scene, tile, self._bytes)
        if rows <= PATCH_SLOW:
            return False
        self._bytes = row_bytes(tile) * rows // 2
        return True

    def reset(self) -> None:
        """Take memory for bands of the usual size again."""
        self._bytes = self._usual

    def wanted_bytes(self, tile: Tile) -> int:
        """Memory that has to be there for bands of the usual size; 0 where they have it."""
        if self._bytes == self._usual:
            return 0
        return LANES * min(self._usual, row_bytes(tile) * tile.rows)
