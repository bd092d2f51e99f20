"""The resolution that a detector reaches, from its corners and edges."""

import math

import numpy as np

from tiledsim.experiment import Detector
from tiledsim.scene.detector.geometry import Geometry
from tiledsim.units import ANGSTROM, MM
from tiledsim.vectors import Array


def _chords(geometry: Geometry, detector: Detector, panel: int, where: Array) -> Array:
    """|d − i| of points [n, 2] of a panel, given in parts of its fast and slow sides."""
    fast, slow = detector.size_px
    across, down = (side / MM for side in detector.pixel_sides_mm[panel])
    points = (
        geometry.origin[panel]
        + where[:, :1] * fast * across * geometry.fast[panel]
        + where[:, 1:] * slow * down * geometry.slow[panel]
    )
    directions = points / np.linalg.norm(points, axis=1)[:, None]
    return np.asarray(np.linalg.norm(directions - geometry.beam, axis=1))


def corner_resolution_A(
    geometry: Geometry, detector: Detector, wavelength_m: float, panel: int
) -> float:
    """Smallest d-spacing [Å] at the corners of a panel."""
    corners = np.array([[f, s] for f in (0.0, 1.0) for s in (0.0, 1.0)])
    chord = float(_chords(geometry, detector, panel, corners).max())
    return wavelength_m * ANGSTROM / chord if chord > 0 else math.inf


def edge_resolution_A(
    geometry: Geometry, detector: Detector, wavelength_m: float, panel: int
) -> float:
    """Largest d-spacing [Å] on the edges of a panel: where its nearest edge is to the beam."""
    along = np.linspace(0.0, 1.0, 201)
    flat = np.zeros_like(along)
    edges = np.concatenate([
        np.stack(pair, axis=1)
        for pair in ((along, flat), (along, flat + 1), (flat, along), (flat + 1, along))
    ])  # fmt: skip
    chord = float(_chords(geometry, detector, panel, edges).min())
    return wavelength_m * ANGSTROM / chord if chord > 0 else math.inf


def detector_dmin_A(
    geometry: Geometry, detector: Detector, wavelength_m: float, reciprocal_A: Array
) -> float:
    """Smallest d-spacing [Å] whose reflections can be the nearest to a ray to any panel.

    That is the finest corner's, and half a reciprocal cell beyond it; at the least λ/2.
    """
    panels = range(len(geometry.origin))
    best = min(corner_resolution_A(geometry, detector, wavelength_m, panel) for panel in panels)
    beyond = 0.5 * float(np.sqrt((reciprocal_A**2).sum(axis=1)).max())
    finest = wavelength_m * ANGSTROM / 2.0
    return max(finest, 1.0 / (1.0 / best + beyond))


def fine_oversampling(
    direct_m: Array,
    cell_counts: tuple[int, int, int],
    distance_m: float,
    pixel_m: float,
    wavelength_m: float,
) -> int:
    """ceil(3·(largest side of a block)·pixel/(λ·distance)), at least 1; direct vectors [3, 3]."""
    sides = np.sqrt((direct_m**2).sum(1)) * cell_counts
    reciprocal_pixel = wavelength_m * distance_m / pixel_m
    if reciprocal_pixel == 0.0:  # the sample in the detector's plane, which only c-parity renders
        return 1
    return max(1, math.ceil(3.0 * float(sides.max()) / reciprocal_pixel))
