"""Where the strongest reflections of an image fall, without rendering it.

A reflection whose point comes within a few spot widths of the Ewald sphere, for some source and
orientation, or passes through it from one φ step to the next, is placed where it is nearest.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.reach.panels import meet_panels
from tiledsim.scene import Scene
from tiledsim.units import ANGSTROM
from tiledsim.vectors import Array

MOST_PAIRS: Final = 48
"""Orientations and sources that are looked at, an even selection."""
WIDTHS: Final = 1.5
"""A reflection this far from the sphere, in widths of its own profile, is the last that counts."""
_AT_ONCE: Final = 500_000


@dataclass(frozen=True)
class PredictedSpots:
    """Reflections on the detector [n], the strongest first."""

    hkl: NDArray[np.int64]
    """[n, 3]."""
    panel: NDArray[np.int64]
    slow: Array
    fast: Array
    """Pixels [n], counted from the outer corner of pixel 0,0: its centre is at 0.5."""
    strength: Array
    """F² times the share of the profile that is excited, in units that only compare."""


def predict_spots(
    scene: Scene, shot: int, *, dmin_A: float, most: int | None = None
) -> PredictedSpots:
    """Predict the spots of a shot to a resolution; ``most`` keeps the strongest.

    On a curved detector none is predicted: rays meet panels as planes here.
    """
    found: list[tuple[Array, ...]] = []
    if not scene.curved:
        pairs = _pairs(scene)
        table = scene.orientation_table(shot)
        inverse: Array = np.asarray(np.linalg.inv(table), dtype=np.float64)
        volume = float(abs(np.linalg.det(scene.cells[shot])))
        thickness = (scene.cells_in_block * volume) ** (1.0 / 3.0)
        found = [
            _excited(scene, hkl, pairs, inverse, thickness)
            for hkl in _candidates(scene, shot, dmin_A)
        ]
    if not found:
        none = np.zeros(0)
        return PredictedSpots(np.zeros((0, 3), np.int64), none.astype(np.int64), none, none, none)
    hkl, direction, strength = (np.concatenate(parts) for parts in zip(*found, strict=True))
    panel, slow, fast = meet_panels(scene, direction, seen=True)
    keep = np.flatnonzero(panel >= 0)
    keep = keep[np.argsort(-strength[keep], kind="stable")][:most]
    return PredictedSpots(
        hkl[keep].astype(np.int64), panel[keep], slow[keep], fast[keep], strength[keep]
    )


def _pairs(scene: Scene) -> list[tuple[int, int]]:
    """Choose orientations and sources: φ steps first, since spots pass through between them."""
    domains = scene.orientations // len(scene.phi)
    steps = np.unique(np.linspace(0, len(scene.phi) - 1, MOST_PAIRS).astype(int))
    room = max(1, MOST_PAIRS // len(steps))
    mosaic = np.unique(np.linspace(0, domains - 1, room).astype(int))
    room = max(1, room // len(mosaic))
    sources = np.unique(np.linspace(0, scene.sources - 1, room).astype(int))
    return [(int(step * domains + m), int(s)) for m in mosaic for s in sources for step in steps]


def _candidates(scene: Scene, shot: int, dmin_A: float) -> "list[NDArray[np.int64]]":
    """Return reflections with a structure factor, to a resolution, in portions [n, 3]."""
    lengths = np.sqrt((scene.cells[shot] ** 2).sum(axis=1)) * ANGSTROM
    reach = np.floor(lengths / dmin_A).astype(int)
    low = -reach
    high = reach
    if scene.default_F == 0.0:
        box = np.array(scene.F_table.shape) - 2
        first = np.array(scene.hkl_lowest)
        low, high = np.maximum(low, first), np.minimum(high, first + box - 1)
    if (high < low).any():
        return []
    k, l = (np.arange(low[i], high[i] + 1) for i in (1, 2))
    planes = max(1, _AT_ONCE // (len(k) * len(l)))
    portions = []
    for start in range(int(low[0]), int(high[0]) + 1, planes):
        h = np.arange(start, min(start + planes, int(high[0]) + 1))
        hkl = np.stack(np.meshgrid(h, k, l, indexing="ij"), axis=-1).reshape(-1, 3)
        inverse_d = np.sqrt(((hkl @ scene.reciprocal_A[shot]) ** 2).sum(axis=1))
        hkl = hkl[(inverse_d > 0) & (inverse_d <= 1.0 / dmin_A)]
        hkl = hkl[structure_factors(scene, hkl) != 0.0]
        if len(hkl):
            portions.append(hkl)
    return portions


def structure_factors(scene: Scene, hkl: NDArray[np.int64]) -> Array:
    """Return |F| of whole Miller indices [n, 3], as the kernels look them up."""
    if scene.uniform_F:
        return np.full(len(hkl), scene.default_F)
    edge = np.array(scene.F_table.shape) - 1
    place = np.clip(hkl - np.array(scene.hkl_lowest) + 1, 0, edge)
    return np.asarray(np.abs(scene.F_table[place[:, 0], place[:, 1], place[:, 2]]))


def _excited(
    scene: Scene, hkl: NDArray[np.int64], pairs: list[tuple[int, int]], inverse: Array,
    thickness: float,
) -> tuple[Array, ...]:  # fmt: skip
    """Return those of reflections that diffract: indices, directions of their rays, strengths."""
    best = np.full(len(hkl), np.inf)
    direction = np.zeros((len(hkl), 3))
    profile = np.zeros(len(hkl))
    crosses = np.zeros(len(hkl), dtype=np.bool_)
    before: tuple[int, int] | None = None
    zeta_before = best
    for m, s in pairs:
        wavelength = float(scene.wavelength[s])
        out = hkl @ inverse[m].T + scene.incident[s] / wavelength
        size = np.sqrt((out**2).sum(axis=1))
        zeta = size - 1.0 / wavelength
        if before is not None and before[1] == s and m > before[0]:
            crosses |= np.sign(zeta) != np.sign(zeta_before)
        nearer = np.abs(zeta) < best
        best[nearer] = np.abs(zeta[nearer])
        direction[nearer] = out[nearer] / size[nearer, None]
        profile += scene.weight[s] * np.exp(-np.pi * np.minimum((zeta * thickness) ** 2, 200.0))
        before, zeta_before = (m, s), zeta
    width = 1.0 / thickness
    keep = crosses | (best <= WIDTHS * width)
    strength = structure_factors(scene, hkl[keep]) ** 2 * (profile[keep] / len(pairs) + 1e-12)
    return hkl[keep].astype(np.float64), direction[keep], strength
