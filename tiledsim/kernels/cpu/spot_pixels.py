"""What listed spots add to the pixels of a tile.

Each subpixel of a spot's region applies the exact test itself; lengths are in m, wave numbers in
1/m.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit
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
    START,
    STEP,
    STOP,
    STRENGTH,
    WIDE,
    U,
    product,
)
from tiledsim.kernels.cpu.spot_sum import GAUSS_WIDTH, STRETCH, gauss_sum, lattice_squared

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@jit
def first_above(values: Array, start: int, stop: int, least: float) -> int:
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
def place_of(h: float, k: float, l: float, low: Array, size: Array) -> np.uint64:
    """Where a reflection is in the bordered table; outside of it, in the border."""
    i = min(max(h - low[0], 0.0), size[0] - 1.0)
    j = min(max(k - low[1], 0.0), size[1] - 1.0)
    m = min(max(l - low[2], 0.0), size[2] - 1.0)
    return np.uint64(np.int64((i * size[1] + j) * size[2] + m))


@jit
def weigh(
    weight: Array, F_complex: Array, place: np.uint64, dispersion: Array, begin: int, end: int,
    own: Array,
) -> None:  # fmt: skip
    """Write weights of wavelengths times F², the square of |F₀ + Σ (f′ + i f″)·A|, of a spot."""
    parts = dispersion.shape[1]
    start = place * np.uint64(parts + 2)
    for j in range(begin, end):
        real, imaginary = F_complex[start], F_complex[start + np.uint64(1)]
        for e in range(0, parts, 2):
            a, b = F_complex[start + np.uint64(e + 2)], F_complex[start + np.uint64(e + 3)]
            real += dispersion[j, e] * a - dispersion[j, e + 1] * b
            imaginary += dispersion[j, e] * b + dispersion[j, e + 1] * a
        own[j] = weight[j] * (real * real + imaginary * imaginary)


@jit
def fill(
    spots: Array, count: int, panel: Array, o: Array, metric: Array, p: Parameters,
    wave_number: Array, weight: Array, dispersion: Array, bounds: Index, image: Array,
) -> int:  # fmt: skip
    """Add to ``image`` what listed spots scatter; returns the evaluated steps."""
    evaluated = 0
    F_complex, low, size, dispersive = p.F_complex, p.low, p.size, dispersion.shape[1] > 0
    own = weight.copy()  # times F² of a spot, where that depends on the wavelength
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
        if dispersive:
            place = place_of(h0, k0, l0, low, size)
            weigh(weight, F_complex, place, dispersion, begin, end, own)
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
                        first = first_above(wave_number, begin, end, at - span)
                        stop = first_above(wave_number, first, end, at + span)
                        if first >= stop:
                            continue
                total = 0.0
                if simple and c2 > 0.0:
                    evaluated += stop - first
                    total = gauss_sum(
                        wave_number, own, first, stop, at, c2, steepness, terms, bits, power
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
                        total += own[j] * lattice_squared(shape, fudge, w)
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
