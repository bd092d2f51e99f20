"""A tile of a scene as it is kept: photons, or counts where the scene says so.

Photons are those of the kernel, CPU or GPU, and of the amorphous background, which is added here.
"""

import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import alone
from tiledsim.detector_model.model import reach
from tiledsim.kernels.rendered import Pending, Rendered
from tiledsim.pixel_statistics import columns_inside, reduce_rows
from tiledsim.scene import Scene
from tiledsim.scene.transmission import tile_transmission
from tiledsim.tile import Tile
from tiledsim.vectors import Array


class Starts(Protocol):
    """What photons come from: a kernel, or a store of them."""

    def start(self, scene: Scene, tile: Tile, /) -> Pending:
        """Start making the photons of a tile."""


class RendersPhotons(Protocol):
    """A kernel that fills the memory of this process."""

    def render(self, scene: Scene, tile: Tile, /) -> Array:
        """Render the spots of a tile [rows, cols]."""


def render_photons(kernel: RendersPhotons, scene: Scene, tile: Tile) -> Array:
    """Render the expected photons of a tile [rows, cols] in float64: spots and background."""
    spots = kernel.render(scene, tile)
    left, added = _transmission(scene, tile), _background(scene, tile)
    if left is not None:
        spots = spots * left
    return spots if added is None else spots + added


def start_tile(kernel: Starts, scene: Scene, tile: Tile) -> Pending:
    """Start rendering a tile that is to be kept; photons of its neighbourhood are made where the
    point spread of a scene with noise needs them.
    """
    whole = _reach(scene, tile)
    photons = kernel.start(scene, whole)
    if scene.amorphous_table is not None or scene.absorption is not None:
        photons = _Adding(photons, scene, whole)
    return photons if scene.noise is None else _Counting(photons, scene, tile)


def start_stored(stored: Starts, scene: Scene, tile: Tile) -> Pending:
    """Start making a tile of photons that are stored, the background among them."""
    if scene.noise is not None and scene.noise.serial:
        from tiledsim.detector_model.serial.stage import SerialTile

        return SerialTile(stored, scene, tile)
    photons = stored.start(scene, _reach(scene, tile))
    return photons if scene.noise is None else _Counting(photons, scene, tile)


def _reach(scene: Scene, tile: Tile) -> Tile:
    _, _, slow, fast = scene.shape
    return tile if scene.noise is None else reach(tile, scene.halo, slow, fast)


def _background(scene: Scene, tile: Tile) -> Array | None:
    if scene.amorphous_table is None:
        return None
    from tiledsim.detector_model.shot_background import background

    return background(scene, tile)


def _transmission(scene: Scene, tile: Tile) -> Array | None:
    scene, tile = alone(scene, tile)
    if scene.absorption is None:
        return None
    return tile_transmission(scene, tile)


class _Adding:
    """A tile whose background is added when its result is asked for, and what absorbs applied."""

    def __init__(self, photons: Pending, scene: Scene, tile: Tile) -> None:
        self._photons, self._scene, self._tile = photons, scene, tile

    def result(self) -> Rendered:
        """Compute both, while a GPU may still render."""
        started = time.perf_counter()
        left = _transmission(self._scene, self._tile)
        added = _background(self._scene, self._tile)
        seconds = time.perf_counter() - started
        photons = self._photons.result()
        started = time.perf_counter()
        with np.errstate(over="ignore"):  # what float32 cannot hold shows in the statistics
            spots = photons.pixels if left is None else photons.pixels * left
            pixels = (spots if added is None else spots + added).astype(np.float32)
        seconds += time.perf_counter() - started
        return Rendered(pixels, None, photons.seconds + seconds, photons.bound)


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

    model = alone(scene, tile)[0].noise
    assert model is not None
    counted = count_photons(
        model, photons, tile, scene.shape, state=scene.pixel_state, spread=scene.spread
    )
    pixels = counted.pixels
    return pixels, pixels if counted.gaps is None else np.where(counted.gaps, 0, pixels)
