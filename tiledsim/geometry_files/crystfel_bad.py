"""Bad regions of CrystFEL's .geom files, as rectangles of a panel's pixels."""

from itertools import groupby

import numpy as np

from tiledsim.geometry_files.described import Rectangle, clip, finite
from tiledsim.vectors import Array

PLACES = ("min_x", "max_x", "min_y", "max_y")
PIXELS = ("min_fs", "max_fs", "min_ss", "max_ss")
MOST_RECTANGLES = 100_000


def bad_rectangles(
    region: dict[str, str], name: str, first: tuple[int, int], size: tuple[int, int],
    corner: Array, axes: Array,
) -> list[Rectangle]:  # fmt: skip
    """Return what of a panel a region covers, as rectangles.

    Parameters
    ----------
    region, name
        Its keys, and what it is called.
    first, size
        Of the panel's first pixel in the data (fs, ss), and its number of pixels (fs, ss).
    corner, axes
        x and y of the panel's corner [2], and of its fs and ss [2, 2], in pixels.

    Raises
    ------
    KeyError, ValueError
        For a region with keys of both kinds, or without one of them.
    """
    by_place = any(key in region for key in PLACES)
    if by_place and any(key in region for key in PIXELS):
        raise ValueError(f"{name} is a region by x and y and by fs and ss; give one")
    keys = PLACES if by_place else PIXELS
    if missing := [key for key in keys if key not in region]:
        raise ValueError(f"{name} lacks {', '.join(missing)}")
    limits = [float(finite(float(region[key]), 1, f"{name}/{key}")[0]) for key in keys]
    if by_place:
        return _between(np.array(limits).reshape(2, 2), size, corner, axes)
    f0, f1, s0, s1 = (int(value) for value in limits)
    found = clip((f0 - first[0], f1 - first[0], s0 - first[1], s1 - first[1]), size)
    return [] if found is None else [found]


def _between(limits: Array, size: tuple[int, int], corner: Array, axes: Array) -> list[Rectangle]:
    """Return the pixels whose middle is between limits of x and y [2, 2].

    Of each row they are one stretch, whatever the panel's direction; equal stretches of rows that
    follow each other make a rectangle.
    """
    slow = np.arange(size[1]) + 0.5
    start, stop = np.zeros(size[1]), np.full(size[1], float(size[0]))
    for axis, (low, high) in enumerate(limits):
        here = corner[axis] + slow * axes[1, axis]
        along = axes[0, axis]
        if abs(along) < 1e-9:
            stop[(here < low) | (here > high)] = -1.0
            continue
        ends = np.sort([(low - here) / along, (high - here) / along], axis=0)
        start, stop = np.maximum(start, ends[0]), np.minimum(stop, ends[1])
    first = np.ceil(start - 0.5 - 1e-9).astype(int)
    last = np.minimum(np.floor(stop - 0.5 + 1e-9).astype(int), size[0] - 1)
    found: list[Rectangle] = []
    for (f0, f1), rows in groupby(range(size[1]), key=lambda row: (first[row], last[row])):
        covered = list(rows)
        if f0 <= f1:
            found.append((int(f0), int(f1), covered[0], covered[-1]))
    return found
