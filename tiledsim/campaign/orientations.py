"""Rotations of shots as unit quaternions (w, x, y, z), and from and to matrices."""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.row_deviates import row_normals, row_uniforms
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Shots
from tiledsim.scene.crystal.random import uniform_quaternions

Array = NDArray[np.float64]


def drawn_turns(shots: Shots, count: int) -> Array | None:
    """Return the quaternions [count, 4] that ``shots.orientation`` draws; None for the same.

    ``random``: uniform over SO(3).  ``about_axis``: about
    ``axis`` of the laboratory by a uniform angle.  ``spread``: a rotation vector whose three
    components are normal with the standard deviation ``spread_deg``.
    """
    if shots.orientation == "same":
        return None
    if shots.orientation == "random":
        return uniform_quaternions(shots.seed, count)
    if shots.orientation == "about_axis":
        axis = np.array(shots.axis, dtype=np.float64)
        low, high = np.radians(shots.range_deg)
        angle = low + (high - low) * row_uniforms(shots.seed, "orientation", 0, count)[:, 0]
        return _about(np.broadcast_to(axis / np.linalg.norm(axis), (count, 3)), angle)
    assert shots.spread_deg is not None  # by Shots
    vectors = math.radians(shots.spread_deg) * row_normals(shots.seed, "orientation", 0, count, 3)
    angle = np.linalg.norm(vectors, axis=1)
    return _about(vectors / np.maximum(angle, 1e-300)[:, None], angle)


def _about(axes: Array, angles: Array) -> Array:
    return np.concatenate([np.cos(angles / 2)[:, None], np.sin(angles / 2)[:, None] * axes], axis=1)


def misset_turns(degrees: Array) -> Array:
    """Return the quaternions [n, 4] of rotations about x, then y, then z [n, 3] in degrees."""
    turns = np.zeros((len(degrees), 4))
    turns[:, 0] = 1.0
    for k, axis in enumerate(np.eye(3)):
        step = _about(np.broadcast_to(axis, (len(degrees), 3)), np.radians(degrees[:, k]))
        turns = _product(step, turns)
    return turns


def _product(p: Array, q: Array) -> Array:
    w = p[:, 0] * q[:, 0] - (p[:, 1:] * q[:, 1:]).sum(axis=1)
    v = p[:, :1] * q[:, 1:] + q[:, :1] * p[:, 1:] + np.cross(p[:, 1:], q[:, 1:])
    return np.concatenate([w[:, None], v], axis=1)


def matrix_turns(matrices: Array) -> Array:
    """Return the quaternions [n, 4] of rotation matrices [n, 3, 3].

    Raises ExperimentError, naming the row, for what is not a rotation to 1e-6.
    """
    error = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = ~(error < 1e-6) | ~(np.linalg.det(matrices) > 0)
    if wrong.any():
        raise ExperimentError(
            f"[shots] U_11 … U_33 in row {int(wrong.argmax())} are no rotation matrix (to 1e-6)"
        )
    m = matrices
    trace = np.trace(m, axis1=1, axis2=2)
    # Four expressions for the quaternion, each well conditioned where its own part is largest.
    candidates = np.stack([
        np.stack([1 + trace, m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0],
                  m[:, 1, 0] - m[:, 0, 1]], axis=1),
        np.stack([m[:, 2, 1] - m[:, 1, 2], 1 - trace + 2 * m[:, 0, 0], m[:, 0, 1] + m[:, 1, 0],
                  m[:, 0, 2] + m[:, 2, 0]], axis=1),
        np.stack([m[:, 0, 2] - m[:, 2, 0], m[:, 0, 1] + m[:, 1, 0], 1 - trace + 2 * m[:, 1, 1],
                  m[:, 1, 2] + m[:, 2, 1]], axis=1),
        np.stack([m[:, 1, 0] - m[:, 0, 1], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1],
                  1 - trace + 2 * m[:, 2, 2]], axis=1),
    ], axis=1)  # fmt: skip
    best = np.argmax(np.einsum("nii->ni", candidates), axis=1)
    chosen = candidates[np.arange(len(m)), best]
    return np.asarray(chosen / np.linalg.norm(chosen, axis=1)[:, None])
