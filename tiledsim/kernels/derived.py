"""What the kernels derive from a scene in the same way."""

from typing import NamedTuple

import numpy as np

from tiledsim.kernels.polynomials import SINC3_CANCELS
from tiledsim.scene import Scene
from tiledsim.vectors import Array, unit


class PolarizationAxes(NamedTuple):
    """Unit vectors of the polarization formula [S, 3]."""

    vertical: Array
    """B."""
    horizontal: Array
    """E."""


def polarization_axes(scene: Scene) -> PolarizationAxes:
    """Return the axes of every source."""
    vertical = unit(np.cross(scene.polarization_axis, scene.incident))
    return PolarizationAxes(vertical, unit(np.cross(scene.incident, vertical)))


def sinc3_vanishes_below(scene: Scene) -> float:
    """Square of the argument below which sinc3 is 0, but for 0 itself; 0 for nowhere."""
    return SINC3_CANCELS if "sinc3_cancellation" in scene.quirks else 0.0


class Water(NamedTuple):
    """How water enters a pixel's sum."""

    start: float
    """Where the sum starts (quirk water_twice) [photons]."""
    own: float
    """Squared scattering times the orientations, of each subpixel and source; 0 with the quirk."""


def water(scene: Scene) -> Water:
    """Return what water adds."""
    if scene.water_twice:
        return Water(scene.water_molecules * scene.scale * scene.steps, 0.0)
    return Water(0.0, scene.water_molecules * scene.orientations)


def direction_starts(scene: Scene) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """First source of every run of sources with one direction, and the number of sources."""
    changes = (np.diff(scene.incident, axis=0) != 0.0).any(axis=1)
    inner = np.flatnonzero(changes) + 1
    return np.concatenate([[0], inner, [scene.sources]]).astype(np.int64)
