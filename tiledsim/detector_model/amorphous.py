"""Amorphous scattering into one pixel: the sum over points of the pixel, sensor layers and sources.

The geometry, the solid angle, the polarization and the sensor are those of docs/physics.md; there
is neither a crystal nor its rotation in it.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import exact_jit
from tiledsim.scene import Scene
from tiledsim.vectors import Array, unit

_GAUSS = 0.5 / math.sqrt(3.0)
"""Points of Gauss and Legendre: two each way integrate a pixel up to its fourth power."""


class Panel(NamedTuple):
    """A panel of a scene as the compiled function reads it."""

    axes: Array
    """Fast, slow, normal, origin and beam [5, 3]."""
    pixel_size: float
    close_distance: float
    distance: float
    curved: bool
    point_pixel: bool
    sensor_layers: int
    layer_step: float
    attenuation: float
    absorbing: bool
    radial_sensor: bool
    polarized: bool
    kahn: float
    sources: Array
    """Of each source the direction, the two axes of polarization B and E, the wavelength [Å] and
    the weight over the sum of weights [S, 11]."""
    table: Array
    parts: NDArray[np.int64]
    photons: Array
    depth: Array


def panel_of(scene: Scene, panel: int) -> Panel | None:
    """Return a panel of a scene; None where the scene has no amorphous layers."""
    if (
        scene.amorphous_table is None
        or scene.amorphous_parts is None
        or scene.amorphous_photons is None
        or scene.amorphous_depth is None
    ):
        return None
    axes = [scene.fast[panel], scene.slow[panel], scene.normal[panel], scene.origin[panel]]
    B = np.zeros_like(scene.incident)
    E = np.zeros_like(scene.incident)
    if scene.polarization != 0.0:
        B = unit(np.cross(scene.polarization_axis, scene.incident))
        E = unit(np.cross(scene.incident, B))
    wavelength, weight = scene.wavelength * 1e10, scene.weight / scene.weight.sum()
    return Panel(
        axes=np.array([*axes, scene.beam]),
        pixel_size=scene.pixel_size,
        close_distance=float(scene.close_distance[panel]),
        distance=float(scene.distance[panel]),
        curved=scene.curved,
        point_pixel=scene.point_pixel,
        sensor_layers=scene.layers,
        layer_step=scene.layer_step,
        attenuation=scene.attenuation,
        absorbing=scene.absorbing,
        radial_sensor=scene.radial_sensor,
        polarized=scene.polarized,
        kahn=scene.polarization,
        sources=np.column_stack([scene.incident, B, E, wavelength, weight]),
        table=np.array(scene.amorphous_table),
        parts=np.array(scene.amorphous_parts),
        photons=np.array(scene.amorphous_photons),
        depth=np.array(scene.amorphous_depth),
    )


@exact_jit
def _turn(v: tuple[float, float, float], axis: Array, angle: float) -> tuple[float, float, float]:
    sine, cosine = math.sin(angle), math.cos(angle)
    x, y, z = v
    a, b, c = axis[0], axis[1], axis[2]
    along = (a * x + b * y + c * z) * (1.0 - cosine)
    return (
        a * along + x * cosine + (b * z - c * y) * sine,
        b * along + y * cosine + (c * x - a * z) * sine,
        c * along + z * cosine + (a * y - b * x) * sine,
    )


@exact_jit
def amplitude(table: Array, start: int, stop: int, s: float) -> float:
    """F at sin θ/λ = s [1/Å] by the cubics of some rows of a table; beyond, that of the end."""
    low, high = start, stop - 1
    value: float = table[low, 1] if s <= table[low, 0] else table[high, 1]
    if not table[low, 0] < s < table[high, 0]:
        return value
    while high - low > 1:
        middle = (low + high) // 2
        if table[middle, 0] <= s:
            low = middle
        else:
            high = middle
    h = table[high, 0] - table[low, 0]
    t = (s - table[low, 0]) / h
    rise = table[high, 1] - table[low, 1]
    m0, m1 = table[low, 2] * h, table[high, 2] * h
    value = table[low, 1] + t * (
        m0 + t * ((3.0 * rise - 2.0 * m0 - m1) + t * (m0 + m1 - 2.0 * rise))
    )
    return value if value > 0.0 else 0.0


@exact_jit
def slab(depth: float, cos_2theta: float) -> float:
    """What leaves a slab across the beam of what it scatters, by its depth μT and 2θ.

    The mean over x of e^(−μx) and of the way out: (T − x)/cos 2θ forwards, x/|cos 2θ| backwards.
    """
    if depth == 0.0:
        return 1.0
    if cos_2theta == 0.0:
        return 0.0
    if cos_2theta > 0.0:
        more = depth * (1.0 - cos_2theta) / cos_2theta
        return math.exp(-depth) * (-math.expm1(-more) / more if more != 0.0 else 1.0)
    more = depth * (1.0 - 1.0 / cos_2theta)
    return -math.expm1(-more) / more


@exact_jit
def _towards(p: Panel, x: float, y: float) -> float:
    """Photons in a pixel if all of it were as at the point x, y [pixels along fast and slow]."""
    total = 0.0
    axes, beams = p.axes, p.sources
    for layer in range(p.sensor_layers):
        fdet, sdet, odet = x * p.pixel_size, y * p.pixel_size, layer * p.layer_step
        dx = fdet * axes[0, 0] + sdet * axes[1, 0] + odet * axes[2, 0] + axes[3, 0]
        dy = fdet * axes[0, 1] + sdet * axes[1, 1] + odet * axes[2, 1] + axes[3, 1]
        dz = fdet * axes[0, 2] + sdet * axes[1, 2] + odet * axes[2, 2] + axes[3, 2]
        if p.curved:
            r = p.distance
            ahead = (r * axes[4, 0], r * axes[4, 1], r * axes[4, 2])
            dx, dy, dz = _turn(_turn(ahead, axes[1], dy / r), axes[0], dz / r)
        path = math.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx / path, dy / path, dz / path
        omega = 1.0 / (path * path)
        if not p.point_pixel:
            omega *= p.pixel_size * p.pixel_size * p.close_distance / path
        if p.absorbing:
            cosine = 1.0
            if not p.radial_sensor:
                cosine = dx * axes[2, 0] + dy * axes[2, 1] + dz * axes[2, 2]
            depth = p.layer_step * p.attenuation / cosine
            omega *= math.exp(-layer * depth) - math.exp(-(layer + 1) * depth)
        for i in range(beams.shape[0]):
            bx, by, bz = beams[i, 0], beams[i, 1], beams[i, 2]
            gx, gy, gz = dx - bx, dy - by, dz - bz
            s = 0.5 * math.sqrt(gx * gx + gy * gy + gz * gz) / beams[i, 9]
            cos_2theta = dx * bx + dy * by + dz * bz
            polar = 1.0
            if p.polarized:
                cos_sqr = cos_2theta * cos_2theta
                polar = 1.0 + cos_sqr
                b = dx * beams[i, 3] + dy * beams[i, 4] + dz * beams[i, 5]
                e = dx * beams[i, 6] + dy * beams[i, 7] + dz * beams[i, 8]
                across = b * b + e * e
                if p.kahn != 0.0 and across > 0.0:
                    polar -= p.kahn * (e * e - b * b) / across * (1.0 - cos_sqr)
                polar *= 0.5
            scattered = 0.0
            for part in range(len(p.photons)):
                F = amplitude(p.table, p.parts[part], p.parts[part + 1], s)
                scattered += p.photons[part] * F * F * slab(p.depth[part, i], cos_2theta)
            total += scattered * polar * omega * beams[i, 10]
    return total


@exact_jit
def at_points(p: Panel, slow: Array, fast: Array) -> Array:
    """Photons in pixels whose centres are at slow [n] and fast [m], whole or not: [n, m].

    The mean over four points of each pixel.
    """
    out = np.empty((len(slow), len(fast)))
    for i in range(len(slow)):
        for j in range(len(fast)):
            y0, y1 = slow[i] - _GAUSS, slow[i] + _GAUSS
            x0, x1 = fast[j] - _GAUSS, fast[j] + _GAUSS
            here = _towards(p, x0, y0) + _towards(p, x1, y0)
            out[i, j] = 0.25 * (here + _towards(p, x0, y1) + _towards(p, x1, y1))
    return out
