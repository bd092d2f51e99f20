"""The reflections that an experiment brings onto its detector: where, at what angle, how bright."""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import scene_of_shot
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment
from tiledsim.kernels.derived import polarization_axes
from tiledsim.reach.groups import group_orientations
from tiledsim.scene import Scene
from tiledsim.scene.build import build_scene
from tiledsim.scene.pixels import pixel_axes, pixel_coordinates
from tiledsim.scene.transmission import let_out
from tiledsim.units import ANGSTROM, THOMSON_RADIUS_SQUARED_M2
from tiledsim.vectors import Array

SPOT = np.dtype(
    [
        ("shot", "i8"),
        ("panel", "i8"),
        ("h", "i8"),
        ("k", "i8"),
        ("l", "i8"),
        ("fast_px", "f8"),
        ("slow_px", "f8"),
        ("two_theta_deg", "f8"),
        ("wavelength_A", "f8"),
        ("photons", "f8"),
    ]
)
"""A row of the table.  Pixels count from the outer corner of pixel 0,0."""

FAINTEST = 1e-6
"""F_latt² over that on the reflection, below which a reflection is not excited."""
WIDTH = 2.0 / 0.63
"""F_latt² of `gauss` is N²·exp(−WIDTH·fudge·w)."""
EDGE = 0.3969
AT_ONCE = 2_000_000


def spots(experiment: Experiment, *, minimum_photons: float = 0.0) -> NDArray[np.void]:
    """Predict the reflections of every shot.

    A reflection is excited where an orientation and a source bring it so near to the Ewald sphere
    that F_latt² is 1e-6 of its peak.  Position, angle and wavelength are means over those,
    weighted by photons.  Photons are the integral of F_latt² over the spot, which for `gauss` and
    `tophat` is that of the images; `square` and `round` are taken as the `gauss` of the same cells.

    Parameters
    ----------
    experiment
        What is simulated.
    minimum_photons
        Fainter reflections are left out.

    Returns
    -------
    numpy.ndarray
        Structured, of dtype :data:`SPOT`, by shot, panel, h, k, l; 0 0 0, which is the beam
        itself, is not in it.

    Raises
    ------
    ExperimentError
        For an experiment that cannot be simulated, and for curved detectors.
    """
    scene = build_scene(experiment)
    if scene.curved:
        raise ExperimentError("detector.curved = true: spots are predicted on flat detectors only")
    table = np.concatenate([_shot(scene, shot) for shot in range(scene.shape[0])])
    table = table[table["photons"] >= minimum_photons]
    return np.asarray(table[np.lexsort([table[name] for name in ("l", "k", "h", "panel", "shot")])])


def _shot(scene: Scene, shot: int) -> NDArray[np.void]:
    if scene.shot_values is not None:
        rows = _shot(scene_of_shot(scene, shot), 0)
        rows["shot"] = shot
        return rows
    found = _Sums()
    groups = group_orientations(scene)
    orientations = scene.orientation_table(shot)
    for start, stop, tilt in zip(groups.first[:-1], groups.first[1:], groups.tilt, strict=True):
        hkl = _candidates(scene, orientations[start], float(tilt))
        F = _factors(scene, hkl)
        hkl, F = hkl[F != 0.0], F[F != 0.0]
        portion = max(1, AT_ONCE // max(1, stop - start))
        for at in range(0, len(hkl), portion):
            part = slice(at, at + portion)
            found.add(scene, shot, orientations[start:stop], hkl[part], F[part])
    return found.table(scene, shot)


def _corner_directions(scene: Scene) -> Array:
    """Directions [n, 3] of a net over every panel, its corners included."""
    slow = np.linspace(0.0, scene.shape[2], 9) * scene.pixel_size
    fast = np.linspace(0.0, scene.shape[3], 9) * scene.pixel_size
    axes = np.stack([pixel_axes(scene, panel) for panel in range(scene.shape[1])])
    points = (
        scene.origin[:, None, None]
        + slow[:, None, None] * axes[:, 1, None, None]
        + fast[:, None] * axes[:, 0, None, None]
    ).reshape(-1, 3)
    return np.asarray(points / np.linalg.norm(points, axis=1)[:, None])


def _radius(scene: Scene) -> float:
    """How far [1/m] a reflection reaches at FAINTEST."""
    star = np.linalg.inv(np.asarray(scene.cells[0])).T
    metric = np.diag(np.array(scene.cell_counts, dtype=np.float64))
    if scene.crystal_shape in ("gauss", "tophat"):
        metric = scene.offset_metric(0)
    reach = math.sqrt(_limit(scene))
    return float(np.linalg.svd(np.linalg.inv(metric) @ star)[1].max()) * reach


def _limit(scene: Scene) -> float:
    """Largest w at which a reflection is excited."""
    if scene.crystal_shape == "tophat":
        return EDGE / scene.fudge
    return -math.log(FAINTEST) / (WIDTH * scene.fudge)


def _candidates(scene: Scene, abc: Array, tilt: float) -> NDArray[np.int64]:
    """Reflections [n, 3] that an orientation within ``tilt`` rad of this one may excite."""
    directions = _corner_directions(scene)
    wave = 1.0 / np.asarray(scene.wavelength)
    low, high = float(wave.min()), float(wave.max())
    beam = np.asarray(scene.incident).mean(axis=0)
    beam /= np.linalg.norm(beam)
    spread = float(np.linalg.norm(scene.incident - beam, axis=1).max())
    radius = _radius(scene)
    chord = float(np.linalg.norm(directions - beam, axis=1).max()) * 1.02 + 0.01
    largest = high * min(chord + spread, 2.0) + radius
    star = np.linalg.inv(abc).T
    most = [int(largest * np.linalg.norm(v)) + 1 for v in abc]
    k_and_l = np.stack(
        np.meshgrid(*(np.arange(-n, n + 1) for n in most[1:]), indexing="ij"), axis=-1
    ).reshape(-1, 2)
    kept = []
    for h in range(-most[0], most[0] + 1):
        g = h * star[0] + k_and_l @ star[1:]
        g2 = (g * g).sum(axis=1)
        along = g @ beam
        slack = np.sqrt(g2) * (tilt + spread) + radius + radius**2 / (2.0 * low)
        near = (along + g2 / (2.0 * high) <= slack) & (along + g2 / (2.0 * low) >= -slack)
        chosen = k_and_l[near & (g2 <= largest**2) & (g2 > 0.0)]
        kept.append(np.column_stack([np.full(len(chosen), h), chosen]))
    return np.concatenate(kept).astype(np.int64)


def _factors(scene: Scene, hkl: NDArray[np.int64]) -> Array:
    """|F| [n] of reflections, the part that depends on the wavelength left out."""
    at = hkl - np.array(scene.hkl_lowest) + 1
    at = np.clip(at, 0, np.array(scene.F_table.shape) - 1)
    return np.asarray(scene.F_table[at[:, 0], at[:, 1], at[:, 2]], dtype=np.float64)


class _Sums:
    """Photons of each panel and reflection, and the sums of what is averaged with them."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.int64], Array]] = []

    def add(
        self, scene: Scene, shot: int, orientations: Array, hkl: NDArray[np.int64], F: Array
    ) -> None:
        """Take the reflections [n, 3] of some orientations, from every source."""
        metric = np.diag(np.array(scene.cell_counts, dtype=np.float64))
        if scene.crystal_shape in ("gauss", "tophat"):
            metric = scene.offset_metric(shot)
        cells = scene.cells_in_block
        axes, limit = polarization_axes(scene), _limit(scene)
        photons = THOMSON_RADIUS_SQUARED_M2 * scene.fluence * scene.blocks
        photons /= scene.sources * scene.orientations
        for abc in orientations:
            g = hkl @ np.linalg.inv(abc).T
            project = metric.T @ abc
            for s in range(scene.sources):
                k = 1.0 / float(scene.wavelength[s])
                v = g + k * scene.incident[s]
                length = np.linalg.norm(v, axis=1)
                d = v / length[:, None]
                # u on the sphere next to the reflection, and the plane that touches it there.
                u = ((k - length)[:, None] * d) @ project.T
                normal = d @ np.linalg.inv(project)
                size = np.linalg.norm(normal, axis=1)
                w = ((u * normal).sum(axis=1) / size) ** 2
                excited = np.flatnonzero(w <= limit)
                if not len(excited):
                    continue
                d, w, size = d[excited], w[excited], size[excited]
                # The area of the sphere is |det ∂u/∂q|·|normal| that of its image in u.
                area = 1.0 / (abs(float(np.linalg.det(project))) * size)
                if scene.crystal_shape == "tophat":
                    integral = math.pi * (limit - w) * area
                else:
                    width = WIDTH * scene.fudge
                    integral = math.pi / width * np.exp(-width * w) * area
                polar = _polarization(scene, d, s, axes.vertical[s], axes.horizontal[s])
                bright = (cells * F[excited]) ** 2 * integral / k**2 * polar
                bright *= photons * float(scene.weight[s]) * let_out(scene, d)
                self._take(scene, hkl[excited], d, bright, s)

    def _take(self, scene: Scene, hkl: NDArray[np.int64], d: Array, bright: Array, s: int) -> None:
        for panel in range(scene.shape[1]):
            facing = d @ scene.normal[panel]
            close = float(scene.origin[panel] @ scene.normal[panel])
            with np.errstate(divide="ignore", invalid="ignore"):
                r = close / facing
                at = r[:, None] * d - scene.origin[panel]
            fast, slow = pixel_coordinates(scene, panel, at)
            inside = (r > 0) & (fast >= 0) & (fast < scene.shape[3])
            inside &= (slow >= 0) & (slow < scene.shape[2])
            if not inside.any():
                continue
            caught = bright[inside]
            if scene.absorbing:
                depth = scene.layers * scene.layer_step * scene.attenuation
                caught = caught * (1.0 - np.exp(-depth / facing[inside]))
            angle = np.degrees(np.arccos(np.clip(d[inside] @ scene.incident[s], -1.0, 1.0)))
            wavelength = float(scene.wavelength[s]) * ANGSTROM
            values = np.column_stack(
                [fast[inside], slow[inside], angle, np.full(len(caught), wavelength)]
            )
            key = np.column_stack([np.full(len(caught), panel), hkl[inside]])
            self._parts.append((key, np.column_stack([values * caught[:, None], caught])))

    def table(self, scene: Scene, shot: int) -> NDArray[np.void]:
        """Reduce to a row a panel and reflection."""
        if not self._parts:
            return np.empty(0, dtype=SPOT)
        keys, values = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        unique, place = np.unique(keys, axis=0, return_inverse=True)
        sums = np.zeros((len(unique), values.shape[1]))
        np.add.at(sums, place.reshape(-1), values)
        rows = np.empty(len(unique), dtype=SPOT)
        rows["shot"] = shot
        for i, name in enumerate(("panel", "h", "k", "l")):
            rows[name] = unique[:, i]
        rows["photons"] = sums[:, 4]
        with np.errstate(invalid="ignore"):
            for i, name in enumerate(("fast_px", "slow_px", "two_theta_deg", "wavelength_A")):
                rows[name] = sums[:, i] / sums[:, 4]
        return rows[rows["photons"] > 0.0]


def _polarization(scene: Scene, d: Array, s: int, vertical: Array, horizontal: Array) -> Array:
    if not scene.polarized:
        return np.ones(len(d))
    cosine = d @ scene.incident[s]
    e, b = d @ horizontal, d @ vertical
    norm = e * e + b * b
    cos_2psi = np.divide(e * e - b * b, norm, out=np.ones(len(d)), where=norm > 0.0)
    return np.asarray(0.5 * (1.0 + cosine**2 - scene.polarization * cos_2psi * (1.0 - cosine**2)))
