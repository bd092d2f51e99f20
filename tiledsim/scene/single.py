"""From an experiment whose shots are one table of orientations to its scene."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Detector, Experiment, Sampling, Sensor
from tiledsim.quirks import Quirk
from tiledsim.reference.raster_quirks import find_first_evaluations, find_interpolation_stops
from tiledsim.scene import Correction, Scene
from tiledsim.scene.background import build_layers
from tiledsim.scene.crystal.absorption import crystal_absorption
from tiledsim.scene.crystal.block import check_block
from tiledsim.scene.crystal.lattice import (
    Lattice,
    build_lattice,
    dual,
    mosaic_rotations,
    orientation_rotations,
    phi_angles,
    size_in_cells,
)
from tiledsim.scene.crystal.random import uniform_rotations
from tiledsim.scene.crystal.real_crystal import (
    anisotropic_domains,
    block_cells,
    lit_blocks,
    shaken,
)
from tiledsim.scene.detector.geometry import Geometry, geometry_of
from tiledsim.scene.detector.masks import load_mask
from tiledsim.scene.detector.noise import build_noise, refuse_serial_noise
from tiledsim.scene.materials import MATERIALS, attenuation_per_m
from tiledsim.scene.resolution import detector_dmin_A, fine_oversampling
from tiledsim.scene.sources import build_sources
from tiledsim.scene.sweeps import complete
from tiledsim.structure_factors.load import Conditions, file_cell, load_structure_factors
from tiledsim.structure_factors.table import FTable
from tiledsim.units import ANGSTROM, HC_EV_A, MM, UM
from tiledsim.vectors import Array, axis_rotation, xyz_rotation


def build_single(experiment: Experiment, dmin_margin: float = 1.0) -> Scene:
    """Make the scene of an experiment whose crystal has a cell, and whose shots are one table of
    orientations; ``dmin_margin`` times the detector's resolution is what F is read to.
    """
    quirks = experiment.active_quirks
    beam, crystal, detector = experiment.beam, experiment.crystal, experiment.detector
    geometry = geometry_of(experiment)
    sources = build_sources(beam, geometry.beam, geometry.polarization_axis, quirks)
    lattice = build_lattice(crystal, beam.central_wavelength_A, quirks)
    cell_counts = size_in_cells(crystal, lattice.direct, beam.beamsize_mm, quirks)
    phi = phi_angles(experiment.rotation)
    cell_counts = block_cells(crystal, lattice) or cell_counts
    check_block(crystal, cell_counts, experiment.mode)
    domains = mosaic_rotations(crystal.mosaic, quirks)
    mix = anisotropic_domains(crystal.mosaic, lattice)
    if mix is not None:
        domains = np.broadcast_to(np.eye(3), mix.shape)
    rotations = orientation_rotations(phi, geometry.spindle, domains, quirks)
    factors = experiment_factors(
        experiment, geometry, lattice, float(sources.wavelength.min()), dmin_margin
    )
    cells, reciprocal = shot_cells(experiment, lattice, geometry.spindle)
    sensor = sensor_layers(
        with_depth(detector.sensor, beam.central_wavelength_A), experiment.sampling, quirks
    )
    refuse_serial_noise(experiment.noise, experiment.mode)
    noise = build_noise(experiment.noise, detector)
    amorphous = build_layers(experiment, sources.wavelength)
    fast, slow = detector.size_px
    thick, polar, omega = (
        correction(flag, quirks)
        for flag in (
            experiment.sampling.oversample_thick,
            experiment.sampling.oversample_polar,
            experiment.sampling.oversample_omega,
        )
    )
    scene = Scene(
        shape=(experiment.shot_count, len(geometry.origin), slow, fast),
        mode=experiment.mode,
        quirks=tuple(sorted(quirks)),
        origin=geometry.origin,
        fast=geometry.fast,
        slow=geometry.slow,
        normal=geometry.normal,
        close_distance=geometry.close_distance,
        distance=geometry.distance,
        beam=geometry.beam,
        pixel_size=detector.pixel_mm / MM,
        pixel_sides=pixel_sides(detector),
        curved=detector.curved,
        point_pixel=detector.point_pixel,
        layers=sensor.layers,
        layer_step=sensor.step,
        attenuation=sensor.attenuation,
        absorbing=sensor.absorbing,
        radial_sensor=detector.curved and "flat_normal" not in quirks,
        incident=sources.incident,
        wavelength=sources.wavelength,
        weight=sources.weight * len(sources.weight),
        cells=cells,
        reciprocal_A=reciprocal,
        rotations=rotations.steady,
        phi=phi,
        first_rotations=rotations.first,
        first_evaluation=None,
        domain_mix=None if mix is None else np.tile(mix, (len(phi), 1, 1)),
        blocks=lit_blocks(crystal, beam, lattice, cell_counts, quirks),
        cell_counts=cell_counts,
        cross_counts=crystal.cells_ab_bc_ac,
        absorption=crystal_absorption(
            crystal,
            beam.central_wavelength_A / ANGSTROM,
            experiment.mode,
            curved=detector.curved,
        ),
        crystal_shape=crystal.shape,
        fudge=crystal.fudge,
        F_table=factors.padded,
        hkl_lowest=factors.lowest,
        default_F=factors.default_F,
        F_complex=complex_table(factors),
        dispersion=dispersion_of(factors, sources.wavelength),
        uniform_F=factors.entries == 0,
        interpolate=interpolates(experiment, factors, cell_counts),
        interpolation_stop=None,
        polarization=beam.polarization,
        polarization_axis=geometry.polarization_axis,
        polarized=beam.polarization_correction,
        fluence=beam.fluence,
        water=experiment.background.water_um / UM,
        water_twice="water_twice" in quirks,
        dmin=experiment.sampling.dmin_A / ANGSTROM,
        tolerance_photons=tolerance(experiment.sampling.tolerance_photons, 1e-3, experiment.mode),
        tolerance=tolerance(experiment.sampling.tolerance, 1e-6, experiment.mode),
        oversample=oversampling(experiment.sampling, lattice, cell_counts, geometry, experiment),
        thick_correction=thick,
        polar_correction=polar,
        omega_correction=omega,
        roi=detector.roi or (0, fast - 1, 0, slow - 1),
        mask=load_mask(detector, linear=experiment.mode == "c-parity"),
        amorphous_table=None if amorphous is None else amorphous.table,
        amorphous_parts=None if amorphous is None else amorphous.parts,
        amorphous_photons=None if amorphous is None else amorphous.photons,
        amorphous_depth=None if amorphous is None else amorphous.depth,
        noise=noise.model,
        pixel_state=noise.state,
        spread=noise.spread,
    )
    if scene.first_rotations is not None:
        scene = replace(scene, first_evaluation=find_first_evaluations(scene))
    if scene.interpolate and "interpolation_off" in quirks:
        scene = replace(scene, interpolation_stop=find_interpolation_stops(scene))
    return scene


def with_cell(experiment: Experiment) -> Experiment:
    """Return an experiment whose crystal has a cell: where none is given, that of the F file.

    Raises InputFileError where that file cannot be read, ExperimentError where it states no cell.
    """
    crystal = experiment.crystal
    if crystal.has_cell:
        return experiment
    found = file_cell(experiment.structure_factors)
    if found is None:
        raise ExperimentError(
            f"[crystal] no unit cell, and {experiment.structure_factors.file} states none: give "
            "cell_A_deg or mosflm_matrix_file"
        )
    return experiment.replace(crystal=crystal.model_copy(update={"cell_A_deg": found[0]}))


def experiment_factors(
    experiment: Experiment, geometry: Geometry, lattice: Lattice, shortest_wavelength_m: float,
    margin: float = 1.0,
) -> FTable:  # fmt: skip
    """Read the structure factors of an experiment, to the resolution of its detector times
    ``margin``.

    Raises ExperimentError or InputFileError as :func:`load_structure_factors`.
    """
    dmin = detector_dmin_A(geometry, experiment.detector, shortest_wavelength_m, lattice.reciprocal)
    conditions = Conditions(
        cell_A_deg=lattice.cell,
        space_group=experiment.crystal.space_group,
        dmin_A=max(dmin * margin, experiment.sampling.dmin_A),
        energy_eV=HC_EV_A / experiment.beam.central_wavelength_A,
    )
    factors = load_structure_factors(
        experiment.structure_factors, conditions, experiment.active_quirks
    )
    return shaken(factors, lattice, experiment.crystal.B_A2)


def complex_table(factors: FTable) -> NDArray[np.complex128] | None:
    """Put the complex tables of a wavelength-dependent F side by side, as kernels read them."""
    if factors.dispersion is None:
        return None
    return np.stack([factors.dispersion.base, *factors.dispersion.partial], axis=-1)


def dispersion_of(factors: FTable, wavelength_m: Array) -> NDArray[np.complex128] | None:
    """Return f′ + i f″ [S, E] of the elements whose scattering follows the wavelength [S]."""
    if factors.dispersion is None:
        return None
    from tiledsim.structure_factors.anomalous import factors_by_wavelength

    return factors_by_wavelength(factors.dispersion, wavelength_m * ANGSTROM)


def pixel_sides(detector: Detector) -> Array | None:
    """Sides of every panel's pixels over ``detector.pixel_mm`` [P, 2]; None where all are that."""
    sides = np.array(detector.pixel_sides_mm) / detector.pixel_mm
    return None if (sides == 1.0).all() else sides


def tolerance(asked: float | None, default: float, mode: str) -> float:
    """Return a tolerance as given, or its default: in c-parity every step is evaluated."""
    if asked is not None:
        return asked
    return 0.0 if mode == "c-parity" else default


def correction(per_subpixel: bool, quirks: frozenset[Quirk]) -> Correction:
    """Decide how a correction reaches the pixel, given nanoBragg's ``-oversample_*`` flag."""
    if per_subpixel and "running_product" in quirks:
        return "running"
    if not per_subpixel and "first_value_corrections" in quirks:
        return "first"
    return "own"


class SensorLayers(NamedTuple):
    """A sensor in layers; SI units."""

    layers: int
    step: float
    attenuation: float
    """μ [1/m]."""
    absorbing: bool


def with_depth(sensor: Sensor, wavelength_A: float) -> Sensor:
    """Return a sensor with the attenuation length of its material, where it has one by name.

    Raises ExperimentError for a wavelength at which it is not known.
    """
    if sensor.material is None or sensor.thickness_um == 0.0:
        return sensor
    density = MATERIALS[sensor.material].density_g_per_cm3
    mu = attenuation_per_m(sensor.material, wavelength_A / ANGSTROM, density)
    return sensor.model_copy(update={"depth_um": UM / mu})


def sensor_layers(sensor: Sensor, sampling: Sampling, quirks: frozenset[Quirk]) -> SensorLayers:
    """Resolve the layers of the sensor, each a T-th of its thickness.

    With the quirk ``sensor_step`` they are as far apart as nanoBragg's completion of counts makes
    them, and a depth of 0 before a thickness makes a sensor that captures nothing; so does
    ``oversample_thick`` without a sensor where the running sum is multiplied.
    """
    layers = complete(sensor.layers, sensor.thickness_um / UM, None, kind="sensor")
    as_nanobragg = "sensor_step" in quirks
    if layers.extent == 0.0:
        dead = sampling.oversample_thick and "running_product" in quirks
        return SensorLayers(1, 0.0, 0.0, dead)
    if sensor.depth_um == 0.0 and not as_nanobragg:
        return SensorLayers(1, 0.0, 0.0, False)
    step = layers.step if as_nanobragg else layers.extent / layers.points
    if sensor.depth_um is None:
        return SensorLayers(layers.points, step, 1.0 / layers.extent, True)
    attenuation = UM / sensor.depth_um if sensor.depth_um > 0.0 else 0.0
    return SensorLayers(layers.points, step, attenuation, True)


def recommended_oversampling(
    lattice: Lattice, cell_counts: tuple[int, int, int], geometry: Geometry, experiment: Experiment
) -> int:
    """ceil(3·(largest side of the crystal)·pixel/(λ₀·|distance|)), at least 1.

    With the quirk ``signed_distance`` the distance may be negative, and the result is 1.
    """
    distances = geometry.distance
    if "signed_distance" not in experiment.active_quirks:
        distances = np.abs(distances)
    wavelength = experiment.beam.central_wavelength_A / ANGSTROM
    return fine_oversampling(
        lattice.direct / ANGSTROM, cell_counts, float(distances.min()),
        experiment.detector.coarsest_pixel_mm / MM, wavelength,
    )  # fmt: skip


def oversampling(
    sampling: Sampling,
    lattice: Lattice,
    cell_counts: tuple[int, int, int],
    geometry: Geometry,
    experiment: Experiment,
) -> int:
    """Return the oversampling asked for, or the recommended one for ``auto``."""
    if sampling.oversample == "auto":
        return recommended_oversampling(lattice, cell_counts, geometry, experiment)
    return sampling.oversample


def interpolates(
    experiment: Experiment, factors: FTable, cell_counts: tuple[int, int, int]
) -> bool:
    """Whether structure factors are interpolated; ``auto`` does for any N ≤ 2 and a table."""
    asked = experiment.structure_factors.interpolate
    if factors.entries == 0:
        return False
    interpolate = min(cell_counts) <= 2 if asked == "auto" else asked
    if interpolate and factors.dispersion is not None:
        raise ExperimentError(
            "structure_factors.anomalous and interpolation (for 2 cells or fewer, or as asked for) "
            "exclude each other; set structure_factors.interpolate = false"
        )
    return interpolate


def shot_cells(experiment: Experiment, lattice: Lattice, spindle: Array) -> tuple[Array, Array]:
    """Direct [m] and reciprocal [1/Å] vectors of every shot, [shots, 3, 3] each.

    Those of a series are turned about the spindle by what lies between a frame and the first, so
    that all frames have the same φ steps.
    """
    shots, rotation = experiment.shots, experiment.rotation
    if shots.vectors_A is not None:
        own = np.array(shots.vectors_A)
        return own / ANGSTROM, np.stack([dual(vectors) for vectors in own])
    if rotation.frames is not None:
        width = math.radians(rotation.step_deg or 0.0)
        turns = np.stack([axis_rotation(spindle, width * n) for n in range(rotation.frames)])
    elif shots.misset_deg is not None:
        turns = np.stack([xyz_rotation([math.radians(x) for x in row]) for row in shots.misset_deg])
    elif shots.orientation == "random":
        turns = uniform_rotations(shots.seed, shots.count)
    else:
        turns = np.broadcast_to(np.eye(3), (shots.count, 3, 3))
    direct, reciprocal = lattice.direct / ANGSTROM, lattice.reciprocal
    if rotation.frames is None and shots.misset_deg is None and shots.orientation == "same":
        shape = (shots.count, 3, 3)  # not multiplied by the identity: its rounding is not wanted
        return np.broadcast_to(direct, shape).copy(), np.broadcast_to(reciprocal, shape).copy()
    return np.einsum("nij,vj->nvi", turns, direct), np.einsum("nij,vj->nvi", turns, reciprocal)
