"""What a simulation knows and a program that processes it is to find: models and reflections."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import scene_of_shot
from tiledsim.image_files.dials.models import first_image, write_expt
from tiledsim.image_files.dials.reflections import Reflections, write_refl
from tiledsim.image_files.instrument import BEAM, FlatPanel, Instrument
from tiledsim.reach.bragg_law import Crossings, meet_panel, rotation_crossings, still_crossings
from tiledsim.scene import Scene
from tiledsim.scene.crystal.absorption import transmission
from tiledsim.scene.crystal.lattice import dual
from tiledsim.units import ANGSTROM, THOMSON_RADIUS_SQUARED_M2
from tiledsim.vectors import Array, unit

MEAN_LATTICE_FACTOR: Final = {"square": 1.0, "round": 0.895, "gauss": 0.984, "tophat": 1.046}
"""Mean of F_latt² over a reciprocal cell, divided by the number of cells, by shape."""


def write_truth(
    expt: Path, refl: Path, instrument: Instrument, scene: Scene, images: list[Path],
    saturation: float, numbers: Sequence[int],
) -> None:  # fmt: skip
    """Write the experiment list and the reflections of the exported shots and panels.

    ``numbers`` are those of the shots in the run.
    """
    mu = scene.attenuation / 1e3
    identifiers = write_expt(expt, instrument, images, saturation, mu)
    write_refl(refl, true_reflections(instrument, scene, images, numbers), identifiers)


def true_reflections(
    instrument: Instrument, scene: Scene, images: list[Path], numbers: Sequence[int]
) -> Reflections:
    """Predict the reflections of the shots of an instrument, whose ``numbers`` in the run are."""
    starts = np.radians(instrument.start_deg)
    width = np.radians(instrument.width_deg)
    shots = 1 if instrument.is_scan else instrument.shots
    before = first_image(images) - 1 if images and instrument.is_scan else 0
    tables = []
    candidates: tuple[NDArray[np.int64], Array] | None = None
    for shot in range(shots):
        one = instrument if instrument.is_scan else instrument.alone(shot)
        here = scene if scene.shot_values is None else scene_of_shot(scene, numbers[shot])
        if candidates is None or scene.shot_values is not None:
            candidates = _reflections_of(here, one)
        hkl, F = candidates
        q = hkl @ dual(one.crystals_A[0])
        s0 = BEAM / one.wavelength_A
        if instrument.width_deg > 0:
            stop = starts[-1] + width if instrument.is_scan else starts[shot] + width
            found = rotation_crossings(s0, instrument.spindle, q, starts[shot], stop)
            frames = (found.angle - starts[shot]) / width
            per_angle = 1.0 / (width * np.abs(found.crossing))
        else:
            sigma = _thickness(here, q)
            found = still_crossings(s0, q, 3.0 * sigma)
            frames = np.full(len(found.row), shot + 0.5)
            spread = sigma[found.row]
            per_angle = np.exp(-0.5 * (found.crossing / spread) ** 2) / (
                np.sqrt(2 * np.pi) * spread
            )
        photons = _photons(one, here, found, F[found.row], per_angle)
        tables.append(_on_panels(one, here, found, hkl, frames + before, photons, shot))
    columns = {name: np.concatenate([vars(t)[name] for t in tables]) for name in vars(tables[0])}
    return Reflections(**columns)


def _reflections_of(scene: Scene, instrument: Instrument) -> tuple[NDArray[np.int64], Array]:
    """Return Miller indices [n, 3] and amplitudes [n] that some pixel could see."""
    steepest = max(
        float(np.arccos(np.clip(unit(corner) @ BEAM, -1, 1)))
        for panel in instrument.panels
        for corner in _corners(panel)
    )
    longest = 2.0 * np.sin(steepest / 2.0) / instrument.wavelength_A
    if scene.dmin > 0:
        longest = min(longest, 1.0 / (scene.dmin * ANGSTROM))
    cell = instrument.crystals_A[0]
    most = np.floor(longest * np.linalg.norm(cell, axis=1)).astype(np.int64)
    axes = [np.arange(-n, n + 1) for n in most]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(hkl @ dual(cell), axis=1)
    hkl = hkl[(length > 0) & (length <= longest)]
    at = np.clip(hkl - np.array(scene.hkl_lowest) + 1, 0, np.array(scene.F_table.shape) - 1)
    F = np.asarray(scene.F_table[at[:, 0], at[:, 1], at[:, 2]], dtype=np.float64)
    return hkl[F != 0], F[F != 0]


def _corners(panel: FlatPanel) -> Array:
    fast, slow = (n * side for n, side in zip(panel.size_px, panel.pixel_mm, strict=True))
    return np.array([
        panel.origin_mm + i * fast * panel.fast + j * slow * panel.slow
        for i in (0, 1) for j in (0, 1)
    ])  # fmt: skip


def _thickness(scene: Scene, q: Array) -> Array:
    """Return the standard deviation of points' thickness [1/Å], by block size and mosaicity."""
    volume = float(abs(np.linalg.det(scene.cells[0]))) * ANGSTROM**3
    side = (scene.cells_in_block * volume) ** (1 / 3)
    table = scene.orientation_table(0)
    turns = np.linalg.inv(table[0]) @ table
    squares = 0.5 * ((turns - turns.mean(axis=0)) ** 2).sum(axis=(1, 2))
    tilt = float(np.sqrt(squares.mean() / 3.0))
    return np.asarray(np.hypot(1.0 / (side * np.sqrt(2 * np.pi)), tilt * np.linalg.norm(q, axis=1)))


def _photons(
    instrument: Instrument, scene: Scene, found: Crossings, F: Array, per_angle: Array
) -> Array:
    """Return the photons of whole spots: r_e²·Φ·P·A·F²·λ²·(N/V) times what a crossing lasts.

    Darwin's formula: ∫F_latt² d³q = N/V, and d³q = λ⁻²·dΩ·(crossing speed)·dφ.  ``per_angle`` is
    1/(speed·Δφ) [Å], or the density of a still's profile where it is cut.
    """
    volume = float(abs(np.linalg.det(instrument.crystals_A[0])))
    cells = scene.cells_in_block * MEAN_LATTICE_FACTOR[scene.crystal_shape]
    ray = unit(found.diffracted)
    cosine = ray @ BEAM
    polarized = np.ones(len(ray))
    if scene.polarized:
        across = unit(np.cross(instrument.polarization_axis, BEAM))
        plus, minus = ray @ instrument.polarization_axis, ray @ across
        twice = 2.0 * np.arctan2(minus, plus)
        sine2 = 1.0 - cosine**2
        polarized = 0.5 * (1.0 + cosine**2 - scene.polarization * np.cos(twice) * sine2)
    strength = THOMSON_RADIUS_SQUARED_M2 * scene.fluence * scene.blocks * polarized * F**2 * cells
    if scene.absorption is not None:
        wavelength = instrument.wavelength_A / ANGSTROM
        strength = strength * transmission(scene.absorption, wavelength, cosine)
    return np.asarray(strength * instrument.wavelength_A**2 / volume * per_angle)


def _parallax(scene: Scene, panel: FlatPanel, rays: Array, slant: Array) -> Array:
    """Return how far into the sensor photons are absorbed, seen along fast and slow [n, 2] in mm.

    The mean over exponential absorption in a layer of thickness t at a slant c (DIALS'
    ``ParallaxCorrectedPxMmStrategy``): 1/μ − (t/c + 1/μ)·exp(−μt/c), along the ray.
    """
    if not scene.absorbing:
        return np.zeros((len(rays), 2))
    length = 1e3 / scene.attenuation
    path = 1e3 * scene.layer_step * scene.layers / slant
    depth = length - (path + length) * np.exp(-path / length)
    return depth[:, None] * np.stack([rays @ panel.fast, rays @ panel.slow], axis=1)


def _on_panels(
    instrument: Instrument, scene: Scene, found: Crossings, hkl: NDArray[np.int64], frames: Array,
    photons: Array, shot: int,
) -> Reflections:  # fmt: skip
    """Keep what meets a panel inside its edges."""
    kept: list[Reflections] = []
    for number, panel in enumerate(instrument.panels):
        x, y = meet_panel(found.diffracted, panel.origin_mm, panel.fast, panel.slow)
        width, height = (n * side for n, side in zip(panel.size_px, panel.pixel_mm, strict=True))
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        slant = np.abs(unit(found.diffracted[inside]) @ panel.normal)
        caught = np.ones(len(slant))
        if scene.absorbing:
            depth = scene.attenuation * scene.layer_step * scene.layers
            caught = -np.expm1(-depth / slant)
        n = int(np.count_nonzero(inside))
        place = np.stack([x[inside], y[inside]], axis=1)
        seen = place + _parallax(scene, panel, unit(found.diffracted[inside]), slant)
        kept.append(Reflections(
            experiment=np.full(n, shot, dtype=np.int32),
            hkl=hkl[found.row[inside]].astype(np.int32),
            panel=np.full(n, number, dtype=np.int64),
            position_px=np.column_stack([seen / np.array(panel.pixel_mm), frames[inside]]),
            position_mm=np.column_stack([place, found.angle[inside]]),
            s1=found.diffracted[inside],
            entering=found.crossing[inside] > 0,
            photons=photons[inside] * caught,
        ))  # fmt: skip
    return Reflections(
        **{name: np.concatenate([vars(t)[name] for t in kept]) for name in vars(kept[0])}
    )
