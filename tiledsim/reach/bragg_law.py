"""Where reflections meet the Ewald sphere, and where their rays meet the panels: Bragg's law."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiledsim.vectors import Array


@dataclass(frozen=True)
class Crossings:
    """Reflections on the Ewald sphere, n of them."""

    row: NDArray[np.int64]
    """Which of the reflections that were given [n]."""
    angle: Array
    """Angle of the spindle [rad]; 0 for a still [n]."""
    diffracted: Array
    """Wave vector s1 [n, 3]."""
    crossing: Array
    """How fast the reflection passes through the sphere, per radian [n], in the unit of s1;
    positive where it enters.  Of a still, how far it is from the sphere."""


def rotation_crossings(s0: Array, spindle: Array, q: Array, start: float, stop: float) -> Crossings:
    """Find where a turning crystal's reflections cross the sphere.

    |s0 + R(φ)q| = |s0| is a·cos φ + b·sin φ = c, with two solutions or none (Arndt & Wonacott,
    The Rotation Method in Crystallography, 1977, chapter 7).

    Parameters
    ----------
    s0 : [3]
        Wave vector of the beam, of length 1/λ.
    spindle : [3]
        Unit vector of the axis.
    q : [n, 3]
        Reciprocal lattice points at φ = 0.
    start, stop : float
        Range of φ [rad].
    """
    along = q @ spindle
    sideways = np.cross(spindle, q)
    a = q @ s0 - along * float(spindle @ s0)
    b = sideways @ s0
    c = -0.5 * (q**2).sum(axis=1) - along * float(spindle @ s0)
    size = np.hypot(a, b)
    reached = np.flatnonzero((size > 0) & (np.abs(c) <= size))
    middle = np.arctan2(b[reached], a[reached])
    half = np.arccos(c[reached] / size[reached])
    rows, angles = [], []
    turns = int(np.ceil((stop - start) / (2 * np.pi)))
    for sign in (-1.0, 1.0):
        first = start + np.mod(middle + sign * half - start, 2 * np.pi)
        for turn in range(turns):
            angle = first + 2 * np.pi * turn
            inside = angle < stop
            rows.append(reached[inside])
            angles.append(angle[inside])
    row, angle = np.concatenate(rows), np.concatenate(angles)
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    on_axis = (along[row])[:, None] * spindle
    turned = on_axis + (q[row] - on_axis) * cosine + sideways[row] * sine
    diffracted = s0 + turned
    speed = np.cross(spindle, turned)
    outward = (speed * diffracted).sum(axis=1) / np.linalg.norm(diffracted, axis=1)
    order = np.argsort(angle, kind="stable")
    return Crossings(row[order], angle[order], diffracted[order], -outward[order])


def still_crossings(s0: Array, q: Array, reach: Array) -> Crossings:
    """Find reflections of a still within ``reach`` [n] of the sphere.

    The ray is that towards the reciprocal lattice point, drawn to the sphere along itself.
    """
    out = s0 + q
    length = np.linalg.norm(out, axis=1)
    radius = float(np.linalg.norm(s0))
    distance = length - radius
    row = np.flatnonzero((np.abs(distance) <= reach) & (length > 0))
    diffracted = out[row] / length[row][:, None] * radius
    return Crossings(row, np.zeros(len(row)), diffracted, -distance[row])


def meet_panel(rays: Array, origin: Array, fast: Array, slow: Array) -> tuple[Array, Array]:
    """Return where rays [n, 3] meet a panel, along fast and slow from its origin; NaN for none."""
    normal = np.cross(fast, slow)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = float(origin @ normal) / (rays @ normal)
        scale = np.where(scale > 0, scale, np.nan)
        point = rays * scale[:, None] - origin
    skew = float(fast @ slow)  # axes of refined geometries are not quite at right angles
    f, s = point @ fast, point @ slow
    return np.asarray((f - skew * s) / (1 - skew**2)), np.asarray((s - skew * f) / (1 - skew**2))
