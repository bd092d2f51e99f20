"""The span of the corrections over a tile, for the summary."""

from dataclasses import replace
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import alone
from tiledsim.reference.model import pixel_rays
from tiledsim.scene import Scene
from tiledsim.tile import Tile

LATTICE = 32
"""Pixels between the points where the span is looked at.  The points belong to the region of
interest, not to the tile, so that the span of an image does not depend on its tiles."""
RAYS_AT_ONCE = 20_000
"""Bounds the memory with many sources and subpixels."""
MATTERS: Final = frozenset(
    {"polarization", "distance_mm", "detector_shift_fast_mm", "detector_shift_slow_mm"}
)
"""Columns of a campaign that the spans depend on, besides those that change the oversampling."""

KEPT_TILES: Final = 4096
_KEPT: Final[dict[tuple[str, int, Tile], dict[str, float]]] = {}
_LOCK: Final = Lock()


def _lattice(low: int, high: int, start: int, stop: int) -> NDArray[np.int64]:
    points = np.unique(np.append(np.arange(low, high + 1, LATTICE), high))
    return points[(points >= start) & (points < stop)]


def tile_ranges(scene: Scene, tile: Tile) -> dict[str, float]:
    """Smallest and largest solid angle [sr], polarization and capture of a tile's lattice pixels.

    Empty where no point of the lattice is in the tile.  Capture is the sum over layers.  What is
    the same in many shots is computed once.
    """
    one, here = alone(scene, tile)
    if scene.shape[0] == 1 or MATTERS & set(scene.shot_names):
        return _spans(one, here)
    key = scene.hash, one.oversample, replace(here, shot=0)
    with _LOCK:
        if key in _KEPT:
            return _KEPT[key]
    found = _spans(one, here)
    with _LOCK:
        _KEPT[key] = found
        while len(_KEPT) > KEPT_TILES:
            del _KEPT[next(iter(_KEPT))]
    return found


def _spans(scene: Scene, tile: Tile) -> dict[str, float]:
    fast_min, fast_max, slow_min, slow_max = scene.roi
    slow = _lattice(slow_min, slow_max, tile.slow_start, tile.slow_stop)
    fast = _lattice(fast_min, fast_max, tile.fast_start, tile.fast_stop)
    if not (len(slow) and len(fast)):
        return {}
    scene = _directions_only(scene)
    spans: dict[str, float] = {}
    rays_a_row = len(fast) * scene.layers * scene.oversample**2 * scene.sources
    portion = max(1, RAYS_AT_ONCE // rays_a_row)
    for first in range(0, len(slow), portion):
        rows = slow[first : first + portion]
        rays = pixel_rays(scene, tile.panel, np.repeat(rows, len(fast)), np.tile(fast, len(rows)))
        for name, values in {
            "omega": rays.omega,
            "polarization": rays.polarization,
            "capture": rays.capture.sum(axis=1),
        }.items():
            low, high = f"{name}_min", f"{name}_max"
            spans[low] = min(spans.get(low, np.inf), float(values.min()))
            spans[high] = max(spans.get(high, -np.inf), float(values.max()))
    return spans


def _directions_only(scene: Scene) -> Scene:
    """Return the scene with one source a direction: no span depends on a wavelength."""
    incident = np.unique(np.asarray(scene.incident), axis=0)
    n = len(incident)
    if n == scene.sources:
        return scene
    return replace(
        scene, incident=incident, wavelength=scene.wavelength[:n], weight=scene.weight[:n]
    )
