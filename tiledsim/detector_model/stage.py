"""A tile of a scene as it is kept: photons, or counts where the scene says so."""

import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.model import reach
from tiledsim.kernels.rendered import Pending, Rendered
from tiledsim.pixel_statistics import columns_inside, reduce_rows
from tiledsim.scene import Scene
from tiledsim.tile import Tile


class Starts(Protocol):
    """What photons come from: a kernel, or a store of them."""

    def start(self, scene: Scene, tile: Tile, /) -> Pending:
        """Start making the photons of a tile."""


def start_tile(source: Starts, scene: Scene, tile: Tile) -> Pending:
    """Start making a tile that is to be kept; photons of its neighbourhood are made where the
    point spread of a scene with noise needs them.
    """
    if scene.noise is None:
        return source.start(scene, tile)
    _, _, slow, fast = scene.shape
    return _Counting(source.start(scene, reach(tile, scene.halo, slow, fast)), scene, tile)


class _Counting:
    """A tile that is counted when its result is asked for."""

    def __init__(self, photons: Pending, scene: Scene, tile: Tile) -> None:
        self._photons, self._scene, self._tile = photons, scene, tile

    def result(self) -> Rendered:
        """Wait for the photons and count them."""
        photons = self._photons.result()
        started = time.perf_counter()
        pixels, counted = count_tile(self._scene, photons.pixels, self._tile)
        rows = reduce_rows(counted, *columns_inside(self._tile, self._scene.roi))
        spent = photons.seconds + time.perf_counter() - started
        return Rendered(pixels, rows, spent, photons.bound)


def count_tile(
    scene: Scene, photons: NDArray[np.float32], tile: Tile
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Count the photons of a tile of a scene with noise, and of the halo around it.

    Returns the pixels [rows, cols], and the same with 0 in gaps, for statistics.
    """
    from tiledsim.detector_model.counts import count_photons

    assert scene.noise is not None
    counted = count_photons(
        scene.noise, photons, tile, scene.shape, state=scene.pixel_state, spread=scene.spread
    )
    pixels = counted.pixels
    return pixels, pixels if counted.gaps is None else np.where(counted.gaps, 0, pixels)
