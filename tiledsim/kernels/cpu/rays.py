"""From a block of pixels to scattering vectors, and the factors that no crystal changes.

``w`` is what is known of the block, :data:`~tiledsim.kernels.cpu.parameters.BLOCK`.
"""

import math

from tiledsim.jit import jit, piece
from tiledsim.kernels.cpu.parameters import (
    CAPTURE,
    DX,
    DY,
    DZ,
    KEPT,
    LANES,
    OMEGA,
    POLAR,
    QX,
    QY,
    QZ,
    Array,
    Parameters,
)


@jit
def _rotate(x: float, y: float, z: float, axis: Array, angle: float) -> tuple[float, float, float]:
    c, s = math.cos(angle), math.sin(angle)
    along = (axis[0] * x + axis[1] * y + axis[2] * z) * (1.0 - c)
    return (
        axis[0] * along + x * c + (axis[1] * z - axis[2] * y) * s,
        axis[1] * along + y * c + (axis[2] * x - axis[0] * z) * s,
        axis[2] * along + z * c + (axis[0] * y - axis[1] * x) * s,
    )


@piece
def look(p: Parameters, sdet: float, fast: int, sub: int, layer: int, w: Array) -> None:
    """Directions, solid angles and capture of one subpixel of each pixel."""
    step = p.pixel_size / p.oversample
    odet = layer * p.layer_step
    x0 = p.origin[0] + sdet * p.slow[0] + odet * p.normal[0]
    y0 = p.origin[1] + sdet * p.slow[1] + odet * p.normal[1]
    z0 = p.origin[2] + sdet * p.slow[2] + odet * p.normal[2]
    fx, fy, fz = p.fast[0], p.fast[1], p.fast[2]
    first = float(fast * p.oversample + sub) + 0.5
    for j in range(LANES):
        fdet = step * (first + float(j * p.oversample))
        w[DX + j] = x0 + fdet * fx
        w[DY + j] = y0 + fdet * fy
        w[DZ + j] = z0 + fdet * fz
    if p.curved:
        bx, by, bz = p.beam[0] * p.distance, p.beam[1] * p.distance, p.beam[2] * p.distance
        for j in range(LANES):
            u, v, t = _rotate(bx, by, bz, p.slow, w[DY + j] / p.distance)
            u, v, t = _rotate(u, v, t, p.fast, w[DZ + j] / p.distance)
            w[DX + j], w[DY + j], w[DZ + j] = u, v, t
    area = 1.0 if p.point_pixel else p.pixel_size * p.pixel_size * p.close_distance
    for j in range(LANES):
        dx, dy, dz = w[DX + j], w[DY + j], w[DZ + j]
        r_sqr = dx * dx + dy * dy + dz * dz
        inverse = 1.0 / math.sqrt(r_sqr)
        w[OMEGA + j] = area * inverse * inverse * (1.0 if p.point_pixel else inverse)
        w[DX + j] = dx * inverse
        w[DY + j] = dy * inverse
        w[DZ + j] = dz * inverse
    if p.absorbing:
        mu = p.layer_step * p.attenuation
        nx, ny, nz = p.normal[0], p.normal[1], p.normal[2]
        for j in range(LANES):
            facing = w[DX + j] * nx + w[DY + j] * ny + w[DZ + j] * nz
            depth = mu / (1.0 if p.radial_sensor else facing)
            w[CAPTURE + j] = math.exp(-layer * depth) - math.exp(-(layer + 1) * depth)
    else:
        for j in range(LANES):
            w[CAPTURE + j] = 1.0


@piece
def aim(incident: Array, s: int, per_wavelength: float, w: Array) -> None:
    """The change of direction for one source, over the wavelength where one is given."""
    ix, iy, iz = incident[s, 0], incident[s, 1], incident[s, 2]
    for j in range(LANES):
        w[QX + j] = (w[DX + j] - ix) * per_wavelength
        w[QY + j] = (w[DY + j] - iy) * per_wavelength
        w[QZ + j] = (w[DZ + j] - iz) * per_wavelength


@piece
def cut(dmin: float, per_wavelength: float, w: Array) -> None:
    """Which pixels the resolution cut keeps, ``per_wavelength`` times what :func:`aim` gave."""
    half = 0.5 * per_wavelength
    for j in range(LANES):
        qx, qy, qz = w[QX + j], w[QY + j], w[QZ + j]
        stol = half * math.sqrt(qx * qx + qy * qy + qz * qz)
        w[KEPT + j] = 0.0 if stol > 0.0 and dmin > 0.5 / stol else 1.0


@piece
def polarize(p: Parameters, s: int, w: Array) -> None:
    """Polarization factors for one source."""
    ix, iy, iz = p.incident[s, 0], p.incident[s, 1], p.incident[s, 2]
    for j in range(LANES):
        c = w[DX + j] * ix + w[DY + j] * iy + w[DZ + j] * iz
        w[POLAR + j] = 0.5 * (1.0 + c * c)
    if p.polarization != 0.0:
        half = 0.5 * p.polarization
        ex, ey, ez = p.horizontal[s, 0], p.horizontal[s, 1], p.horizontal[s, 2]
        bx, by, bz = p.vertical[s, 0], p.vertical[s, 1], p.vertical[s, 2]
        for j in range(LANES):
            dx, dy, dz = w[DX + j], w[DY + j], w[DZ + j]
            c = dx * ix + dy * iy + dz * iz
            e = dx * ex + dy * ey + dz * ez
            b = dx * bx + dy * by + dz * bz
            # cos 2ψ without the angle ψ = −atan2(b, e); straight ahead ψ is 0.
            norm = e * e + b * b
            cos_2psi = 1.0 if norm == 0.0 else (e * e - b * b) / norm
            w[POLAR + j] -= half * cos_2psi * (1.0 - c * c)
