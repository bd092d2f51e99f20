"""Structure factors between reflections: nearest, and tricubic Lagrange interpolation."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tiledsim.vectors import Array

Number = TypeVar("Number", np.float64, np.complex128)


def gather_nearest(
    table: NDArray[Number], lowest: tuple[int, int, int], nearest: Array
) -> NDArray[Number]:
    """Look reflections [..., 3] up in a bordered table; outside the box the border answers.

    Axes of the table beyond the third stay.
    """
    at = np.clip(nearest - lowest + 1, 0, np.array(table.shape[:3]) - 1).astype(np.int64)
    return np.asarray(table[at[..., 0], at[..., 1], at[..., 2]])


def lagrange_weights(t: Array) -> Array:
    """Weights [..., 4] of the values at −1, 0, 1, 2 for the value at t in [0, 1)."""
    return np.stack(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ],
        axis=-1,
    )


def interpolate_tricubic(
    table: Array, lowest: tuple[int, int, int], hkl: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Interpolate F at fractional indices [..., 3] over floor − 1 … floor + 2 on each axis.

    Returns the values and whether the neighbourhood is inside the table; outside, the value is
    meaningless.
    """
    floor = np.floor(hkl)
    box = np.array(table.shape) - 2
    corner = floor - 1 - lowest
    inside = np.asarray(((corner >= 0) & (corner + 3 <= box - 1)).all(axis=-1))
    at = np.where(inside[..., None], corner + 1, 0).astype(np.int64)
    weights = lagrange_weights(hkl - floor)
    if (box < 4).any():
        return np.zeros(inside.shape), inside
    total = np.zeros(inside.shape)
    for i in range(4):
        for j in range(4):
            line = np.zeros(inside.shape)
            for k in range(4):
                line += weights[..., 2, k] * table[at[..., 0] + i, at[..., 1] + j, at[..., 2] + k]
            total += weights[..., 0, i] * weights[..., 1, j] * line
    return total, inside
