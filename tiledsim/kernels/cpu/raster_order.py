"""The two quirks of raster order, around any kernel that knows nothing of them.

And the pixels of the direct beam, in which nanoBragg's `round` crystals are rounding errors: the
reference makes those that nanoBragg makes, operation by operation.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tiledsim.reference.model import render_pixels
from tiledsim.scene import Scene
from tiledsim.scene.pixels import pixel_axes
from tiledsim.tile import Tile

Render = Callable[[Scene, Tile, bool], NDArray[np.float64]]
"""Renders a tile with interpolation on or off throughout."""


def _interpolated(scene: Scene, tile: Tile) -> bool | NDArray[np.bool_]:
    """Whether a tile is interpolated, or which of its pixels [rows, cols] are."""
    stop = _stop(scene, tile)
    if stop < 0:
        return scene.interpolate
    slow = np.arange(tile.slow_start, tile.slow_stop)[:, None]
    before = slow * scene.shape[3] + np.arange(tile.fast_start, tile.fast_stop) < stop
    if before.all() or not before.any():
        return bool(before.all())
    return before


def _stop(scene: Scene, tile: Tile) -> int:
    if scene.interpolation_stop is None:
        return -1
    return int(scene.interpolation_stop[tile.shot, tile.panel, 0])


def _mixed_pixels(scene: Scene, tile: Tile) -> list[tuple[int, int]]:
    """Pixels (slow, fast) of a tile that only the reference knows: those that mix two states."""
    mixed: list[tuple[int, int]] = []
    if scene.first_evaluation is not None:
        slow, fast, _ = (int(i) for i in scene.first_evaluation[tile.panel])
        mixed.append((slow, fast))
    if (stop := _stop(scene, tile)) >= 0:
        mixed.append(divmod(stop, scene.shape[3]))
    if scene.crystal_shape == "round" and "sinc3_cancellation" in scene.quirks:
        mixed += direct_beam_pixels(scene, tile.panel)
    return [
        (slow, fast)
        for slow, fast in dict.fromkeys(mixed)
        if tile.slow_start <= slow < tile.slow_stop and tile.fast_start <= fast < tile.fast_stop
    ]


def direct_beam_pixels(scene: Scene, panel: int) -> list[tuple[int, int]]:
    """Pixels (slow, fast) of a panel that a ray meets in the centre of a subpixel."""
    axes = np.stack(pixel_axes(scene, panel)[::-1])
    if scene.curved:  # where the two components that become angles are 0
        met = -scene.origin[panel : panel + 1, 1:]
        axes = axes[:, 1:]
    else:
        along = scene.incident @ scene.normal[panel]
        rays = scene.incident[np.abs(along) > 1e-9]
        reach = scene.origin[panel] @ scene.normal[panel] / (rays @ scene.normal[panel])
        met = reach[:, None] * rays - scene.origin[panel]
    place = met @ np.linalg.pinv(axes) / scene.pixel_size
    centre = place * scene.oversample - 0.5
    exact = (np.abs(centre - np.rint(centre)) < 1e-6).all(axis=1)
    pixels = np.unique(np.floor(place[exact]).astype(np.int64), axis=0)
    return [(int(slow), int(fast)) for slow, fast in pixels]


def uniform_interpolation(scene: Scene, tile: Tile) -> bool | None:
    """Whether to interpolate a tile that the order does not touch; None where it does."""
    interpolated = _interpolated(scene, tile)
    if isinstance(interpolated, np.ndarray) or _mixed_pixels(scene, tile):
        return None
    return interpolated


def render_in_raster_order(scene: Scene, tile: Tile, render: Render) -> NDArray[np.float64]:
    """Render a tile as nanoBragg's order of visiting pixels demands.

    Pixels before the one where interpolation stops are interpolated and those after it are not;
    the single pixels that mix two states come from the reference.
    """
    interpolated = _interpolated(scene, tile)
    if isinstance(interpolated, np.ndarray):
        image = np.where(interpolated, render(scene, tile, True), render(scene, tile, False))
    else:
        image = render(scene, tile, interpolated)
    for slow, fast in _mixed_pixels(scene, tile):
        row, col = slow - tile.slow_start, fast - tile.fast_start
        image[row, col] = render_pixels(scene, tile.shot, tile.panel, [slow], [fast])[0]
    return image
