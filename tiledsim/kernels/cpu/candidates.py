"""Reflections that some orientation of a group and some source can bring onto a tile."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit

Array = NDArray[np.float64]


class Illumination(NamedTuple):
    """All sources together."""

    mean: Array
    """Direction [3] from which no ray differs by more than ``spread``, as a chord."""
    spread: float
    lowest: float
    """Smallest and largest wave number in 1/m."""
    highest: float


class Cone(NamedTuple):
    """Directions from the sample: all those within a chord of an axis."""

    x: float
    y: float
    z: float
    opening: float


@jit
def largest_scattering(light: Illumination, cone: Cone, radius: float) -> float:
    """Upper bound of |g| [1/m] of what reaches the cone, ``radius`` [1/m] around a reflection."""
    x, y, z = cone.x - light.mean[0], cone.y - light.mean[1], cone.z - light.mean[2]
    chord = math.sqrt(x * x + y * y + z * z) + cone.opening + light.spread
    return light.highest * min(chord, 2.0) * 1.0001 + radius


@jit
def candidates_of_plane(
    h: int,
    most_k: int,
    most_l: int,
    star: Array,
    tilt: float,
    light: Illumination,
    cone: Cone,
    radius: float,
    largest: float,
    found: Array,
) -> int:
    """List the reflections of a plane of one h, by k and then l, and return their number.

    Parameters
    ----------
    most_k, most_l : int
        Largest indices that |g| ≤ ``largest`` [1/m] allows.
    star : [3, 3] in 1/m
        a*, b*, c* as rows, of an orientation from which the others are ``tilt`` rad away at most.
    radius : float
        Of a reflection, in 1/m.
    found : [(2·most_k + 1)·(2·most_l + 1), 3]
        Where h, k, l are written.

    A reflection reaches the Ewald sphere of k where |g·i + g²/2k| ≤ radius + radius²/2k.
    """
    ax, ay, az = h * star[0, 0], h * star[0, 1], h * star[0, 2]
    bx, by, bz = star[1, 0], star[1, 1], star[1, 2]
    cx, cy, cz = star[2, 0], star[2, 1], star[2, 2]
    ix, iy, iz = light.mean[0], light.mean[1], light.mean[2]
    low, high = light.lowest, light.highest
    middle, half_band = 0.5 * (low + high), 0.5 * (high - low)
    near = (radius + radius * radius / (2.0 * low)) * 1.000001
    loose = (tilt + light.spread) * 1.000001
    slack = largest * loose + near
    spot = cone.opening + 1.2 * radius / low
    cc = cx * cx + cy * cy + cz * cz
    ci = cx * ix + cy * iy + cz * iz
    count = 0
    for k in range(-most_k, most_k + 1):
        gx, gy, gz = ax + k * bx, ay + k * by, az + k * bz
        gg = gx * gx + gy * gy + gz * gz
        gc = gx * cx + gy * cy + gz * cz
        gi = gx * ix + gy * iy + gz * iz
        # Below the outer edge of the shell: l²·cc/2 + l·(gc + k·ci) + gg/2 + k·(gi − slack) ≤ 0.
        half = gc + high * ci
        root = half * half - cc * (gg + 2.0 * high * (gi - slack))
        if root < 0.0:
            continue
        root = math.sqrt(root) / cc
        first = max(math.ceil(-half / cc - root - 1e-6), -float(most_l))
        last = min(math.floor(-half / cc + root + 1e-6), float(most_l))
        # Not below its inner edge, which is crossed twice or not at all.
        half = gc + low * ci
        root = half * half - cc * (gg + 2.0 * low * (gi + slack))
        root = math.sqrt(root) / cc if root > 0.0 else 0.0
        leave = math.floor(-half / cc - root + 1e-6)
        again = math.ceil(-half / cc + root - 1e-6)
        l = first
        while l <= last:
            if leave < l < again:
                l = again
                continue
            x, y, z = gx + l * cx, gy + l * cy, gz + l * cz
            g2 = x * x + y * y + z * z
            g = math.sqrt(g2)
            along = x * ix + y * iy + z * iz
            own = g * loose + near
            reaches = along + g2 / (2.0 * high) <= own and along + g2 / (2.0 * low) >= -own
            if reaches and g <= largest:
                x, y, z = x + middle * ix, y + middle * iy, z + middle * iz
                v = math.sqrt(x * x + y * y + z * z)
                wander = 2.0 * (g * tilt + high * light.spread + half_band)
                ux, uy, uz = x - v * cone.x, y - v * cone.y, z - v * cone.z
                if math.sqrt(ux * ux + uy * uy + uz * uz) <= spot * v + wander:
                    found[count, 0], found[count, 1], found[count, 2] = h, k, l
                    count += 1
            l += 1.0
    return count
