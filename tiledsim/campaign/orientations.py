"""Rotations of shots as unit quaternions (w, x, y, z), and from and to matrices."""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.lattice_model import LatticeModel
from tiledsim.campaign.row_deviates import row_normals, row_uniforms
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Shots
from tiledsim.scene.crystal.random import shoemake, uniform_quaternions

Array = NDArray[np.float64]


def drawn_turns(shots: Shots, count: int, first: int = 0) -> Array | None:
    """Return the quaternions [count, 4] that ``shots.orientation`` draws for the rows from
    ``first`` on, a multiple of 4; None for the same.

    ``random``: uniform over SO(3).  ``about_axis``: about ``axis`` of the laboratory by a uniform
    angle.  ``spread``: a rotation vector whose three
    components are normal with the standard deviation ``spread_deg``.
    """
    if shots.orientation == "same":
        return None
    if shots.orientation == "random":
        return uniform_quaternions(shots.seed, count, first)
    model = lattice_model(shots)
    if shots.orientation == "about_axis":
        return _about_axis(model, row_uniforms(shots.seed, "orientation", first, count)[:, 0])
    return _spread(model, row_normals(shots.seed, "orientation", first, count, 3))


def lattice_model(shots: Shots) -> LatticeModel:
    """Return what further crystals of a shot are drawn from: as the first, where it is drawn, else
    uniformly.
    """
    orientation = "random" if shots.orientation == "same" else shots.orientation
    low, high = (math.radians(angle) for angle in shots.range_deg)
    axis = (0.0, 0.0, 1.0) if shots.axis is None else shots.axis
    spread = math.radians(shots.spread_deg or 0.0)
    return LatticeModel(orientation, shots.seed, axis, low, high, spread)


def lattice_turns(model: LatticeModel, shot: int, count: int) -> Array:
    """Return the quaternions [count, 4] of the second and further crystals of a shot."""
    draw = row_normals if model.orientation == "spread" else row_uniforms
    drawn = draw(model.seed, "lattices", shot, 1, 3 * count).reshape(count, 3)
    if model.orientation == "about_axis":
        return _about_axis(model, drawn[:, 0])
    return _spread(model, drawn) if model.orientation == "spread" else shoemake(drawn)


def _about_axis(model: LatticeModel, uniforms: Array) -> Array:
    axis = np.array(model.axis, dtype=np.float64)
    angle = model.low_rad + (model.high_rad - model.low_rad) * uniforms
    return _about(np.broadcast_to(axis / np.linalg.norm(axis), (len(angle), 3)), angle)


def _spread(model: LatticeModel, normals: Array) -> Array:
    vectors = model.spread_rad * normals
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


def matrix_turns(matrices: Array, first: int = 0) -> Array:
    """Return the quaternions [n, 4] of rotation matrices [n, 3, 3] in the rows from ``first`` on.

    Raises ExperimentError, naming the row, for what is not a rotation to 1e-6.
    """
    error = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = ~(error < 1e-6) | ~(np.linalg.det(matrices) > 0)
    if wrong.any():
        raise ExperimentError(
            f"[shots] U_11 … U_33 in row {first + int(wrong.argmax())} are no rotation matrix "
            "(to 1e-6)"
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
