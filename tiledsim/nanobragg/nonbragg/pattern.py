"""The sum of nonBragg over subpixels and sources, pixel after pixel in raster order.

Serial, since the search in the table starts where the pixel before left it, which matters in a
table out of order (quirk stol_unsorted).
"""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import exact_jit

Float64 = NDArray[np.float64]


@exact_jit
def _unit(v: Float64) -> Float64:
    length = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    return v / length if length != 0.0 else v


@exact_jit
def _cross(u: Float64, v: Float64) -> Float64:
    return np.array(
        [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
    )


@exact_jit
def _dot(u: Float64, v: Float64) -> float:
    product: float = u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
    return product


@exact_jit
def _cubic(xa: Float64, ya: Float64, x: float) -> float:
    """The cubic through four points (Lagrange)."""
    x0 = (x - xa[1]) * (x - xa[2]) * (x - xa[3]) * ya[0]
    x0 = x0 / ((xa[0] - xa[1]) * (xa[0] - xa[2]) * (xa[0] - xa[3]))
    x1 = (x - xa[0]) * (x - xa[2]) * (x - xa[3]) * ya[1]
    x1 = x1 / ((xa[1] - xa[0]) * (xa[1] - xa[2]) * (xa[1] - xa[3]))
    x2 = (x - xa[0]) * (x - xa[1]) * (x - xa[3]) * ya[2]
    x2 = x2 / ((xa[2] - xa[0]) * (xa[2] - xa[1]) * (xa[2] - xa[3]))
    x3 = (x - xa[0]) * (x - xa[1]) * (x - xa[2]) * ya[3]
    x3 = x3 / ((xa[3] - xa[0]) * (xa[3] - xa[1]) * (xa[3] - xa[2]))
    value: float = x0 + x1 + x2 + x3
    return value


@exact_jit
def _amplitude(
    s: float, nearest: int, stol: Float64, F: Float64, count: int, cubic: bool, tail: bool
) -> float:
    lowest, highest = stol[2], stol[count - 3]
    value: float = F[2]
    if not tail and not lowest <= s <= highest:
        value = F[2] if s < lowest else F[count - 3]
    elif cubic:
        value = _cubic(stol[nearest - 1 : nearest + 3], F[nearest - 1 : nearest + 3], s)
    elif count > 5:  # more than one point between the padding
        low = min(max(nearest, 2), count - 4)
        step = (s - stol[low]) / (stol[low + 1] - stol[low])
        value = F[low] + (F[low + 1] - F[low]) * step
    return value


@exact_jit
def _polarization(kahn: float, incident: Float64, diffracted: Float64, axis: Float64) -> float:
    cosine = _dot(incident, diffracted)
    cos_sqr = cosine * cosine
    sin_sqr = 1 - cos_sqr
    psi = 0.0
    if kahn != 0.0:
        B = _unit(_cross(axis, incident))
        E = _unit(_cross(incident, B))
        psi = -math.atan2(_dot(diffracted, B), _dot(diffracted, E))
    return 0.5 * (1.0 + cos_sqr - kahn * math.cos(2 * psi) * sin_sqr)


@exact_jit
def amorphous_pattern(
    image: NDArray[np.float32],
    roi: NDArray[np.int64],
    axes: Float64,
    pixel_size: float,
    oversample: int,
    close_distance: float,
    point_pixel: bool,
    sources: Float64,
    kahn: float,
    polarized: bool,
    stol: Float64,
    F: Float64,
    count: int,
    cubic: bool,
    tail: bool,
    factor: Float64,
) -> float:
    """Fill ``image`` [slow, fast] inside the region of interest; return Σω over subpixels.

    ``axes`` are fast, slow, origin and polarization axis [4, 3]; ``sources`` x y z weight
    wavelength [S, 5] in metres; ``stol`` and ``F`` as
    :func:`tiledsim.nanobragg.nonbragg.stol_table.read_stol` gives them; ``factor`` r_e², fluence,
    molecules and steps.
    """
    fast_axis, slow_axis, origin, polarization_axis = axes[0], axes[1], axes[2], axes[3]
    subpixel = pixel_size / oversample
    nearest, omega_sum = 0, 0.0
    rays = np.empty((sources.shape[0], 3))
    for source in range(sources.shape[0]):
        rays[source] = _unit(-sources[source, :3])
    for row in range(image.shape[0]):
        for col in range(image.shape[1]):
            if col < roi[0] or col > roi[1] or row < roi[2] or row > roi[3]:
                continue
            total = 0.0
            for i in range(oversample):
                for j in range(oversample):
                    fdet = subpixel * (col * oversample + j) + subpixel / 2.0
                    sdet = subpixel * (row * oversample + i) + subpixel / 2.0
                    position = fdet * fast_axis + sdet * slow_axis + origin
                    path = math.sqrt(_dot(position, position))
                    diffracted = position / path
                    omega = pixel_size * pixel_size / path / path * close_distance / path
                    if point_pixel:
                        omega = 1.0 / path / path
                    omega_sum += omega
                    for source in range(sources.shape[0]):
                        q = (diffracted - rays[source]) / sources[source, 4]
                        s = 0.5 * math.sqrt(_dot(q, q))
                        while s > stol[nearest] and nearest <= count:
                            nearest += 1
                        while s < stol[nearest] and nearest >= 2:
                            nearest -= 1
                        value = _amplitude(s, nearest, stol, F, count, cubic, tail)
                        sign = -1.0 if value < 0.0 else 1.0
                        polar = 1.0
                        if polarized:
                            polar = _polarization(kahn, rays[source], diffracted, polarization_axis)
                        total += sign * value * value * polar * omega * sources[source, 3]
            image[row, col] = np.float32(total * factor[0] * factor[1] * factor[2] / factor[3])
    return omega_sum
