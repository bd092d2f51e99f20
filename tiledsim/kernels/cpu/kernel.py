"""The CPU kernel: rows of a tile in blocks of pixels, orientations outside the block.

Every block has the same length, the last of a row reaching past the tile's edge, and a pixel's
terms are added in one order: its value does not depend on which tile or block it is in.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit, wide_vectors
from tiledsim.kernels.cpu.lattice import LANES, gauss, round_, square, tophat
from tiledsim.kernels.cpu.vector4 import add_rows

Array = NDArray[np.float64]

SQUARE, ROUND, GAUSS, TOPHAT = range(4)
OWN, FIRST, RUNNING = range(3)
SIXTH, THIRD = 1.0 / 6.0, 1.0 / 3.0


class Parameters(NamedTuple):
    """One panel of one shot of a scene, as the compiled kernel takes it.  SI units."""

    origin: Array
    fast: Array
    slow: Array
    normal: Array
    beam: Array
    pixel_size: float
    close_distance: float
    distance: float
    curved: bool
    point_pixel: bool
    oversample: int
    layers: int
    layer_step: float
    attenuation: float
    absorbing: bool
    radial_sensor: bool
    incident: Array
    inverse_wavelength: Array
    weight: Array
    polarized: bool
    polarization: float
    vertical: Array
    """Unit vectors B of the polarization formula [S, 3]."""
    horizontal: Array
    """Unit vectors E of the polarization formula [S, 3]."""
    orientations: Array
    """Direct vectors [M, 3, 3]."""
    metric: Array
    """G of w = |δ·G|² for `gauss` and `tophat` [3, 3]."""
    cell_counts: Array
    shape: int
    fudge: float
    vanishes_below: float
    """Square of the argument below which sinc3 of `round` is 0, but for 0 itself."""
    F: Array
    """Bordered table, flat."""
    low: Array
    """Reflection of the table's element 0, border included."""
    size: Array
    """Extent of the table, border included."""
    F_complex: Array
    """Real and imaginary parts of the complex tables, an element of F after the other, flat."""
    dispersion: Array
    """f′ and f″ of E elements for each source [S, 2E]; E = 0 where F does not depend on it."""
    uniform_F: bool
    default_F: float
    interpolate: bool
    dmin: float
    thick: int
    polar: int
    omega: int
    water_start: float
    water_own: float
    """Squared scattering of the water, times the orientations; 0 where the quirk has it instead."""
    skip_dark: bool
    """Whether a step with F_latt = 0 leaves the running product alone."""
    scale: float


@jit
def _rotate(x: float, y: float, z: float, axis: Array, angle: float) -> tuple[float, float, float]:
    c, s = math.cos(angle), math.sin(angle)
    along = (axis[0] * x + axis[1] * y + axis[2] * z) * (1.0 - c)
    return (
        axis[0] * along + x * c + (axis[1] * z - axis[2] * y) * s,
        axis[1] * along + y * c + (axis[2] * x - axis[0] * z) * s,
        axis[2] * along + z * c + (axis[0] * y - axis[1] * x) * s,
    )


@jit
def _look(
    p: Parameters,
    sdet: float,
    fast: int,
    sub: int,
    layer: int,
    dx: Array,
    dy: Array,
    dz: Array,
    omega: Array,
    capture: Array,
) -> None:
    """Directions, solid angles and capture of one subpixel of a block of pixels."""
    step = p.pixel_size / p.oversample
    odet = layer * p.layer_step
    x0 = p.origin[0] + sdet * p.slow[0] + odet * p.normal[0]
    y0 = p.origin[1] + sdet * p.slow[1] + odet * p.normal[1]
    z0 = p.origin[2] + sdet * p.slow[2] + odet * p.normal[2]
    fx, fy, fz = p.fast[0], p.fast[1], p.fast[2]
    first = float(fast * p.oversample + sub) + 0.5
    for j in range(LANES):
        fdet = step * (first + float(j * p.oversample))
        dx[j], dy[j], dz[j] = x0 + fdet * fx, y0 + fdet * fy, z0 + fdet * fz
    if p.curved:
        bx, by, bz = p.beam[0] * p.distance, p.beam[1] * p.distance, p.beam[2] * p.distance
        for j in range(LANES):
            u, v, w = _rotate(bx, by, bz, p.slow, dy[j] / p.distance)
            dx[j], dy[j], dz[j] = _rotate(u, v, w, p.fast, dz[j] / p.distance)
    area = 1.0 if p.point_pixel else p.pixel_size * p.pixel_size * p.close_distance
    for j in range(LANES):
        r_sqr = dx[j] * dx[j] + dy[j] * dy[j] + dz[j] * dz[j]
        inverse = 1.0 / math.sqrt(r_sqr)
        omega[j] = area * inverse * inverse * (1.0 if p.point_pixel else inverse)
        dx[j] *= inverse
        dy[j] *= inverse
        dz[j] *= inverse
    if p.absorbing:
        mu = p.layer_step * p.attenuation
        nx, ny, nz = p.normal[0], p.normal[1], p.normal[2]
        for j in range(LANES):
            cosine = 1.0 if p.radial_sensor else dx[j] * nx + dy[j] * ny + dz[j] * nz
            depth = mu / cosine
            capture[j] = math.exp(-layer * depth) - math.exp(-(layer + 1) * depth)
    else:
        capture[:] = 1.0


@jit
def _shine(
    p: Parameters,
    s: int,
    dx: Array,
    dy: Array,
    dz: Array,
    qx: Array,
    qy: Array,
    qz: Array,
    kept: Array,
) -> None:
    """Scattering vectors of a block for one source, and what the resolution cut keeps of it."""
    ix, iy, iz = p.incident[s, 0], p.incident[s, 1], p.incident[s, 2]
    inverse = p.inverse_wavelength[s]
    for j in range(LANES):
        qx[j] = (dx[j] - ix) * inverse
        qy[j] = (dy[j] - iy) * inverse
        qz[j] = (dz[j] - iz) * inverse
    if p.dmin > 0.0:
        for j in range(LANES):
            stol = 0.5 * math.sqrt(qx[j] * qx[j] + qy[j] * qy[j] + qz[j] * qz[j])
            kept[j] = 0.0 if stol > 0.0 and p.dmin > 0.5 / stol else 1.0


@jit
def _polarize(p: Parameters, s: int, dx: Array, dy: Array, dz: Array, polar: Array) -> None:
    """Polarization factors of a block for one source."""
    ix, iy, iz = p.incident[s, 0], p.incident[s, 1], p.incident[s, 2]
    for j in range(LANES):
        c = dx[j] * ix + dy[j] * iy + dz[j] * iz
        polar[j] = 0.5 * (1.0 + c * c)
    if p.polarization != 0.0:
        ex, ey, ez = p.horizontal[s, 0], p.horizontal[s, 1], p.horizontal[s, 2]
        bx, by, bz = p.vertical[s, 0], p.vertical[s, 1], p.vertical[s, 2]
        for j in range(LANES):
            c = dx[j] * ix + dy[j] * iy + dz[j] * iz
            e = dx[j] * ex + dy[j] * ey + dz[j] * ez
            b = dx[j] * bx + dy[j] * by + dz[j] * bz
            # cos 2ψ without the angle ψ = −atan2(b, e); straight ahead ψ is 0.
            norm = e * e + b * b
            cos_2psi = 1.0 if norm == 0.0 else (e * e - b * b) / norm
            polar[j] -= 0.5 * p.polarization * cos_2psi * (1.0 - c * c)


@jit
def _corners(p: Parameters, abc: Array, qx: Array, qy: Array, qz: Array, where: Array) -> None:
    """Fractions of h, k, l and the table's index of the neighbourhood's corner, −1 if outside it.

    ``where`` [4 · LANES] holds one after the other: in four arrays the compiler could not tell
    that they do not overlap.
    """
    wide_vectors()
    ax, ay, az = abc[0, 0], abc[0, 1], abc[0, 2]
    bx, by, bz = abc[1, 0], abc[1, 1], abc[1, 2]
    cx, cy, cz = abc[2, 0], abc[2, 1], abc[2, 2]
    low_h, low_k, low_l = p.low[0], p.low[1], p.low[2]
    size_h, size_k, size_l = p.size[0], p.size[1], p.size[2]
    for j in range(LANES):
        h = ax * qx[j] + ay * qy[j] + az * qz[j] - low_h
        k = bx * qx[j] + by * qy[j] + bz * qz[j] - low_k
        l = cx * qx[j] + cy * qy[j] + cz * qz[j] - low_l
        fh, fk, fl = np.floor(h), np.floor(k), np.floor(l)
        where[j] = h - fh
        where[LANES + j] = k - fk
        where[2 * LANES + j] = l - fl
        # The border is not part of the table: elements 1 … size − 2 are.
        below = min(min(size_h - 4.0 - fh, size_k - 4.0 - fk), size_l - 4.0 - fl)
        above = min(min(fh - 2.0, fk - 2.0), fl - 2.0)
        corner = ((fh - 1.0) * size_k + fk - 1.0) * size_l + fl - 1.0
        where[3 * LANES + j] = corner if min(below, above) >= 0.0 else -1.0


@jit
def _lagrange(t: float) -> tuple[float, float, float, float]:
    """Weights of the values at −1, 0, 1, 2 for the value at t in [0, 1)."""
    return (
        ((-SIXTH * t + 0.5) * t - THIRD) * t,
        ((0.5 * t - 1.0) * t - 0.5) * t + 1.0,
        ((-0.5 * t + 0.5) * t + 1.0) * t,
        ((SIXTH * t + 0.0) * t - SIXTH) * t,
    )


@jit
def _tricubic(p: Parameters, where: Array, at: Array, F: Array) -> None:
    """F between reflections; the nearest one's where the 4×4×4 neighbourhood leaves the table."""
    row, plane = int(p.size[2]), int(p.size[1] * p.size[2])
    for j in range(LANES):
        if where[3 * LANES + j] < 0.0:
            F[j] = p.F[np.uint64(np.int64(at[j]))]
            continue
        x = _lagrange(where[j])
        y0, y1, y2, y3 = _lagrange(where[LANES + j])
        z = _lagrange(where[2 * LANES + j])
        corner = int(where[3 * LANES + j])
        s = (0.0, 0.0, 0.0, 0.0)
        s = add_rows(p.F, corner, row, s, (x[0] * y0, x[0] * y1, x[0] * y2, x[0] * y3))
        corner += plane
        s = add_rows(p.F, corner, row, s, (x[1] * y0, x[1] * y1, x[1] * y2, x[1] * y3))
        corner += plane
        s = add_rows(p.F, corner, row, s, (x[2] * y0, x[2] * y1, x[2] * y2, x[2] * y3))
        corner += plane
        s = add_rows(p.F, corner, row, s, (x[3] * y0, x[3] * y1, x[3] * y2, x[3] * y3))
        F[j] = z[0] * s[0] + z[1] * s[1] + z[2] * s[2] + z[3] * s[3]


@jit
def _gather_add(table: Array, at: Array, latt: Array, bunch: Array) -> None:
    """Add F²·F_latt² of the nearest reflections."""
    for j in range(LANES):
        # An unsigned index is not asked whether it counts from the end of the table.
        F = table[np.uint64(np.int64(at[j]))]
        bunch[j] += F * F * latt[j]


@jit
def _gather_dispersive(table: Array, at: Array, f: Array, F_squared: Array) -> None:
    """|F₀ + Σ (f′ + i f″)·A|² of the nearest reflections; ``f`` holds f′ and f″ in turn."""
    parts = len(f)
    for j in range(LANES):
        place = np.uint64(np.int64(at[j]) * (parts + 2))
        real, imaginary = table[place], table[place + np.uint64(1)]
        for e in range(0, parts, 2):
            a, b = table[place + np.uint64(e + 2)], table[place + np.uint64(e + 3)]
            real += f[e] * a - f[e + 1] * b
            imaginary += f[e] * b + f[e + 1] * a
        F_squared[j] = real * real + imaginary * imaginary


@jit
def render_rows(
    p: Parameters, slow_start: int, fast_start: int, rendered: NDArray[np.bool_], image: Array
) -> None:
    """Render ``image`` [rows, cols] in photons where ``rendered`` [rows, cols]; 0 elsewhere."""
    wide_vectors()
    rows, cols = image.shape
    dx, dy, dz = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    qx, qy, qz = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    omega, capture = np.empty(LANES), np.empty(LANES)
    polar, kept = np.ones(LANES), np.ones(LANES)
    latt, at, F, bunch = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
    own, running = np.empty(LANES), np.ones(LANES)
    own_base, running_base = np.empty(LANES), np.empty(LANES)
    where = np.empty(4 * LANES)
    total, drop = np.empty(LANES), np.empty(LANES)
    whole_thick, whole_polar, whole_omega = np.ones(LANES), np.ones(LANES), np.ones(LANES)
    bits = np.empty(LANES, dtype=np.int64)
    power = bits.view(np.float64)
    products = p.thick == RUNNING or p.polar == RUNNING or p.omega == RUNNING
    step = p.pixel_size / p.oversample
    constant = p.default_F * p.default_F
    dispersive = p.dispersion.shape[1] > 0

    for row in range(rows):
        for col in range(0, cols, LANES):
            width = min(LANES, cols - col)
            if not rendered[row, col : col + width].any():
                image[row, col : col + width] = 0.0
                continue
            total[:] = p.water_start
            drop[:] = 0.0
            waiting = p.polarized and p.polar == FIRST
            if waiting:
                whole_polar[:] = 0.0
            for layer in range(p.layers):
                for sub in range(p.oversample * p.oversample):
                    sub_s, sub_f = sub // p.oversample, sub % p.oversample
                    sdet = step * float((slow_start + row) * p.oversample + sub_s) + step / 2.0
                    _look(p, sdet, fast_start + col, sub_f, layer, dx, dy, dz, omega, capture)
                    if p.omega == FIRST and layer == 0 and sub == 0:
                        whole_omega[:] = omega
                    if p.thick == FIRST and sub == 0:
                        whole_thick[:] = capture
                    for j in range(LANES):
                        thick_own = capture[j] if p.thick == OWN else 1.0
                        omega_own = omega[j] if p.omega == OWN else 1.0
                        own_base[j] = thick_own * omega_own
                        thick_running = capture[j] if p.thick == RUNNING else 1.0
                        omega_running = omega[j] if p.omega == RUNNING else 1.0
                        running_base[j] = thick_running * omega_running
                    for s in range(len(p.incident)):
                        _shine(p, s, dx, dy, dz, qx, qy, qz, kept)
                        if p.polarized and (p.polar != FIRST or waiting):
                            _polarize(p, s, dx, dy, dz, polar)
                        if waiting:
                            waiting = False
                            for j in range(LANES):
                                if whole_polar[j] == 0.0 and kept[j] != 0.0:
                                    whole_polar[j] = polar[j]
                                waiting = waiting or whole_polar[j] == 0.0
                        weight = p.weight[s]
                        if p.polar == OWN:
                            for j in range(LANES):
                                own[j] = weight * own_base[j] * polar[j]
                        else:
                            for j in range(LANES):
                                own[j] = weight * own_base[j]
                        if products:
                            for j in range(LANES):
                                turn = polar[j] if p.polar == RUNNING else 1.0
                                running[j] = running_base[j] * turn
                        if p.water_own != 0.0:
                            for j in range(LANES):
                                turn = running[j] if products else 1.0
                                drop[j] += own[j] * turn * p.water_own
                        if p.dmin > 0.0:
                            own *= kept
                        bunch[:] = 0.0
                        for m in range(len(p.orientations)):
                            abc = p.orientations[m]
                            if p.shape == SQUARE:
                                square(qx, qy, qz, abc, p.cell_counts, p.low, p.size, latt, at)
                            elif p.shape == ROUND:
                                round_(
                                    qx,
                                    qy,
                                    qz,
                                    abc,
                                    p.cell_counts,
                                    p.low,
                                    p.size,
                                    latt,
                                    at,
                                    p.fudge,
                                    p.vanishes_below,
                                )
                            elif p.shape == GAUSS:
                                gauss(
                                    qx,
                                    qy,
                                    qz,
                                    abc,
                                    p.cell_counts,
                                    p.low,
                                    p.size,
                                    latt,
                                    at,
                                    p.metric,
                                    p.fudge,
                                    bits,
                                    power,
                                )
                            else:
                                tophat(
                                    qx,
                                    qy,
                                    qz,
                                    abc,
                                    p.cell_counts,
                                    p.low,
                                    p.size,
                                    latt,
                                    at,
                                    p.metric,
                                    p.fudge,
                                )
                            if p.uniform_F and not products:
                                for j in range(LANES):
                                    bunch[j] += constant * latt[j]
                                continue
                            if dispersive:
                                _gather_dispersive(p.F_complex, at, p.dispersion[s], F)
                                if not products:
                                    for j in range(LANES):
                                        bunch[j] += F[j] * latt[j]
                                    continue
                                F[:] = np.sqrt(F)
                            elif not p.interpolate and not products:
                                _gather_add(p.F, at, latt, bunch)
                                continue
                            elif p.interpolate:
                                _corners(p, abc, qx, qy, qz, where)
                                _tricubic(p, where, at, F)
                            else:
                                for j in range(LANES):
                                    F[j] = p.F[int(at[j])]
                            if not products:
                                for j in range(LANES):
                                    bunch[j] += F[j] * F[j] * latt[j]
                                continue
                            for j in range(LANES):
                                if kept[j] != 0.0 and not (p.skip_dark and latt[j] == 0.0):
                                    term = F[j] * F[j] * latt[j] * own[j]
                                    total[j] = (total[j] + term) * running[j]
                        if not products:
                            for j in range(LANES):
                                total[j] += own[j] * bunch[j]
            for j in range(width):
                factor = whole_thick[j] * whole_polar[j] * whole_omega[j]
                value = p.scale * (total[j] + drop[j]) * factor
                image[row, col + j] = value if rendered[row, col + j] else 0.0
