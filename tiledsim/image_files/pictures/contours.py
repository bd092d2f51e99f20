"""Lines of equal value of what is known on a grid, by marching squares."""

import numpy as np

from tiledsim.vectors import Array

_EDGES = {
    1: ((3, 0),), 2: ((0, 1),), 3: ((3, 1),), 4: ((1, 2),), 5: ((3, 0), (1, 2)), 6: ((0, 2),),
    7: ((3, 2),), 8: ((2, 3),), 9: ((2, 0),), 10: ((0, 1), (2, 3)), 11: ((2, 1),), 12: ((1, 3),),
    13: ((1, 0),), 14: ((0, 3),),
}  # fmt: skip
"""Edges (top, right, bottom, left) that a line joins, by which corners are above the level."""


def contour(x: Array, y: Array, values: Array, level: float) -> Array:
    """Return segments [n, 2 ends, 2 (x, y)] where values [rows, cols] cross a level.

    ``x`` and ``y`` have the same shape as the values.  Squares with a NaN are left out.
    """
    corners = [
        np.stack([part[:-1, :-1], part[:-1, 1:], part[1:, 1:], part[1:, :-1]])
        for part in (x, y, values)
    ]
    above = corners[2] > level
    case = above[0] + 2 * above[1] + 4 * above[2] + 8 * above[3]
    case[~np.isfinite(corners[2]).all(axis=0)] = 0
    segments = []
    for number, lines in _EDGES.items():
        where = np.nonzero(case == number)
        if not len(where[0]):
            continue
        cx, cy, cv = (part[:, where[0], where[1]] for part in corners)
        for edges in lines:
            ends = []
            for edge in edges:
                a, b = edge, (edge + 1) % 4
                share = (level - cv[a]) / (cv[b] - cv[a])
                ends.append(
                    np.stack([cx[a] + share * (cx[b] - cx[a]), cy[a] + share * (cy[b] - cy[a])], 1)
                )
            segments.append(np.stack(ends, axis=1))
    return np.concatenate(segments) if segments else np.zeros((0, 2, 2))


NICE_A = (100, 50, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3.5, 3, 2.5, 2.2, 2, 1.8, 1.6, 1.5, 1.4, 1.3,
          1.2, 1.1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)  # fmt: skip


def ring_resolutions(finest_A: float, rings: int = 5) -> list[float]:
    """Choose round d-spacings [Å], about evenly spaced in 1/d, down to the finest that is seen."""
    if not finest_A > 0:
        return []
    step = 1.0 / (finest_A * (rings + 0.5))
    chosen: list[float] = []
    last = 0.0
    for d in NICE_A:
        if d > finest_A and 1.0 / d - last >= 0.85 * step:
            chosen.append(float(d))
            last = 1.0 / d
    return chosen
