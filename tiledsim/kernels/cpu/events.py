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
from tiledsim.kernels.cpu.parameters import GAUSS, Parameters
from tiledsim.kernels.cpu.spot_region import (
    ALONG_FAST,
    ALONG_SLOW,
    AREA,
    AREA_OF,
    ATTENUATION,
    CENTRE,
    DEPTH,
    DIRECT,
    FAST,
    HKL,
    LAYER,
    LIMIT,
    LONE,
    MEMBER,
    NARROW,
    NORMAL,
    ORIGIN,
    PER,
    ROUNDING_PX,
    SLOW,
    SOURCE,
    SPOT,
    STAR,
    START,
    STEP,
    STOP,
    STRENGTH,
    WIDE,
    U,
    locate,
    note,
    product,
)
from tiledsim.kernels.cpu.spot_sum import (
    GAUSS_WIDTH,
    STRETCH,
    compiled_reach_squared,
    gauss_sum,
    lattice_squared,
)

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
    light: Illumination
    peak: float
    """F_latt² on a reflection."""
    radius: float
    """How far [1/m] the strongest reflection reaches."""
    tau: float


@jit
def _from(values: Array, start: int, stop: int, least: float) -> int:
    """The first of growing values [start:stop] that is at least ``least``."""
    while start < stop:
        middle = (start + stop) // 2
        if values[middle] < least:
            start = middle + 1
        else:
            stop = middle
    return start


@jit
def _along(axes: Array, s: int, dx: float, dy: float, dz: float) -> float:
    return float(dx * axes[s, 0] + dy * axes[s, 1] + dz * axes[s, 2])


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
def fill(
    spots: Array, count: int, panel: Array, o: Array, metric: Array, p: Parameters,
    wave_number: Array, weight: Array, bounds: Index, image: Array,
) -> int:  # fmt: skip
    """Add to ``image`` what listed spots scatter; returns the evaluated steps."""
    evaluated = 0
    incident, horizontal, vertical = p.incident, p.horizontal, p.vertical
    shape, fudge, dmin, absorbing = p.shape, p.fudge, p.dmin, p.absorbing
    polarized, polarization, point_pixel = p.polarized, p.polarization, p.point_pixel
    n = p.oversample
    terms, bits = np.empty(STRETCH), np.empty(STRETCH, dtype=np.int64)
    power = bits.view(np.float64)
    g00, g01, g02 = metric[0, 0], metric[0, 1], metric[0, 2]
    g10, g11, g12 = metric[1, 0], metric[1, 1], metric[1, 2]
    g20, g21, g22 = metric[2, 0], metric[2, 1], metric[2, 2]
    fx, fy, fz = panel[FAST], panel[FAST + 1], panel[FAST + 2]
    step = panel[STEP]
    first_f, first_s = bounds[0], bounds[2]
    steepness = 2.0 * fudge / GAUSS_WIDTH
    for i in range(count):
        if spots[i, AREA_OF + 2] >= spots[i, AREA_OF + 3]:
            continue
        f0, f1 = int(spots[i, AREA_OF]), int(spots[i, AREA_OF + 1])
        centre_f, centre_s = spots[i, CENTRE], spots[i, CENTRE + 1]
        ux0, uy0, uz0 = spots[i, U], spots[i, U + 1], spots[i, U + 2]
        ax0, ay0, az0 = spots[i, ALONG_FAST], spots[i, ALONG_FAST + 1], spots[i, ALONG_FAST + 2]
        jx, jy, jz = spots[i, ALONG_SLOW], spots[i, ALONG_SLOW + 1], spots[i, ALONG_SLOW + 2]
        a2, per_a2, wide = spots[i, NARROW], spots[i, PER], spots[i, WIDE]
        m, s, layer = int(spots[i, MEMBER]), int(spots[i, SOURCE]), int(spots[i, LAYER])
        begin, end = int(spots[i, START]), int(spots[i, STOP])
        h0, k0, l0 = spots[i, HKL], spots[i, HKL + 1], spots[i, HKL + 2]
        limit, strength, lone = spots[i, LIMIT], spots[i, STRENGTH], spots[i, LONE] != 0.0
        ix, iy, iz = incident[s, 0], incident[s, 1], incident[s, 2]
        ox = panel[ORIGIN] + layer * panel[DEPTH] * panel[NORMAL]
        oy = panel[ORIGIN + 1] + layer * panel[DEPTH] * panel[NORMAL + 1]
        oz = panel[ORIGIN + 2] + layer * panel[DEPTH] * panel[NORMAL + 2]
        bx = h0 * g00 + k0 * g10 + l0 * g20
        by = h0 * g01 + k0 * g11 + l0 * g21
        bz = h0 * g02 + k0 * g12 + l0 * g22
        simple = lone and shape == GAUSS and dmin == 0.0
        for sub_s in range(int(spots[i, AREA_OF + 2]), int(spots[i, AREA_OF + 3])):
            row_f0, row_f1 = f0, f1
            if a2 > 0.0:
                ds = sub_s - centre_s
                x, y, z = ux0 + ds * jx, uy0 + ds * jy, uz0 + ds * jz
                middle = ax0 * x + ay0 * y + az0 * z
                root = middle * middle - a2 * (x * x + y * y + z * z - wide)
                if root < 0.0:
                    continue
                root = math.sqrt(root) * per_a2 + ROUNDING_PX
                middle = centre_f - middle * per_a2
                row_f0 = int(max(f0, np.ceil(middle - root)))
                row_f1 = int(min(f1, np.floor(middle + root) + 1.0))
            row = sub_s - first_s if n == 1 else (sub_s - first_s) // n
            sdet = step * float(sub_s) + step / 2.0
            x0 = ox + sdet * panel[SLOW]
            y0 = oy + sdet * panel[SLOW + 1]
            z0 = oz + sdet * panel[SLOW + 2]
            for sub_f in range(row_f0, row_f1):
                fdet = step * (float(sub_f) + 0.5)
                dx, dy, dz = x0 + fdet * fx, y0 + fdet * fy, z0 + fdet * fz
                inverse = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
                dx *= inverse
                dy *= inverse
                dz *= inverse
                mx, my, mz = dx - ix, dy - iy, dz - iz
                h, k, l = product(o, m, DIRECT, mx, my, mz)
                # u = k·c − b: w is smallest, |c × b|²/c², at one wave number.
                first, stop, nearest, at, c2 = begin, end, 0.0, 0.0, 0.0
                if end - begin > 1:
                    cx = h * g00 + k * g10 + l * g20
                    cy = h * g01 + k * g11 + l * g21
                    cz = h * g02 + k * g12 + l * g22
                    c2 = cx * cx + cy * cy + cz * cz
                    if c2 > 0.0:
                        per = 1.0 / c2
                        at = (cx * bx + cy * by + cz * bz) * per
                        ax, ay, az = cy * bz - cz * by, cz * bx - cx * bz, cx * by - cy * bx
                        nearest = (ax * ax + ay * ay + az * az) * per
                        if nearest > limit:
                            continue
                        span = math.sqrt((limit - nearest) * per)
                        first = _from(wave_number, begin, end, at - span)
                        stop = _from(wave_number, first, end, at + span)
                        if first >= stop:
                            continue
                total = 0.0
                if simple and c2 > 0.0:
                    evaluated += stop - first
                    total = gauss_sum(
                        wave_number, weight, first, stop, at, c2, steepness, terms, bits, power
                    ) * math.exp(-steepness * nearest)
                else:
                    for j in range(first, stop):
                        wave = wave_number[j]
                        hj, kj, lj = wave * h, wave * k, wave * l
                        if not lone and (
                            np.ceil(hj - 0.5) != h0
                            or np.ceil(kj - 0.5) != k0
                            or np.ceil(lj - 0.5) != l0
                        ):
                            continue
                        hj, kj, lj = hj - h0, kj - k0, lj - l0
                        ux = hj * g00 + kj * g10 + lj * g20
                        uy = hj * g01 + kj * g11 + lj * g21
                        uz = hj * g02 + kj * g12 + lj * g22
                        w = ux * ux + uy * uy + uz * uz
                        if w > limit:
                            continue
                        if dmin > 0.0:
                            stol = 0.5 * wave * math.sqrt(mx * mx + my * my + mz * mz)
                            if stol > 0.0 and dmin > 0.5 / stol:
                                continue
                        evaluated += 1
                        total += weight[j] * lattice_squared(shape, fudge, w)
                if total == 0.0:
                    continue
                factor = panel[AREA] * inverse * inverse
                if not point_pixel:
                    factor *= inverse
                if absorbing:
                    depth = panel[ATTENUATION] / (
                        dx * panel[NORMAL] + dy * panel[NORMAL + 1] + dz * panel[NORMAL + 2]
                    )
                    factor *= math.exp(-layer * depth) - math.exp(-(layer + 1) * depth)
                if polarized:
                    cosine = dx * ix + dy * iy + dz * iz
                    polar = 0.5 * (1.0 + cosine * cosine)
                    if polarization != 0.0:
                        e = _along(horizontal, s, dx, dy, dz)
                        b = _along(vertical, s, dx, dy, dz)
                        norm = e * e + b * b
                        cos_2psi = 1.0 if norm == 0.0 else (e * e - b * b) / norm
                        polar -= 0.5 * polarization * cos_2psi * (1.0 - cosine * cosine)
                    factor *= polar
                col = sub_f - first_f if n == 1 else (sub_f - first_f) // n
                image[row, col] += strength * factor * total
    return evaluated


@jit
def evaluate(
    spots: Array, count: int, panel: Array, o: Array, metric: Array, stretch: float, p: Parameters,
    wave_number: Array, weight: Array, bounds: Index, image: Array, counts: Index,
) -> None:  # fmt: skip
    """Find the subpixels of listed spots and add what they scatter."""
    locate(spots, count, panel, o, stretch, bounds)
    counts[0] += fill(spots, count, panel, o, metric, p, wave_number, weight, bounds, image)
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
    F_table, uniform_F, default_F, peak = p.F, p.uniform_F, p.default_F, e.peak
    low_h, low_k, low_l = p.low[0], p.low[1], p.low[2]
    size_h, size_k, size_l = p.size[0], p.size[1], p.size[2]
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
                    i0 = min(max(h0 - low_h, 0.0), size_h - 1.0)
                    i1 = min(max(k0 - low_k, 0.0), size_k - 1.0)
                    i2 = min(max(l0 - low_l, 0.0), size_l - 1.0)
                    F = F_table[np.uint64(np.int64((i0 * size_k + i1) * size_l + i2))]
                strength = F * F * peak
                limit = compiled_reach_squared(shape, fudge, strength, tau)
                if limit < 0.0:
                    continue
                counts[2] += 1
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
                            j0 = _from(wave_number, j0, j1, 0.5 * g2 / (slack - along) * FEWER)
                            if along + slack < 0.0:
                                most_k = -0.5 * g2 / (slack + along) * NEARLY
                                j1 = _from(wave_number, j0, j1, most_k)
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
                                        weight, bounds, image, counts,
                                    )  # fmt: skip
                                    count = 0
                                note(spots, count, vx, vy, vz, ix, iy, iz, k, dk, away,
                                     theta, reach, limit, photons * strength, h0, k0, l0, m, s,
                                     start, stop, layer, lone)  # fmt: skip
                                count += 1
    evaluate(spots, count, panel, o, metric, stretch, p, wave_number, weight, bounds, image, counts)
