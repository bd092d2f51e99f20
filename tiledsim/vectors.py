"""Rotations and unit vectors, right-handed, in the laboratory frame."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def unit(vector: ArrayLike) -> Array:
    """Return ``vector`` [..., 3] scaled to length 1; a zero vector stays zero."""
    v = np.asarray(vector, dtype=np.float64)
    length = np.sqrt((v * v).sum(axis=-1, keepdims=True))
    unit_vectors: Array = np.divide(v, length, out=np.zeros_like(v), where=length > 0)
    return unit_vectors


def axis_rotation(axis: ArrayLike, angle: float) -> Array:
    """Matrix [3, 3] that rotates by ``angle`` [rad] about the direction ``axis`` (Rodrigues)."""
    x, y, z = unit(axis)
    c, s = math.cos(angle), math.sin(angle)
    t = 1.0 - c
    return np.array(
        [
            [t * x * x + c, t * x * y - s * z, t * x * z + s * y],
            [t * x * y + s * z, t * y * y + c, t * y * z - s * x],
            [t * x * z - s * y, t * y * z + s * x, t * z * z + c],
        ]
    )


def xyz_rotation(angles: Sequence[float]) -> Array:
    """Matrix [3, 3] that rotates by three ``angles`` [rad] about x, then y, then z."""
    rx, ry, rz = (axis_rotation(axis, a) for axis, a in zip(np.eye(3), angles, strict=True))
    return np.asarray(rz @ ry @ rx)
