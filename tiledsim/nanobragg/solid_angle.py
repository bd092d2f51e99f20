"""The solid angle of the detector as nanoBragg sums and prints it."""

from itertools import product

import numpy as np

from tiledsim.nanobragg.images.statistics import row_blocks
from tiledsim.scene import Scene
from tiledsim.tile import Tile
from tiledsim.vectors import Array


def solid_angle_sr(scene: Scene) -> float:
    """Return Σω/steps over the rendered pixels of the first panel.

    The sum is over layers and subpixels, the division by those, sources and orientations: with
    more than one source or orientation the value is that much too small, as nanoBragg's is.  Where
    a pixel has one solid angle for all, that of its first subpixel is meant.
    """
    _, _, slow, fast = scene.shape
    n = scene.oversample
    evaluations = [(0, 0, 0)]
    repeats = scene.layers * n * n
    if scene.omega_correction != "first":
        evaluations = list(product(range(scene.layers), range(n), range(n)))
        repeats = 1
    total = 0.0
    for part in row_blocks(slow):
        rendered = scene.rendered_mask(Tile(0, 0, part.start, part.stop, 0, fast))
        for layer, i, j in evaluations:
            omega = _omega(scene, part, layer, i, j)
            total += repeats * float(omega.sum() if rendered is None else omega[rendered].sum())
    return total / scene.steps


def _omega(scene: Scene, part: slice, layer: int, i: int, j: int) -> Array:
    """Solid angles [rows, fast] of subpixel (i, j) of the pixels of some rows."""
    n, fast = scene.oversample, scene.shape[3]
    p = scene.pixel_size / n
    sdet = p * (np.arange(part.start, part.stop) * n + i) + p / 2.0
    fdet = p * (np.arange(fast) * n + j) + p / 2.0
    corner = scene.origin[0] + layer * scene.layer_step * scene.normal[0]
    square = np.zeros((len(sdet), fast))
    for axis in range(3):
        square += (
            corner[axis]
            + (sdet * scene.slow[0, axis])[:, None]
            + (fdet * scene.fast[0, axis])[None, :]
        ) ** 2
    if scene.curved:
        square[:] = scene.distance[0] ** 2
    if scene.point_pixel:
        return np.asarray(1.0 / square)
    return np.asarray(scene.pixel_size**2 * scene.close_distance[0] / square**1.5)
