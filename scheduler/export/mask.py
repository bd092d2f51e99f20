"""Pixels without a measurement: never rendered, between modules, or dead."""

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.model import DEAD, GAP
from tiledsim.scene import Scene
from tiledsim.tile import Tile

NO_PIXEL = 1
"""Bit 0 of a pixel mask of NXmx: a gap."""
DEAD_PIXEL = 2
"""Bit 1: a dead pixel."""


def measured_pixels(scene: Scene, tile: Tile, *, rendered: bool) -> NDArray[np.bool_] | None:
    """Return which pixels of a tile [rows, cols] hold a measurement, or None where all do.

    Gaps hold none; nor, with ``rendered``, do pixels that are outside the region of interest or
    masked in the experiment.
    """
    measured: NDArray[np.bool_] | None = scene.rendered_mask(tile) if rendered else None
    state = _states(scene, tile)
    if state is None or not (state == GAP).any():
        return measured
    inside: NDArray[np.bool_] = state != GAP
    return inside if measured is None else measured & inside


def pixel_mask(scene: Scene, tile: Tile) -> NDArray[np.uint32] | None:
    """Return the mask of a tile [rows, cols] as NXmx has it, or None where all pixels are good."""
    measured = measured_pixels(scene, tile, rendered=True)
    state = _states(scene, tile)
    if measured is None and state is None:
        return None
    mask = np.zeros((tile.rows, tile.cols), dtype=np.uint32)
    if measured is not None:
        mask[~measured] = NO_PIXEL
    if state is not None:
        mask[state == DEAD] |= DEAD_PIXEL
    return mask


def _states(scene: Scene, tile: Tile) -> NDArray[np.uint8] | None:
    """Return the states of the pixels of a tile [rows, cols] of a scene with noise."""
    if scene.pixel_state is None:
        return None
    plane = scene.pixel_state
    plane = plane if plane.ndim == 2 else plane[tile.panel]
    return np.asarray(plane[tile.slow_start : tile.slow_stop, tile.fast_start : tile.fast_stop])
