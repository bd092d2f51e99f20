"""The two quirks of raster order, around any kernel that knows nothing of them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tiledsim.reference import render_pixels
from tiledsim.scene import Scene
from tiledsim.tile import Tile

Render = Callable[[Scene, Tile, bool], NDArray[np.float64]]
"""Renders a tile with interpolation on or off throughout."""


def render_in_raster_order(scene: Scene, tile: Tile, render: Render) -> NDArray[np.float64]:
    """Render a tile as nanoBragg's order of visiting pixels demands.

    Pixels before the one where interpolation stops are interpolated and those after it are not;
    the single pixels that mix two states come from the reference.
    """
    mixed: list[tuple[int, int]] = []
    if scene.first_evaluation is not None:
        slow, fast, _ = (int(i) for i in scene.first_evaluation[tile.panel])
        mixed.append((slow, fast))
    stop = -1
    if scene.interpolation_stop is not None:
        stop = int(scene.interpolation_stop[tile.shot, tile.panel, 0])
    if stop < 0:
        image = render(scene, tile, scene.interpolate)
    else:
        width = scene.shape[3]
        mixed.append(divmod(stop, width))
        slow_index = np.arange(tile.slow_start, tile.slow_stop)[:, None]
        before = slow_index * width + np.arange(tile.fast_start, tile.fast_stop) < stop
        if before.all() or not before.any():
            image = render(scene, tile, bool(before.all()))
        else:
            image = np.where(before, render(scene, tile, True), render(scene, tile, False))
    for slow, fast in mixed:
        row, col = slow - tile.slow_start, fast - tile.fast_start
        if 0 <= row < tile.rows and 0 <= col < tile.cols:
            image[row, col] = render_pixels(scene, tile.shot, tile.panel, [slow], [fast])[0]
    return image
