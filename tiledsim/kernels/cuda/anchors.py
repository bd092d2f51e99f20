"""The units of the whole numbers with which a kernel adds to an anchor, and where that is exact.

A Miller index h = a·q is that of an anchor plus a·(q − q₀), or, for the wavelengths of one
direction, plus a·(d − i) × (1/λ − 1/λ₀).  Both factors are rounded to whole numbers of 31 bits and
a sign, so that their product fits 64 bits exactly; its error is that of the two roundings, some
2⁻³² of the largest change of the index.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from tiledsim.kernels.derived import direction_starts
from tiledsim.scene import Scene
from tiledsim.scene.pixels import pixel_m
from tiledsim.vectors import Array

LARGEST_CHANGE: Final = 4.0
"""Of an index, from its anchor.  Up to here the errors are those of 32 bits of fraction."""

_WHOLE: Final = 0.99 * 2.0**31
"""The largest whole number; vectors may be a little longer than what is said of them."""
_BITS: Final = 62
"""Most bits of fraction: a change, which is below 1 then, and half an index fit into 64."""


class Anchors(NamedTuple):
    """The units: what a factor is multiplied by to become a whole number."""

    axis_scale: float
    """Of axes a, b, c [1/m], or of their products with d − i."""
    step_scale: float
    """Of steps of the scattering vector, or of 1/λ [m]."""
    shift: int
    """Bits of fraction beyond 32."""

    @property
    def index_scale(self) -> float:
        """Of indices: the product of the other two."""
        return 2.0 ** (32 + self.shift)


def anchors_of(scene: Scene, pixels: int, *, spectrum: bool) -> Anchors | None:
    """Choose the units for all shots and panels of a scene; None where an index changes too much.

    ``pixels`` a thread decide how far a pixel may be from the anchor of its patch.
    """
    longest = float(np.sqrt((np.asarray(scene.cells) ** 2).sum(axis=2)).max())
    if spectrum:
        axis, step = 2.0 * longest, _widest_band(scene)
    else:
        axis, step = longest, _widest_step(scene, pixels)
    change = max(axis * step, 2.0**-30)
    if not change <= LARGEST_CHANGE:
        return None
    bits = min(math.floor(math.log2(_WHOLE**2 / change)), _BITS)
    axis_scale = math.sqrt(change * 2.0**bits) / axis  # both factors are as large then
    return Anchors(axis_scale, 2.0**bits / axis_scale, bits - 32)


def _widest_step(scene: Scene, pixels: int) -> float:
    """Largest distance of a scattering vector from that of its patch's anchor [1/m].

    Directions are no farther apart than places on the sensor, over the smaller distance.
    """
    apart = float(_sides(scene).max()) * math.hypot(4.0, 8.0 if pixels == 4 else 7.0)
    nearest = _nearest(scene) - apart - scene.layers * abs(scene.layer_step)
    return apart / nearest / float(np.min(scene.wavelength)) if nearest > 0.0 else math.inf


def _nearest(scene: Scene) -> float:
    """Distance of the nearest place on any panel [m]."""
    if scene.curved:
        return float(np.abs(scene.distance).min())
    origin, fast, slow = (np.asarray(part) for part in (scene.origin, scene.fast, scene.slow))
    _, _, rows, cols = scene.shape
    ends = _sides(scene) * [cols, rows]
    along_fast = np.clip(-(origin * fast).sum(axis=1), 0.0, ends[:, 0])
    along_slow = np.clip(-(origin * slow).sum(axis=1), 0.0, ends[:, 1])
    foot = origin + along_fast[:, None] * fast + along_slow[:, None] * slow
    # Where the axes are not at right angles another place may be nearer, by as much at most.
    nearer = np.abs((fast * slow).sum(axis=1)) * ends.sum(axis=1)
    return float((np.sqrt((foot**2).sum(axis=1)) - nearer).min())


def _sides(scene: Scene) -> Array:
    """Sides of the pixels of every panel along fast and slow [P, 2] in metres."""
    return np.array([pixel_m(scene, panel) for panel in range(scene.shape[1])])


def _widest_band(scene: Scene) -> float:
    """Largest distance of a 1/λ from that in the middle of its direction's [1/m]."""
    inverse, first = 1.0 / np.asarray(scene.wavelength), direction_starts(scene)
    counts = np.diff(first)
    middle = inverse[first[:-1] + counts // 2]
    return float(np.abs(inverse - np.repeat(middle, counts)).max())
