"""Orientations that are close to each other, and sources that share a direction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiledsim.reach.once import once
from tiledsim.scene import Scene
from tiledsim.vectors import Array

Index = NDArray[np.int64]

_LIMITS_RAD = (4.0, 0.3, 0.1, 0.03, 0.01, 0.003)
_OVERHEAD_RAD = 0.05
"""What a group costs beside its candidates, as an angle by which each member would be further."""


@dataclass(frozen=True)
class Groups:
    """Orientations in groups of neighbours in the table."""

    first: Index
    """Where each group starts, and the end of the last [G + 1]."""
    tilt: Array
    """Largest angle [G] of a member from the first of its group [rad]."""


@once
def group_orientations(scene: Scene) -> Groups:
    """Group the orientations of a scene, so that little is looked for in vain.

    Depends on nothing but the scene: the order of a pixel's sum follows from it.
    """
    best: Groups | None = None
    lowest = np.inf
    for limit in _LIMITS_RAD:
        if best is not None and best.tilt.max() <= limit:
            continue  # the same groups
        groups = _within(scene.rotations, scene.domain_mix, limit, most=lowest / _OVERHEAD_RAD)
        if groups is None:
            break
        sizes = np.diff(groups.first)
        cost = float((sizes * groups.tilt).sum()) + _OVERHEAD_RAD * len(sizes)
        if cost < lowest:
            best, lowest = groups, cost
    assert best is not None
    return best


def _within(rotations: Array, mix: Array | None, limit: float, most: float) -> Groups | None:
    """Groups of at most ``limit`` rad; None where they are more than ``most``.

    The angle between two orientations is at most that of their rotations and that of their domains,
    together, whatever the crystal's own orientation.
    """
    starts: list[int] = [0]
    tilts: list[float] = []
    while starts[-1] < len(rotations):
        if len(tilts) > most:
            return None
        start = starts[-1]
        portion = slice(start, start + 4096)
        angle = _angle(np.einsum("ij,mij->m", rotations[start], rotations[portion]))
        if mix is not None:
            angle += _angle(np.einsum("mij,ji->m", mix[portion], np.linalg.inv(mix[start])))
        far = np.flatnonzero(angle > limit)
        size = int(far[0]) if len(far) else len(angle)
        # arccos loses half of the digits near 0, and matrices are rotations to 1e-6.
        tilts.append(float(angle[:size].max()) + 3e-6 if size > 1 else 0.0)
        starts.append(start + size)
    return Groups(np.array(starts, dtype=np.int64), np.array(tilts))


def _angle(trace: Array) -> Array:
    """Angles of rotations: the trace of R₁ᵀR₂, and of what is similar to it, is 1 + 2 cos."""
    return np.asarray(np.arccos(np.clip((trace - 1.0) / 2.0, -1.0, 1.0)))


@dataclass(frozen=True)
class Bundles:
    """Sources that follow each other and share a direction, shortest wave number first."""

    first: Index
    """Where each bundle starts in ``source``, and the end of the last [B + 1]."""
    source: Index
    """Numbers of the sources [S], those of a bundle by growing wave number."""
    wave_number: Array
    """1/λ [S] in 1/m, in the order of ``source``."""
    weight: Array
    """Relative weights [S], in the order of ``source``."""


@once
def bundle_sources(scene: Scene) -> Bundles:
    """Bundle the sources of a scene."""
    incident = np.asarray(scene.incident)
    turns = np.flatnonzero((incident[1:] != incident[:-1]).any(axis=1)) + 1
    first = np.concatenate([[0], turns, [len(incident)]]).astype(np.int64)
    wave_number = 1.0 / np.asarray(scene.wavelength)
    bundle = np.repeat(np.arange(len(first) - 1), np.diff(first))
    order = np.lexsort((wave_number, bundle)).astype(np.int64)
    return Bundles(first, order, wave_number[order], np.asarray(scene.weight)[order])
