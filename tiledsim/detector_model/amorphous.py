"""Amorphous scattering into one pixel: the sum over points of the pixel, sensor layers and sources.

The geometry, the solid angle, the polarization and the sensor are those of docs/physics.md; there
is neither a crystal nor its rotation in it.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import exact_jit
from tiledsim.scene import Scene
from tiledsim.scene.pixels import area_distance, pixel_axes
from tiledsim.vectors import Array, unit

GAUSS = 0.5 / math.sqrt(3.0)
"""Points of Gauss and Legendre: two each way integrate a pixel up to its fourth power."""
_BINS = 4096
"""Parts of a table's range, of equal width: each knows the row of the table where it begins."""


class Panel(NamedTuple):
    """A panel of a scene as the compiled function reads it."""

    axes: Array
    """Fast and slow as :func:`pixel_axes` has them, normal, origin and beam [5, 3]."""
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
    rows: NDArray[np.int64]
    """Of each table and part of its range, the last row of ``table`` that does not lie beyond the
    part's beginning [L, _BINS + 1]."""


def panel_of(scene: Scene, panel: int) -> Panel | None:
    """Return a panel of a scene; None where the scene has no amorphous layers."""
    if (
        scene.amorphous_table is None
        or scene.amorphous_parts is None
        or scene.amorphous_photons is None
        or scene.amorphous_depth is None
    ):
        return None
    axes = [*pixel_axes(scene, panel), scene.normal[panel], scene.origin[panel]]
    B = np.zeros_like(scene.incident)
    E = np.zeros_like(scene.incident)
    if scene.polarization != 0.0:
        B = unit(np.cross(scene.polarization_axis, scene.incident))
        E = unit(np.cross(scene.incident, B))
    wavelength, weight = scene.wavelength * 1e10, scene.weight / scene.weight.sum()
    return Panel(
        axes=np.array([*axes, scene.beam]),
        pixel_size=scene.pixel_size,
        close_distance=area_distance(scene, panel),
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
        rows=first_rows(np.array(scene.amorphous_table), np.array(scene.amorphous_parts)),
    )


def first_rows(table: Array, parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where in their tables to look; see :attr:`Panel.rows`."""
    rows = np.zeros((len(parts) - 1, _BINS + 1), dtype=np.int64)
    for part, (start, stop) in enumerate(pairwise(parts)):
        s = table[start:stop, 0]
        at = s[0] + (s[-1] - s[0]) / _BINS * np.arange(_BINS + 1)
        # One less than the row found, against the rounding of the bin: the walk goes upwards.
        found = np.searchsorted(s, at, side="right") - 2
        rows[part] = start + np.clip(found, 0, max(len(s) - 2, 0))
    return rows


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
def amplitude(p: Panel, part: int, s: float) -> float:
    """F of a layer at sin θ/λ = s [1/Å] by the cubics of its table; beyond, that of the end."""
    table = p.table
    first, last = p.parts[part], p.parts[part + 1] - 1
    value: float = table[first, 1] if s <= table[first, 0] else table[last, 1]
    if not table[first, 0] < s < table[last, 0]:
        return value
    share = (s - table[first, 0]) / (table[last, 0] - table[first, 0])
    low = p.rows[part, int(share * _BINS)]
    while table[low + 1, 0] <= s:
        low += 1
    high = low + 1
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
def _ray(p: Panel, x: float, y: float, layer: int) -> tuple[float, float, float, float]:
    """Direction and length [m] of the way to a point of a layer of the sensor."""
    axes = p.axes
    fdet, sdet, odet = x * p.pixel_size, y * p.pixel_size, layer * p.layer_step
    dx = fdet * axes[0, 0] + sdet * axes[1, 0] + odet * axes[2, 0] + axes[3, 0]
    dy = fdet * axes[0, 1] + sdet * axes[1, 1] + odet * axes[2, 1] + axes[3, 1]
    dz = fdet * axes[0, 2] + sdet * axes[1, 2] + odet * axes[2, 2] + axes[3, 2]
    if p.curved:
        r = p.distance
        ahead = (r * axes[4, 0], r * axes[4, 1], r * axes[4, 2])
        dx, dy, dz = _turn(_turn(ahead, axes[1], dy / r), axes[0], dz / r)
    path = math.sqrt(dx * dx + dy * dy + dz * dz)
    return dx / path, dy / path, dz / path, path


@exact_jit
def _caught(p: Panel, dx: float, dy: float, dz: float, path: float, layer: int) -> float:
    """Solid angle of a pixel times the share that a layer of the sensor captures."""
    omega = 1.0 / (path * path)
    if not p.point_pixel:
        omega *= p.pixel_size * p.pixel_size * p.close_distance / path
    if p.absorbing:
        cosine = 1.0
        if not p.radial_sensor:
            cosine = dx * p.axes[2, 0] + dy * p.axes[2, 1] + dz * p.axes[2, 2]
        depth = p.layer_step * p.attenuation / cosine
        omega *= math.exp(-layer * depth) - math.exp(-(layer + 1) * depth)
    return omega


@exact_jit
def _polarization(p: Panel, i: int, dx: float, dy: float, dz: float, cos_2theta: float) -> float:
    """The factor of polarization of a source."""
    if not p.polarized:
        return 1.0
    beams = p.sources
    cos_sqr = cos_2theta * cos_2theta
    polar = 1.0 + cos_sqr
    b = dx * beams[i, 3] + dy * beams[i, 4] + dz * beams[i, 5]
    e = dx * beams[i, 6] + dy * beams[i, 7] + dz * beams[i, 8]
    across = b * b + e * e
    if p.kahn != 0.0 and across > 0.0:
        polar -= p.kahn * (e * e - b * b) / across * (1.0 - cos_sqr)
    return 0.5 * polar


@exact_jit
def _stol(p: Panel, i: int, dx: float, dy: float, dz: float) -> float:
    """Half the length of the scattering vector, sin θ/λ [1/Å]."""
    gx, gy, gz = dx - p.sources[i, 0], dy - p.sources[i, 1], dz - p.sources[i, 2]
    return float(0.5 * math.sqrt(gx * gx + gy * gy + gz * gz) / p.sources[i, 9])


@exact_jit
def _cos_2theta(p: Panel, i: int, dx: float, dy: float, dz: float) -> float:
    return float(dx * p.sources[i, 0] + dy * p.sources[i, 1] + dz * p.sources[i, 2])


@exact_jit
def _towards(p: Panel, x: float, y: float) -> float:
    """Photons in a pixel if all of it were as at the point x, y [pixels along fast and slow]."""
    total = 0.0
    for layer in range(p.sensor_layers):
        dx, dy, dz, path = _ray(p, x, y, layer)
        caught = _caught(p, dx, dy, dz, path, layer)
        for i in range(p.sources.shape[0]):
            s, cos_2theta = _stol(p, i, dx, dy, dz), _cos_2theta(p, i, dx, dy, dz)
            scattered = 0.0
            for part in range(len(p.photons)):
                F = amplitude(p, part, s)
                scattered += p.photons[part] * F * F * slab(p.depth[part, i], cos_2theta)
            polar = _polarization(p, i, dx, dy, dz, cos_2theta)
            total += scattered * polar * caught * p.sources[i, 10]
    return total


@exact_jit
def at_points(p: Panel, slow: Array, fast: Array) -> Array:
    """Photons in pixels whose centres are at slow [n] and fast [m], whole or not: [n, m].

    The mean over four points of each pixel.
    """
    out = np.empty((len(slow), len(fast)))
    for i in range(len(slow)):
        for j in range(len(fast)):
            y0, y1 = slow[i] - GAUSS, slow[i] + GAUSS
            x0, x1 = fast[j] - GAUSS, fast[j] + GAUSS
            here = _towards(p, x0, y0) + _towards(p, x1, y0)
            out[i, j] = 0.25 * (here + _towards(p, x0, y1) + _towards(p, x1, y1))
    return out


@exact_jit
def without_F(p: Panel, layer: int, source: int, part: int, slow: Array, fast: Array) -> Array:
    """Photons that a layer of the sensor would hold at points slow [n], fast [m], of one source
    and one amorphous layer, if its F were 1: [n, m].  Smooth, whatever the table."""
    out = np.empty((len(slow), len(fast)))
    for i in range(len(slow)):
        for j in range(len(fast)):
            dx, dy, dz, path = _ray(p, fast[j], slow[i], layer)
            cos_2theta = _cos_2theta(p, source, dx, dy, dz)
            polar = _polarization(p, source, dx, dy, dz, cos_2theta)
            leaves = p.photons[part] * slab(p.depth[part, source], cos_2theta)
            caught = _caught(p, dx, dy, dz, path, layer)
            out[i, j] = leaves * polar * caught * p.sources[source, 10]
    return out


@exact_jit
def add_with_F(
    p: Panel, layer: int, source: int, part: int, values: Array, down: Array, across: Array,
    first_row: int, first_col: int, out: Array,
) -> None:  # fmt: skip
    """Add a source and an amorphous layer to pixels [rows, cols] of a flat panel.

    Parameters
    ----------
    values
        What :func:`without_F` has at the nodes of a polynomial [k, k].
    down, across
        That polynomial at the two points of Gauss of each row [2, rows, k] and column [2, k, cols].
    first_row, first_col
        The first of the pixels.
    """
    rows, cols = out.shape
    nodes = values.shape[0]
    smooth, s, along = np.empty(cols), np.empty(cols), np.empty(nodes)
    axes, beam, size = p.axes, p.sources[source], p.pixel_size
    bx, by, bz, half = beam[0], beam[1], beam[2], 0.5 / beam[9]
    odet = layer * p.layer_step
    for i in range(rows):
        for a in range(2):
            sdet = (first_row + i + 0.5 + (2 * a - 1) * GAUSS) * size
            x0 = sdet * axes[1, 0] + odet * axes[2, 0] + axes[3, 0]
            y0 = sdet * axes[1, 1] + odet * axes[2, 1] + axes[3, 1]
            z0 = sdet * axes[1, 2] + odet * axes[2, 2] + axes[3, 2]
            for m in range(nodes):
                along[m] = 0.0
                for k in range(nodes):
                    along[m] += down[a, i, k] * values[k, m]
            for b in range(2):
                for j in range(cols):
                    smooth[j] = 0.25 * across[b, 0, j] * along[0]
                for m in range(1, nodes):
                    weight = 0.25 * along[m]
                    for j in range(cols):
                        smooth[j] += across[b, m, j] * weight
                for j in range(cols):
                    fdet = (first_col + j + 0.5 + (2 * b - 1) * GAUSS) * size
                    dx = x0 + fdet * axes[0, 0]
                    dy = y0 + fdet * axes[0, 1]
                    dz = z0 + fdet * axes[0, 2]
                    path = math.sqrt(dx * dx + dy * dy + dz * dz)
                    gx, gy, gz = dx / path - bx, dy / path - by, dz / path - bz
                    s[j] = half * math.sqrt(gx * gx + gy * gy + gz * gz)
                for j in range(cols):
                    F = amplitude(p, part, s[j])
                    out[i, j] += smooth[j] * F * F
