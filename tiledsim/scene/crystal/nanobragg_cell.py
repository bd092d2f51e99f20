"""The cell as nanoBragg computes it (quirk cell_cstar), operation by operation.

A size that is a whole number of cells becomes that number or one more by the last bit of a length,
and the image depends on which.  So nanoBragg's order of operations is kept here, and angles are
divided by 180/π as it divides them.
"""

import math
from collections.abc import Sequence

import numpy as np

from tiledsim.vectors import Array

_DEGREES = 180.0 * 0.318309886183790671537767526745028724
"""180/π, rounded as nanoBragg rounds it."""

Triple = tuple[float, float, float]


def radians(degrees: float) -> float:
    """Convert an angle as nanoBragg does."""
    return degrees / _DEGREES


def default_setting(cell: Sequence[float]) -> Array:
    """Return a*, b*, c* as rows [3, 3] in Å⁻¹; c*_z is c*·V/(abc·sin γ*) where 1/c is meant."""
    a, b, c = cell[:3]
    cos = [math.cos(radians(angle)) for angle in cell[3:]]
    sin = [math.sin(radians(angle)) for angle in cell[3:]]
    volume = cell_volume(cell)
    inverse = 1.0 / volume
    a_star, b_star, c_star = (
        b * c * sin[0] * inverse,
        c * a * sin[1] * inverse,
        a * b * sin[2] * inverse,
    )
    cos_alpha = (cos[1] * cos[2] - cos[0]) / (sin[1] * sin[2])
    cos_beta = (cos[2] * cos[0] - cos[1]) / (sin[2] * sin[0])
    cos_gamma = (cos[0] * cos[1] - cos[2]) / (sin[0] * sin[1])
    # A cell that closes no volume is rendered all the same, with cosines that are held at 1.
    cos_alpha, cos_beta, cos_gamma = (
        cosine if cosine * cosine <= 1.0 else 1.0 for cosine in (cos_alpha, cos_beta, cos_gamma)
    )
    sin_gamma = min(c * inverse / a_star / b_star, 1.0)
    c_y = c_star * (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    c_z = c_star * volume / (a * b * c * sin_gamma)
    return np.array(
        [
            [a_star, 0.0, 0.0],
            [b_star * cos_gamma, b_star * sin_gamma, 0.0],
            [c_star * cos_beta, c_y, c_z],
        ]
    )


def cell_volume(cell: Sequence[float]) -> float:
    """Volume [Å³] of a cell."""
    alpha, beta, gamma = (radians(angle) for angle in cell[3:])
    half = (alpha + beta + gamma) / 2
    skew = math.sin(half) * math.sin(half - alpha) * math.sin(half - beta) * math.sin(half - gamma)
    return 2.0 * cell[0] * cell[1] * cell[2] * math.sqrt(abs(skew))


def turned(reciprocal: Array, angles: Triple) -> Array:
    """Rotate the rows of [3, 3] by ``angles`` [rad] about x, then y, then z; 0 is left out."""
    x, y, z = (reciprocal[:, i] for i in range(3))
    sin, cos = [math.sin(angle) for angle in angles], [math.cos(angle) for angle in angles]
    if angles[0] != 0.0:
        y, z = y * cos[0] - z * sin[0], y * sin[0] + z * cos[0]
    if angles[1] != 0.0:
        x, z = x * cos[1] + z * sin[1], z * cos[1] - x * sin[1]
    if angles[2] != 0.0:
        x, y = x * cos[2] - y * sin[2], x * sin[2] + y * cos[2]
    return np.stack([x, y, z], axis=1)


def forced_lengths(reciprocal: Array, cell: Sequence[float]) -> tuple[Array, Array]:
    """Force the lengths of a cell upon the vectors that belong to a*, b*, c*, rows of [3, 3].

    Returns direct vectors [Å] and the reciprocal ones [Å⁻¹] made again from them, both [3, 3].
    """
    volume = cell_volume(cell)
    inverse = 1.0 / volume
    direct = np.empty((3, 3))
    for axis in range(3):
        cross = _cross(reciprocal[(axis + 1) % 3], reciprocal[(axis + 2) % 3])
        direct[axis] = 1.0 / inverse * (cell[axis] / volume / _length(cross) * cross)
    return direct, _again(direct, inverse)


def free_lengths(reciprocal: Array) -> tuple[Array, Array]:
    """Direct vectors [Å] of a*, b*, c*, rows of [3, 3], and the reciprocal ones made again."""
    cross = [_cross(reciprocal[(i + 1) % 3], reciprocal[(i + 2) % 3]) for i in range(3)]
    x, y, z = (float(a * b) for a, b in zip(reciprocal[0], cross[0], strict=True))
    inverse = x + y + z
    direct = np.stack([1.0 / inverse * vector for vector in cross])
    return direct, _again(direct, inverse)


def without_wavelength(matrix: Array, wavelength_A: float) -> Array:
    """Divide the wavelength [Å] out of a MOSFLM matrix [3, 3] as nanoBragg does."""
    return np.asarray(1e-10 / (wavelength_A / 1e10) * matrix)


def _again(direct: Array, inverse: float) -> Array:
    """Reciprocal vectors [Å⁻¹] of direct ones [Å], rows of [3, 3]; ``inverse`` is 1/volume."""
    again = [inverse * _cross(direct[(i + 1) % 3], direct[(i + 2) % 3]) for i in range(3)]
    return np.stack(again)


def lengths_in_metres(vectors: Array) -> list[float]:
    """Lengths [m] of vectors in Å, the rows of [n, 3]."""
    return [_length(1e-10 * vector) for vector in vectors]


def _length(v: Array) -> float:
    x, y, z = (float(component) for component in v)
    return math.sqrt(x * x + y * y + z * z)


def _cross(u: Array, v: Array) -> Array:
    return np.array(
        [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
    )
