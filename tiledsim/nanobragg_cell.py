"""The cell as nanoBragg computes it (quirk cell_cstar), operation by operation.

A size that is a whole number of cells becomes that number or one more by the last bit of a length,
and nanoBragg's image depends on which.  So the order of its operations is kept here, in plain
floats, and angles are divided by 180/π as it divides them.
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


def forced_cell(cell: Sequence[float], misset: Triple) -> tuple[Array, float]:
    """Return direct vectors a, b, c as rows [3, 3] in Å, and the volume in Å³.

    ``cell`` holds lengths [Å] and angles [deg], ``misset`` angles [rad] about x, then y, then z.
    c*_z is c*·V/(abc·sin γ*), and the lengths of the user are forced upon the cross products of the
    reciprocal vectors.
    """
    a, b, c = cell[:3]
    alpha, beta, gamma = (radians(angle) for angle in cell[3:])
    half = (alpha + beta + gamma) / 2
    skew = math.sin(half) * math.sin(half - alpha) * math.sin(half - beta) * math.sin(half - gamma)
    volume = 2.0 * a * b * c * math.sqrt(abs(skew))
    inverse = 1.0 / volume
    a_star = b * c * math.sin(alpha) * inverse
    b_star = c * a * math.sin(beta) * inverse
    c_star = a * b * math.sin(gamma) * inverse
    cos = [math.cos(angle) for angle in (alpha, beta, gamma)]
    sin = [math.sin(angle) for angle in (alpha, beta, gamma)]
    cos_alpha = (cos[1] * cos[2] - cos[0]) / (sin[1] * sin[2])
    cos_beta = (cos[2] * cos[0] - cos[1]) / (sin[2] * sin[0])
    cos_gamma = (cos[0] * cos[1] - cos[2]) / (sin[0] * sin[1])
    sin_gamma = min(c * inverse / a_star / b_star, 1.0)
    reciprocal = [
        _turned((a_star, 0.0, 0.0), misset),
        _turned((b_star * cos_gamma, b_star * sin_gamma, 0.0), misset),
        _turned(
            (
                c_star * cos_beta,
                c_star * (cos_alpha - cos_beta * cos_gamma) / sin_gamma,
                c_star * volume / (a * b * c * sin_gamma),
            ),
            misset,
        ),
    ]
    volume_again = 1.0 / inverse
    direct = []
    for axis, length in enumerate((a, b, c)):
        cross = _cross(reciprocal[(axis + 1) % 3], reciprocal[(axis + 2) % 3])
        forced = length / volume / _length(cross)
        direct.append([volume_again * (forced * component) for component in cross])
    return np.array(direct), volume


def length_in_metres(vector: Array) -> float:
    """Length [m] of a vector [3] in Å, rounded as nanoBragg rounds it."""
    x, y, z = (1e-10 * float(component) for component in vector)
    return _length((x, y, z))


def _length(v: Triple) -> float:
    return math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])


def _cross(u: Triple, v: Triple) -> Triple:
    return (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])


def _turned(v: Triple, angles: Triple) -> Triple:
    """Rotate a vector about x, then y, then z; an angle of 0 is left out."""
    x, y, z = v
    sin, cos = [math.sin(angle) for angle in angles], [math.cos(angle) for angle in angles]
    if angles[0] != 0.0:
        y, z = y * cos[0] - z * sin[0], y * sin[0] + z * cos[0]
    if angles[1] != 0.0:
        x, z = x * cos[1] + z * sin[1], z * cos[1] - x * sin[1]
    if angles[2] != 0.0:
        x, y = x * cos[2] - y * sin[2], x * sin[2] + y * cos[2]
    return x, y, z
