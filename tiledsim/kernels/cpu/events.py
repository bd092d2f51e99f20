"""Only what scatters: each reflection is evaluated where it can be, not each pixel everywhere.

For every reflection near enough to the Ewald sphere, every orientation and every source, a region
of the panel is found that holds all subpixels which it can reach; each of them then applies the
exact test itself.  A pixel's terms are therefore those with F²·F_latt² > τ, in the order of
(group of orientations, h, k, l, orientation, direction, wavelength), whatever tile it is in.

With u = Gᵀ·(A·q − h), A the direct vectors, w = |u|² is what `gauss`, `tophat` and `round` depend
on.  Lengths in m, wave numbers in 1/m.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit
from tiledsim.kernels.cpu.candidates import (
    Cone,
    Illumination,
    candidates_of_plane,
    largest_scattering,
)
from tiledsim.kernels.cpu.parameters import Parameters
from tiledsim.kernels.cpu.spot_pixels import fill, first_above, place_of
from tiledsim.kernels.cpu.spot_region import (
    DEPTH,
    DIRECT,
    FAST,
    NORMAL,
    ORIGIN,
    SLOW,
    SPOT,
    STAR,
    STEP,
    locate,
    note,
)
from tiledsim.kernels.cpu.spot_sum import compiled_reach_squared

Array = NDArray[np.float64]
Index = NDArray[np.int64]

NEARLY, FEWER = 1.0 + 1e-9, 1.0 - 1e-9
"""For bounds that rounding could make too narrow."""
AT_ONCE = 256
"""Spots that are listed before they are evaluated."""


class Reach(NamedTuple):
    """What is known of one panel of one shot before any tile."""

    panel: Array
    """[16], see :data:`~tiledsim.kernels.cpu.spot_region.ORIGIN`."""
    matrices: Array
    """[M, 27], see :data:`~tiledsim.kernels.cpu.spot_region.DIRECT`."""
    metric: Array
    """G [3, 3]."""
    narrowest: float
    """|u| within which every index is nearest to the reflection."""
    sigma: float
    """Longest |Δq| [1/m] of a unit u."""
    stretch: float
    """Longest |u| of a unit Δq [m]."""
    group_first: Index
    group_tilt: Array
    bundle_first: Index
    source: Index
    wave_number: Array
    """[S + STRETCH] in 1/m, growing inside a bundle."""
    weight: Array
    F: Array
    """The largest F of each reflection over the wavelengths, in the order of the bordered table."""
    dispersion: Array
    """f′ and f″ of E elements for each wavelength [S, 2E]; E = 0 where F does not depend on it."""
    light: Illumination
    peak: float
    """F_latt² on a reflection."""
    radius: float
    """How far [1/m] the strongest reflection reaches."""
    tau: float


@jit
def cone_of(panel: Array, layers: int, bounds: Index) -> Cone:
    """The directions of a rectangle of subpixels, as a cone around that of its middle."""
    corners = np.empty((9, 3))
    step = panel[STEP]
    count = 0
    for layer in (0, layers - 1):
        for i in range(4):
            f = step * bounds[i % 2]
            s = step * bounds[2 + i // 2]
            for v in range(3):
                corners[count, v] = (
                    panel[ORIGIN + v]
                    + layer * panel[DEPTH] * panel[NORMAL + v]
                    + f * panel[FAST + v]
                    + s * panel[SLOW + v]
                )
            count += 1
    for v in range(3):
        corners[8, v] = 0.5 * (corners[0, v] + corners[3, v])
    for i in range(9):
        corners[i] /= math.sqrt((corners[i] * corners[i]).sum())
    opening = 0.0
    for i in range(8):
        away = corners[i] - corners[8]
        opening = max(opening, math.sqrt((away * away).sum()))
    return Cone(corners[8, 0], corners[8, 1], corners[8, 2], opening * NEARLY + 1e-7)


@jit
def evaluate(
    spots: Array, count: int, panel: Array, o: Array, metric: Array, stretch: float, p: Parameters,
    wave_number: Array, weight: Array, dispersion: Array, bounds: Index, image: Array,
    counts: Index,
) -> None:  # fmt: skip
    """Find the subpixels of listed spots and add what they scatter."""
    locate(spots, count, panel, o, stretch, bounds)
    counts[0] += fill(
        spots, count, panel, o, metric, p, wave_number, weight, dispersion, bounds, image
    )
    counts[1] += count


@jit
def render_events(
    p: Parameters, e: Reach, slow_start: int, fast_start: int, image: Array, counts: Index
) -> None:
    """Add all terms above τ to ``image`` [rows, cols], in photons.

    ``counts`` [3]: evaluated steps, regions and reflections are added to it.
    """
    rows, cols = image.shape
    n, layers = p.oversample, p.layers
    bounds = np.empty(4, dtype=np.int64)
    bounds[0], bounds[1] = fast_start * n, (fast_start + cols) * n
    bounds[2], bounds[3] = slow_start * n, (slow_start + rows) * n
    # Out of their tuples: passed on in it, all of a tuple would be copied at each call.
    panel, o, metric, sigma, stretch, tau = e.panel, e.matrices, e.metric, e.sigma, e.stretch, e.tau
    wave_number, weight, bundle_first, source = e.wave_number, e.weight, e.bundle_first, e.source
    incident, shape, fudge, photons = p.incident, p.shape, p.fudge, p.scale
    F_table, uniform_F, default_F, peak = e.F, p.uniform_F, p.default_F, e.peak
    dispersion, low, size = e.dispersion, p.low, p.size
    dispersive = dispersion.shape[1] > 0  # then F² comes with each wavelength
    narrowest, light, radius_of_all = e.narrowest, e.light, e.radius

    cone = cone_of(panel, layers, bounds)
    largest = largest_scattering(light, cone, radius_of_all)
    bundles = len(bundle_first) - 1
    most = np.empty(3, dtype=np.int64)
    spots, count = np.empty((AT_ONCE, SPOT)), 0
    star = np.empty((3, 3))
    for group in range(len(e.group_first) - 1):
        m0, m1, tilt = e.group_first[group], e.group_first[group + 1], e.group_tilt[group]
        for v in range(3):
            square = 0.0
            for i in range(3):
                star[v, i] = o[m0, STAR + 3 * v + i]
                square += o[m0, DIRECT + 3 * v + i] ** 2
            most[v] = int(largest * math.sqrt(square)) + 1
        table = np.empty(((2 * most[1] + 1) * (2 * most[2] + 1), 3))
        for h in range(-most[0], most[0] + 1):
            found = candidates_of_plane(
                h, most[1], most[2], star, tilt, light, cone, radius_of_all, largest, table
            )
            for c in range(found):
                h0, k0, l0 = table[c, 0], table[c, 1], table[c, 2]
                F = default_F
                if not uniform_F:
                    F = F_table[place_of(h0, k0, l0, low, size)]
                strength = F * F * peak
                limit = compiled_reach_squared(shape, fudge, strength, tau)
                if limit < 0.0:
                    continue
                counts[2] += 1
                brightness = photons * (peak if dispersive else strength)
                reach = math.sqrt(limit)
                radius = sigma * reach
                square = radius * radius * NEARLY
                slack = (radius + 0.5 * square / light.lowest) * NEARLY
                lone = reach < narrowest
                for m in range(m0, m1):
                    gx = h0 * o[m, STAR] + k0 * o[m, STAR + 3] + l0 * o[m, STAR + 6]
                    gy = h0 * o[m, STAR + 1] + k0 * o[m, STAR + 4] + l0 * o[m, STAR + 7]
                    gz = h0 * o[m, STAR + 2] + k0 * o[m, STAR + 5] + l0 * o[m, STAR + 8]
                    g2 = gx * gx + gy * gy + gz * gz
                    for b in range(bundles):
                        j0, j1 = bundle_first[b], bundle_first[b + 1]
                        s = source[j0]
                        ix, iy, iz = incident[s, 0], incident[s, 1], incident[s, 2]
                        along = gx * ix + gy * iy + gz * iz
                        # From the first to the last wavelength with |along + g²/2k| ≤ slack.
                        if along > slack:
                            continue
                        # In portions in which the spot moves little against its size.
                        portion, across = 0.0, 0.0
                        if j1 - j0 == 1:
                            bare = along * wave_number[j0] + 0.5 * g2
                            if abs(bare) > slack * wave_number[j0]:
                                continue
                        else:
                            j0 = first_above(
                                wave_number, j0, j1, 0.5 * g2 / (slack - along) * FEWER
                            )
                            if along + slack < 0.0:
                                most_k = -0.5 * g2 / (slack + along) * NEARLY
                                j1 = first_above(wave_number, j0, j1, most_k)
                            if j0 >= j1:
                                continue
                            k = 0.5 * (wave_number[j0] + wave_number[j1 - 1])
                            across = math.sqrt(max(g2 - along * along, 0.0))
                            bend = 0.6 * math.sqrt(reach / (stretch * k)) * k * k
                            portion = min(bend / max(across, 1e-9 * k), 0.02 * k)
                        begin = j0
                        while begin < j1:
                            end = begin + 1
                            while end < j1 and wave_number[end] - wave_number[begin] <= portion:
                                end += 1
                            start, stop, begin = begin, end, end
                            k, dk = wave_number[start], 0.0
                            if stop - start > 1:
                                k = 0.5 * (wave_number[start] + wave_number[stop - 1])
                                dk = 0.5 * (wave_number[stop - 1] - wave_number[start])
                            extra = g2 + 2.0 * k * along
                            length = math.sqrt(k * k + extra)
                            away = extra / (length + k)
                            # A chord of the sphere inside the ball that the reflection reaches.
                            chord = square - max(abs(away) - 2.0 * dk, 0.0) ** 2
                            if chord <= 0.0:
                                continue
                            per = 1.0 / length
                            turn = dk * across * per * per
                            theta = 1.06 * (math.sqrt(chord * per / k) + turn) + 1e-9
                            vx, vy, vz = (
                                (gx + k * ix) * per,
                                (gy + k * iy) * per,
                                (gz + k * iz) * per,
                            )
                            ax, ay, az = vx - cone.x, vy - cone.y, vz - cone.z
                            widest = cone.opening + 1.05 * theta
                            if ax * ax + ay * ay + az * az > widest * widest:
                                continue
                            for layer in range(layers):
                                if count == AT_ONCE:
                                    evaluate(
                                        spots, count, panel, o, metric, stretch, p, wave_number,
                                        weight, dispersion, bounds, image, counts,
                                    )  # fmt: skip
                                    count = 0
                                note(spots, count, vx, vy, vz, ix, iy, iz, k, dk, away,
                                     theta, reach, limit, brightness, h0, k0, l0, m, s,
                                     start, stop, layer, lone)  # fmt: skip
                                count += 1
    evaluate(
        spots, count, panel, o, metric, stretch, p, wave_number, weight, dispersion, bounds, image,
        counts,
    )  # fmt: skip
