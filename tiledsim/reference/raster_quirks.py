"""The two quirks that depend on the order in which nanoBragg visits pixels.

Both are settled when the scene is made, so that tiles can be rendered in any order.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tiledsim.reference.model import crystal_steps, lattice_factor, pixel_rays
from tiledsim.scene import Scene
from tiledsim.tile import Tile
from tiledsim.vectors import Array

Int = NDArray[np.int64]

_STEPS_AT_ONCE = 200_000


def _rendered_rows(scene: Scene, panel: int) -> Iterator[tuple[int, Int]]:
    """Yield the rows of a panel that have rendered pixels, with their fast indices, in order."""
    fast_min, fast_max, slow_min, slow_max = scene.roi
    for slow in range(slow_min, slow_max + 1):
        rendered = scene.rendered_mask(Tile(0, panel, slow, slow + 1, fast_min, fast_max + 1))
        fast = np.arange(fast_min, fast_max + 1)
        if rendered is not None:
            fast = fast[rendered[0]]
        if len(fast):
            yield slow, fast


def _portions(scene: Scene, panel: int) -> Iterator[tuple[int, Int]]:
    at_once = max(1, _STEPS_AT_ONCE // scene.steps_per_pixel)
    for slow, fast in _rendered_rows(scene, panel):
        for start in range(0, len(fast), at_once):
            yield slow, fast[start : start + at_once]


def find_first_evaluations(scene: Scene) -> Int:
    """Find slow, fast and step (layer, subpixel, source) of the first evaluation of each panel.

    It is the first that the resolution cut keeps.  Returns [P, 3], −1 where there is none.
    """
    found = np.full((scene.shape[1], 3), -1, dtype=np.int64)
    for panel in range(scene.shape[1]):
        for slow, fast in _portions(scene, panel):
            kept = pixel_rays(scene, panel, np.full(len(fast), slow), fast).kept
            kept = kept.reshape(len(fast), -1)
            if kept.any():
                pixel = int(kept.any(axis=1).argmax())
                found[panel] = slow, fast[pixel], int(kept[pixel].argmax())
                break
    return found


def find_interpolation_stops(scene: Scene) -> Int:
    """Find where nanoBragg gives interpolation up: [shots, P, 2], linear pixel and step, or −1.

    The test is nanoBragg's, which is stricter by one than the neighbourhood needs.
    """
    shots, panels, _, _ = scene.shape
    stops = np.full((shots, panels, 2), -1, dtype=np.int64)
    for panel in range(panels):
        reach = _largest_scattering(scene, panel)
        for shot in range(shots):
            if not _always_inside(scene, shot, reach):
                stops[shot, panel] = _scan(scene, shot, panel)
    return stops


def _limits(scene: Scene) -> tuple[Array, Array]:
    low = np.array(scene.hkl_lowest, dtype=np.float64)
    high = low + np.array(scene.F_table.shape) - 3
    return low + 2, high - 2


def _largest_scattering(scene: Scene, panel: int) -> float:
    """Bound |q| over a panel: its corners, with a margin; 2/λ on a curved one."""
    backscatter = float(2.0 / scene.wavelength.min())
    if scene.curved:
        return backscatter
    _, _, slow, fast = scene.shape
    rays = pixel_rays(scene, panel, [0, 0, slow - 1, slow - 1], [0, fast - 1, 0, fast - 1])
    forward = (rays.diffracted @ scene.incident.T > 0).all()
    largest = float(np.sqrt((rays.scattering**2).sum(-1)).max())
    return min(backscatter, largest * 1.01) if forward else backscatter


def _always_inside(scene: Scene, shot: int, reach: float) -> bool:
    low, high = _limits(scene)
    indices = reach * np.sqrt((scene.cells[shot] ** 2).sum(1))
    return bool((-indices > low).all() and (indices < high).all())


def _scan(scene: Scene, shot: int, panel: int) -> tuple[int, int]:
    low, high = _limits(scene)
    first_pixel = (-1, -1) if scene.first_evaluation is None else scene.first_evaluation[panel, :2]
    for slow, fast in _portions(scene, panel):
        rays = pixel_rays(scene, panel, np.full(len(fast), slow), fast)
        here = (fast == first_pixel[1]) & (slow == first_pixel[0])
        first = int(here.argmax()) if here.any() else -1
        hkl = crystal_steps(scene, shot, panel, rays, slow * scene.shape[3] + fast, first).hkl
        out = ((hkl > high) | (hkl < low)).any(axis=-1) & rays.kept[..., None]
        if not scene.water:
            out &= lattice_factor(scene, shot, hkl - np.ceil(hkl - 0.5))[1] != 0.0
        out = out.reshape(len(fast), -1)
        if out.any():
            pixel = int(out.any(axis=1).argmax())
            return slow * scene.shape[3] + int(fast[pixel]), int(out[pixel].argmax())
    return -1, -1
