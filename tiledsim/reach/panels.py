"""Where rays from the sample meet the detector."""

import numpy as np
from numpy.typing import NDArray

from tiledsim.scene import Scene
from tiledsim.scene.pixels import pixel_coordinates
from tiledsim.vectors import Array


def meet_panels(
    scene: Scene, direction: Array, *, seen: bool = False
) -> tuple[NDArray[np.int64], Array, Array]:
    """Return where rays [n, 3] from the sample meet the detector: panel (−1: none), slow, fast.

    Where they must be ``seen``, masked pixels are no part of it: gaps, and those that a panel lacks
    beside the largest.
    """
    _, panels, slow, fast = scene.shape
    which = np.full(len(direction), -1)
    at = np.zeros((2, len(direction)))
    nearest = np.full(len(direction), np.inf)
    for panel in range(panels):
        with np.errstate(divide="ignore", invalid="ignore"):
            along = (scene.origin[panel] @ scene.normal[panel]) / (direction @ scene.normal[panel])
            offset = direction * along[:, None] - scene.origin[panel]
            f, s = pixel_coordinates(scene, panel, offset)
            meets = (along > 0) & (along < nearest)
            meets &= (f >= 0) & (f < fast) & (s >= 0) & (s < slow)
        if seen and scene.mask is not None:
            plane = scene.mask if scene.mask.ndim == 2 else scene.mask[panel]
            meets[meets] = plane[s[meets].astype(np.int64), f[meets].astype(np.int64)]
        which[meets], nearest[meets] = panel, along[meets]
        at[0][meets], at[1][meets] = s[meets], f[meets]
    return which, at[0], at[1]
