"""The CPU kernel: rows of a tile in blocks of pixels, orientations outside the block.

Every block has the same length, the last of a row reaching past the tile's edge, and a pixel's
terms are added in one order: its value does not depend on which tile or block it is in.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels.cpu_lattice import LANES, gauss, round_, square, tophat
from tiledsim.kernels.jit import jit, wide_vectors

Array = NDArray[np.float64]

SQUARE, ROUND, GAUSS, TOPHAT = range(4)
OWN, FIRST, RUNNING = range(3)


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
    star: Array
    """Unrotated reciprocal vectors in Å⁻¹ [3, 3]."""
    cell_counts: Array
    shape: int
    fudge: float
    F: Array
    """Bordered table, flat."""
    low: Array
    """Reflection of the table's element 0, border included."""
    size: Array
    """Extent of the table, border included."""
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
    for j in range(LANES):
        fdet = step * float((fast + j) * p.oversample + sub) + step / 2.0
        x = p.origin[0] + fdet * p.fast[0] + sdet * p.slow[0] + odet * p.normal[0]
        y = p.origin[1] + fdet * p.fast[1] + sdet * p.slow[1] + odet * p.normal[1]
        z = p.origin[2] + fdet * p.fast[2] + sdet * p.slow[2] + odet * p.normal[2]
        if p.curved:
            u, v, w = p.beam[0] * p.distance, p.beam[1] * p.distance, p.beam[2] * p.distance
            u, v, w = _rotate(u, v, w, p.slow, y / p.distance)
            x, y, z = _rotate(u, v, w, p.fast, z / p.distance)
        r = math.sqrt(x * x + y * y + z * z)
        dx[j], dy[j], dz[j] = x / r, y / r, z / r
        area = 1.0 if p.point_pixel else p.pixel_size * p.pixel_size * p.close_distance / r
        omega[j] = area / (r * r)
    if p.absorbing:
        mu = p.layer_step * p.attenuation
        for j in range(LANES):
            depth = mu / (dx[j] * p.normal[0] + dy[j] * p.normal[1] + dz[j] * p.normal[2])
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
    polar: Array,
    kept: Array,
) -> None:
    """Scattering vectors, polarization and resolution cut of a block for one source."""
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
    if p.polarized:
        for j in range(LANES):
            c = dx[j] * ix + dy[j] * iy + dz[j] * iz
            polar[j] = 0.5 * (1.0 + c * c)
        if p.polarization != 0.0:
            for j in range(LANES):
                c = dx[j] * ix + dy[j] * iy + dz[j] * iz
                e = (
                    dx[j] * p.horizontal[s, 0]
                    + dy[j] * p.horizontal[s, 1]
                    + dz[j] * p.horizontal[s, 2]
                )
                b = dx[j] * p.vertical[s, 0] + dy[j] * p.vertical[s, 1] + dz[j] * p.vertical[s, 2]
                # cos 2ψ without the angle ψ = −atan2(b, e); straight ahead ψ is 0.
                norm = e * e + b * b
                cos_2psi = 1.0 if norm == 0.0 else (e * e - b * b) / norm
                polar[j] -= 0.5 * p.polarization * cos_2psi * (1.0 - c * c)


@jit
def _tricubic(
    p: Parameters, abc: Array, qx: Array, qy: Array, qz: Array, at: Array, F: Array
) -> None:
    """F between reflections; the nearest one's where the 4×4×4 neighbourhood leaves the table."""
    size_k, size_l = int(p.size[1]), int(p.size[2])
    table = p.F
    for j in range(LANES):
        h = abc[0, 0] * qx[j] + abc[0, 1] * qy[j] + abc[0, 2] * qz[j] - p.low[0]
        k = abc[1, 0] * qx[j] + abc[1, 1] * qy[j] + abc[1, 2] * qz[j] - p.low[1]
        l = abc[2, 0] * qx[j] + abc[2, 1] * qy[j] + abc[2, 2] * qz[j] - p.low[2]
        fh, fk, fl = math.floor(h), math.floor(k), math.floor(l)
        # The border is not part of the table: elements 1 … size − 2 are.
        if (
            fh < 2.0
            or fk < 2.0
            or fl < 2.0
            or fh > p.size[0] - 4.0
            or fk > p.size[1] - 4.0
            or fl > p.size[2] - 4.0
        ):
            F[j] = table[int(at[j])]
            continue
        x, y, z = h - fh, k - fk, l - fl
        z0, z1 = -z * (z - 1.0) * (z - 2.0) / 6.0, (z + 1.0) * (z - 1.0) * (z - 2.0) / 2.0
        z2, z3 = -(z + 1.0) * z * (z - 2.0) / 2.0, (z + 1.0) * z * (z - 1.0) / 6.0
        y0, y1 = -y * (y - 1.0) * (y - 2.0) / 6.0, (y + 1.0) * (y - 1.0) * (y - 2.0) / 2.0
        y2, y3 = -(y + 1.0) * y * (y - 2.0) / 2.0, (y + 1.0) * y * (y - 1.0) / 6.0
        x0, x1 = -x * (x - 1.0) * (x - 2.0) / 6.0, (x + 1.0) * (x - 1.0) * (x - 2.0) / 2.0
        x2, x3 = -(x + 1.0) * x * (x - 2.0) / 2.0, (x + 1.0) * x * (x - 1.0) / 6.0
        corner = ((int(fh) - 1) * size_k + int(fk) - 1) * size_l + int(fl) - 1
        total = 0.0
        for a in range(4):
            plane = 0.0
            for b in range(4):
                o = corner + (a * size_k + b) * size_l
                line = z0 * table[o] + z1 * table[o + 1] + z2 * table[o + 2] + z3 * table[o + 3]
                plane += (y0 if b == 0 else y1 if b == 1 else y2 if b == 2 else y3) * line
            total += (x0 if a == 0 else x1 if a == 1 else x2 if a == 2 else x3) * plane
        F[j] = total


@jit
def _gather_add(table: Array, at: Array, latt: Array, bunch: Array) -> None:
    """Add F²·F_latt² of the nearest reflections."""
    for j in range(LANES):
        # An unsigned index is not asked whether it counts from the end of the table.
        F = table[np.uint64(np.int64(at[j]))]
        bunch[j] += F * F * latt[j]


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
    own, running = np.empty(LANES), np.empty(LANES)
    total, drop = np.empty(LANES), np.empty(LANES)
    whole_thick, whole_polar, whole_omega = np.ones(LANES), np.ones(LANES), np.ones(LANES)
    bits = np.empty(LANES, dtype=np.int64)
    power = bits.view(np.float64)
    products = p.thick == RUNNING or p.polar == RUNNING or p.omega == RUNNING
    step = p.pixel_size / p.oversample
    constant = p.default_F * p.default_F

    for row in range(rows):
        for col in range(0, cols, LANES):
            width = min(LANES, cols - col)
            if not rendered[row, col : col + width].any():
                image[row, col : col + width] = 0.0
                continue
            total[:] = p.water_start
            drop[:] = 0.0
            if p.polar == FIRST:
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
                    for s in range(len(p.incident)):
                        _shine(p, s, dx, dy, dz, qx, qy, qz, polar, kept)
                        for j in range(LANES):
                            if p.polar == FIRST and whole_polar[j] == 0.0 and kept[j] != 0.0:
                                whole_polar[j] = polar[j]
                            own[j] = p.weight[s]
                            running[j] = 1.0
                        if p.thick == OWN:
                            own *= capture
                        elif p.thick == RUNNING:
                            running *= capture
                        if p.polar == OWN:
                            own *= polar
                        elif p.polar == RUNNING:
                            running *= polar
                        if p.omega == OWN:
                            own *= omega
                        elif p.omega == RUNNING:
                            running *= omega
                        if p.water_own != 0.0:
                            for j in range(LANES):
                                drop[j] += own[j] * running[j] * p.water_own
                        own *= kept
                        bunch[:] = 0.0
                        for m in range(len(p.orientations)):
                            abc = p.orientations[m]
                            if p.shape == SQUARE:
                                square(qx, qy, qz, abc, p.cell_counts, p.low, p.size, latt, at)
                            elif p.shape == ROUND:
                                round_(
                                    qx, qy, qz, abc, p.cell_counts, p.low, p.size, latt, at, p.fudge
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
                                    p.star,
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
                                    p.star,
                                    p.fudge,
                                )
                            if p.uniform_F and not products:
                                for j in range(LANES):
                                    bunch[j] += constant * latt[j]
                                continue
                            if not p.interpolate and not products:
                                _gather_add(p.F, at, latt, bunch)
                                continue
                            if p.interpolate:
                                _tricubic(p, abc, qx, qy, qz, at, F)
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
