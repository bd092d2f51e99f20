"""Where on a panel a reflection can be seen: the subpixels that one spot may reach.

Around the spot's centre u, the offset from the reflection, is linear in the subpixel but for a
remainder that is bounded: the region is the ellipse |u + J·(f, s)| ≤ reach + remainder.  It may
hold subpixels that the reflection does not reach; it never leaves one out.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit

Array = NDArray[np.float64]

ORIGIN, FAST, SLOW, NORMAL, STEP, AREA, DEPTH, ATTENUATION = 0, 3, 6, 9, 12, 13, 14, 15
"""Places of a panel's numbers in one array of 16: four vectors, the first in m, then the edge of a
subpixel, its area times the close distance (1 for point pixels), the distance of layers, μ·that."""

DIRECT, STAR, PROJECT = 0, 9, 18
"""Places of the matrices (a b c), (a* b* c*) and Gᵀ·(a b c) of an orientation in an array of 27."""

V, BEAM, K, DK, AWAY, THETA, REACH, LIMIT, STRENGTH, HKL = 0, 3, 6, 7, 8, 9, 10, 11, 12, 13
MEMBER, SOURCE, START, STOP, LAYER, LONE = 16, 17, 18, 19, 20, 21
"""Places of what is known of a spot in its row of a list: unit vectors to its centre and along the
beam; wave number, half of the range of wave numbers and |g + k·i| − k in 1/m; the chord around the
centre in which all of it is; the largest |u| and its square; F²·F_latt² on the reflection times the
scale; h, k, l; numbers of the orientation, the source, its first wavelength and the one after its
last, the layer; whether no other reflection is nearer anywhere in its reach."""
AREA_OF, CENTRE, U, ALONG_FAST, ALONG_SLOW, NARROW, PER, WIDE = 22, 26, 28, 31, 34, 37, 38, 39
"""And of what :func:`locate` finds: first and end along fast, then slow; the centre (fast, slow); u
there; the columns of J; |J's first column|² and 1 over it, 0 where rows are not narrowed; the
largest |u + J·(f, s)|²."""
SPOT = 40

ROUNDING_PX = 1e-6


@jit
def product(o: Array, m: int, at: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Multiply one of the matrices of an orientation with a vector."""
    return (
        o[m, at] * x + o[m, at + 1] * y + o[m, at + 2] * z,
        o[m, at + 3] * x + o[m, at + 4] * y + o[m, at + 5] * z,
        o[m, at + 6] * x + o[m, at + 7] * y + o[m, at + 8] * z,
    )


@jit
def note(
    spots: Array, i: int, vx: float, vy: float, vz: float, ix: float, iy: float, iz: float,
    k: float, dk: float, away: float, theta: float, reach: float, limit: float, strength: float,
    h: float, k_index: float, l: float, m: int, s: int, start: int, stop: int, layer: int,
    lone: bool,
) -> None:  # fmt: skip
    """Write what is known of a spot into row ``i`` of a list."""
    spots[i, V], spots[i, V + 1], spots[i, V + 2] = vx, vy, vz
    spots[i, BEAM], spots[i, BEAM + 1], spots[i, BEAM + 2] = ix, iy, iz
    spots[i, K], spots[i, DK], spots[i, AWAY], spots[i, THETA] = k, dk, away, theta
    spots[i, REACH], spots[i, LIMIT], spots[i, STRENGTH] = reach, limit, strength
    spots[i, HKL], spots[i, HKL + 1], spots[i, HKL + 2] = h, k_index, l
    spots[i, MEMBER], spots[i, SOURCE] = m, s
    spots[i, START], spots[i, STOP] = start, stop
    spots[i, LAYER], spots[i, LONE] = layer, 1.0 if lone else 0.0


@jit
def locate(
    spots: Array, count: int, panel: Array, o: Array, stretch: float, bounds: NDArray[np.int64]
) -> None:
    """Find the subpixels of a tile that each spot may reach; none are an empty range.

    Parameters
    ----------
    spots : [≥ count, SPOT]
        See ``V`` for what is read and ``AREA_OF`` for what is written.
    panel, o :
        See ``ORIGIN`` and ``DIRECT``.
    stretch : float
        Longest |u| of a unit vector of reciprocal space [m].
    bounds : [4]
        First and end of the tile's subpixels along fast, then slow.
    """
    fx, fy, fz = panel[FAST], panel[FAST + 1], panel[FAST + 2]
    sx, sy, sz = panel[SLOW], panel[SLOW + 1], panel[SLOW + 2]
    nx, ny, nz = panel[NORMAL], panel[NORMAL + 1], panel[NORMAL + 2]
    step, deep = panel[STEP], panel[DEPTH]
    per_step = 1.0 / step
    for i in range(count):
        vx, vy, vz = spots[i, V], spots[i, V + 1], spots[i, V + 2]
        theta = spots[i, THETA]
        layer = spots[i, LAYER] * deep
        ox = panel[ORIGIN] + layer * nx
        oy = panel[ORIGIN + 1] + layer * ny
        oz = panel[ORIGIN + 2] + layer * nz
        gap = ox * nx + oy * ny + oz * nz
        facing = vx * nx + vy * ny + vz * nz
        if gap < 0.0:
            gap, facing = -gap, -facing
        for j in range(4):
            spots[i, AREA_OF + j] = bounds[j]
        spots[i, NARROW] = 0.0
        if facing <= -1.05 * theta:
            spots[i, AREA_OF + 3] = spots[i, AREA_OF + 2]
            continue
        free = facing - 1.1 * theta - theta * theta
        if free <= 0.0:
            continue  # grazing: anywhere
        inverse = 1.0 / (facing * free)
        r = gap * free * inverse
        # Distance on the panel from the centre of all that is within theta, over r.
        eps = theta * (1.0 + theta * theta) * facing * inverse
        if eps > 0.25:
            continue
        x, y, z = r * vx - ox, r * vy - oy, r * vz - oz
        centre_f = (x * fx + y * fy + z * fz) * per_step - 0.5
        centre_s = (x * sx + y * sy + z * sz) * per_step - 0.5
        # Axes are at right angles to 1e-3.
        far = eps * r * per_step * 1.01 + ROUNDING_PX
        f0 = max(np.float64(bounds[0]), np.ceil(centre_f - far))
        f1 = min(np.float64(bounds[1]), np.floor(centre_f + far) + 1.0)
        s0 = max(np.float64(bounds[2]), np.ceil(centre_s - far))
        s1 = min(np.float64(bounds[3]), np.floor(centre_s + far) + 1.0)
        if f0 >= f1 or s0 >= s1:
            spots[i, AREA_OF + 3] = spots[i, AREA_OF + 2]
            continue
        spots[i, AREA_OF], spots[i, AREA_OF + 1] = f0, f1
        spots[i, AREA_OF + 2], spots[i, AREA_OF + 3] = s0, s1
        # d(r·v + Δ) = v + Δ⊥/r + at most 1.65·(Δ/r)² where Δ/r ≤ ¼; and k changes by dk.
        k, dk, away, reach = spots[i, K], spots[i, DK], spots[i, AWAY], spots[i, REACH]
        m = int(spots[i, MEMBER])
        wide = reach + stretch * (1.65 * k * eps * eps + dk * eps) + 1e-7
        wx, wy, wz = product(o, m, PROJECT, vx, vy, vz)
        ux, uy, uz = -away * wx, -away * wy, -away * wz
        scale = k * step / r
        t = vx * fx + vy * fy + vz * fz
        ax, ay, az = product(
            o, m, PROJECT, scale * (fx - t * vx), scale * (fy - t * vy), scale * (fz - t * vz)
        )
        t = vx * sx + vy * sy + vz * sz
        bx, by, bz = product(
            o, m, PROJECT, scale * (sx - t * vx), scale * (sy - t * vy), scale * (sz - t * vz)
        )
        if dk > 0.0:
            # ∂u/∂k: a small change widens the ellipse, along a large one u does not count.
            cx, cy, cz = product(
                o, m, PROJECT, vx - spots[i, BEAM], vy - spots[i, BEAM + 1], vz - spots[i, BEAM + 2]
            )
            c2 = cx * cx + cy * cy + cz * cz
            moved = math.sqrt(c2) * dk
            if moved <= 0.1 * reach:
                wide += moved
            else:
                t = (ux * cx + uy * cy + uz * cz) / c2
                ux, uy, uz = ux - t * cx, uy - t * cy, uz - t * cz
                t = (ax * cx + ay * cy + az * cz) / c2
                ax, ay, az = ax - t * cx, ay - t * cy, az - t * cz
                t = (bx * cx + by * cy + bz * cz) / c2
                bx, by, bz = bx - t * cx, by - t * cy, bz - t * cz
        wide *= wide * (1.0 + 1e-9)
        spots[i, CENTRE], spots[i, CENTRE + 1] = centre_f, centre_s
        spots[i, U], spots[i, U + 1], spots[i, U + 2] = ux, uy, uz
        spots[i, ALONG_FAST], spots[i, ALONG_FAST + 1], spots[i, ALONG_FAST + 2] = ax, ay, az
        spots[i, ALONG_SLOW], spots[i, ALONG_SLOW + 1], spots[i, ALONG_SLOW + 2] = bx, by, bz
        spots[i, WIDE] = wide
        a2 = ax * ax + ay * ay + az * az
        if a2 * far * far > 1e-6 * wide:
            spots[i, NARROW], spots[i, PER] = a2, 1.0 / a2
