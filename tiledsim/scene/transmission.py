"""What the crystal lets out towards each pixel; kernels know nothing of it."""

import numpy as np

from tiledsim.scene import Scene
from tiledsim.scene.crystal.absorption import transmission
from tiledsim.scene.pixels import pixel_axes
from tiledsim.tile import Tile
from tiledsim.vectors import Array


def let_out(scene: Scene, direction: Array) -> Array:
    """Return the share of photons that leave the crystal along unit vectors [..., 3].

    It is that of the beam's direction and its mean wavelength; 1 for a crystal without absorption.
    """
    if scene.absorption is None:
        return np.ones(direction.shape[:-1])
    wavelength = float((scene.wavelength * scene.weight).sum() / scene.weight.sum())
    return transmission(scene.absorption, wavelength, direction @ scene.beam)


def tile_transmission(scene: Scene, tile: Tile) -> Array:
    """Return the share of photons that leave the crystal towards the pixels of a tile [rows, cols].

    It is taken at the middle of a pixel's surface.
    """
    along_fast, along_slow = pixel_axes(scene, tile.panel)
    fast = (np.arange(tile.fast_start, tile.fast_stop) + 0.5) * scene.pixel_size
    slow = (np.arange(tile.slow_start, tile.slow_stop) + 0.5) * scene.pixel_size
    place = scene.origin[tile.panel] + slow[:, None, None] * along_slow + fast[:, None] * along_fast
    return let_out(scene, place / np.sqrt((place**2).sum(axis=-1, keepdims=True)))
