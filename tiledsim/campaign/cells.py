"""Cells of many shots at once: from lengths and angles to vectors, and back."""

import numpy as np
from numpy.typing import NDArray

from tiledsim.scene.crystal.lattice import cell_of, standard_reciprocal
from tiledsim.vectors import Array


def standing(cells: Array, direct_A: Array, reciprocal_A: Array) -> Array:
    """Return a*, b*, c* as rows [n, 3, 3] of crystals that stand as one does that has another cell.

    Parameters
    ----------
    cells : [n, 6]
        Lengths [Å] and angles [deg].
    direct_A, reciprocal_A : [3, 3]
        Vectors of the crystal as it stands, in Å and Å⁻¹.

    What takes the default setting (a* along x, b* in xy) to the crystal is the same for all cells.
    """
    before = np.array([cell_of(direct_A)])
    stands = np.linalg.solve(standard_reciprocal(tuple(before[0])), reciprocal_A)
    return np.asarray(reciprocals(cells) @ stands)


def reciprocals(cells: Array) -> Array:
    """Return a*, b*, c* [n, 3, 3] in Å⁻¹ of cells [n, 6]: a* along x, b* in the plane of x and y.

    The formulas are those of :func:`tiledsim.scene.crystal.lattice.standard_reciprocal`.
    """
    a, b, c = cells[:, :3].T
    angles = np.radians(cells[:, 3:])
    (ca, cb, cg), (sa, sb, sg) = np.cos(angles).T, np.sin(angles).T
    half = angles.sum(axis=1) / 2
    skew = np.sin(half) * np.prod(np.sin(half[:, None] - angles), axis=1)
    volume = 2 * a * b * c * np.sqrt(skew)
    a_star, b_star, c_star = b * c * sa / volume, c * a * sb / volume, a * b * sg / volume
    cos_alpha = (cb * cg - ca) / (sb * sg)
    cos_beta = (cg * ca - cb) / (sg * sa)
    cos_gamma = (ca * cb - cg) / (sa * sb)
    sin_gamma = np.sqrt(1.0 - cos_gamma**2)
    made = np.zeros((len(cells), 3, 3))
    made[:, 0, 0] = a_star
    made[:, 1, 0], made[:, 1, 1] = b_star * cos_gamma, b_star * sin_gamma
    made[:, 2, 0] = c_star * cos_beta
    made[:, 2, 1] = c_star * (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    made[:, 2, 2] = 1.0 / c
    return made


def duals(vectors: Array) -> Array:
    """Return the reciprocals of triples of vectors, rows of [n, 3, 3]."""
    cross = np.stack(
        [np.cross(vectors[:, (i + 1) % 3], vectors[:, (i + 2) % 3]) for i in range(3)], axis=1
    )
    volume = np.einsum("ni,ni->n", vectors[:, 0], cross[:, 0])
    return np.asarray(cross / volume[:, None, None])


def cells_of(vectors: Array) -> Array:
    """Return lengths and angles [deg] [n, 6] of triples of vectors, rows of [n, 3, 3]."""
    lengths = np.sqrt((vectors**2).sum(axis=2))
    angles = [
        np.degrees(np.arctan2(
            np.linalg.norm(np.cross(vectors[:, i], vectors[:, j]), axis=1),
            np.einsum("ni,ni->n", vectors[:, i], vectors[:, j]),
        ))
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]  # fmt: skip
    return np.column_stack([lengths, *angles])


def turns_to(vectors: Array, stand: Array) -> NDArray[np.float64]:
    """Return the matrices R [n, 3, 3] with which vectors are those of ``stand``, rows, turned."""
    return np.asarray(np.linalg.solve(stand, vectors).transpose(0, 2, 1))
