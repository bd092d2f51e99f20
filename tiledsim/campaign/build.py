"""From an experiment with a table of shots to the scene of a campaign."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.columns import CELLS, LAYERS
from tiledsim.campaign.orientations import lattice_model
from tiledsim.campaign.sase_model import SaseModel
from tiledsim.campaign.spectra import read_spectra, sase_model
from tiledsim.campaign.table import ShotTable
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment, Mosaic, Shots, Spectrum
from tiledsim.scene.background import material_of
from tiledsim.scene.crystal.lattice import build_lattice, mosaic_rotations
from tiledsim.scene.crystal.real_crystal import absent
from tiledsim.scene.detector.geometry import geometry_of
from tiledsim.scene.materials import HIGHEST_EV, LOWEST_EV
from tiledsim.scene.scene import Scene
from tiledsim.scene.single import build_single, experiment_factors, with_cell
from tiledsim.scene.sources import build_sources
from tiledsim.units import ANGSTROM, HC_EV_A, MM
from tiledsim.vectors import Array

DMIN_MARGIN = 0.8
"""Structure factors are read to a finer resolution, by this factor, than the detector needs before
wavelength, cell or distance differ; always the same, so that shots do not depend on others."""


def build_campaign(experiment: Experiment) -> Scene:
    """Make the scene of a campaign: that of one shot, and the table.

    Raises ExperimentError or InputFileError for what cannot be simulated.
    """
    crystal, shots = experiment.crystal, experiment.shots
    table = table_of(experiment)
    names, values = table.for_scene()
    fields: dict[str, Any] = {}
    beam = experiment.beam
    if (shots.sase or shots.spectra_file) and (beam.spectrum or beam.source_file):
        raise ExperimentError(
            "[shots] sase and spectra_file give the spectrum of each shot; leave out beam.spectrum "
            "and source_file"
        )
    spectrum: Spectrum | None = None
    if shots.sase is not None:
        model = sase_model(shots.sase, shots.seed)
        spectrum = _mean_spectrum(model, beam.central_wavelength_A)
        fields["sase"] = model
    elif shots.spectra_file is not None:
        spectra = read_spectra(shots.spectra_file)
        chosen = values[:, names.index("spectrum")] if "spectrum" in names else None
        _check_rows(shots, len(spectra.weights), chosen, table.count)
        mean = tuple(map(float, spectra.weights.mean(axis=0)))
        spectrum = Spectrum(wavelengths_A=tuple(map(float, spectra.wavelengths_A)), weights=mean)
        fields["spectra"] = spectra.weights
    one = _of_one_shot(experiment, spectrum, names)
    scene = build_single(one, DMIN_MARGIN)
    if scene.uniform_F and "B_A2" in names:
        raise ExperimentError(
            "[shots] column 'B_A2' weakens reflections that a file holds; one default_F for all "
            "has no file"
        )
    if scene.dispersion is not None and "wavelength_A" in names:
        raise ExperimentError(
            "[shots] the mean wavelength cannot vary yet with structure factors that follow it; "
            "vary the spectrum, or leave out structure_factors.anomalous"
        )
    if any(crystal.cells_ab_bc_ac) and any(name in CELLS for name in names):
        raise ExperimentError(
            "[shots] the cells of a block cannot vary beside crystal.cells_ab_bc_ac; leave one out"
        )
    if "B_A2" in names:
        fields["absent_F"] = _absent(one)
    if "mosaic_spread_deg" in names:
        fields["mosaic_vectors"] = _mosaic_vectors(crystal.mosaic)
    if "lattices" in names:
        fields["lattices"] = lattice_model(shots)
    layers = experiment.background.layers
    if "wavelength_A" in names:
        materials = tuple(material_of(layer) for layer in layers)
        around = scene.wavelength * ANGSTROM / one.beam.central_wavelength_A
        _check_absorption(materials, around, values[:, names.index("wavelength_A")])
        fields["amorphous_materials"] = materials
    if set(LAYERS) & set(names):
        fields["amorphous_thickness"] = np.array([layer.thickness_mm / MM for layer in layers])
    return replace(
        scene, **fields, shape=(table.count, *scene.shape[1:]), shot_names=names,
        shot_values=values, base_distance=experiment.detector.distance_mm / MM,
        central_wavelength=one.beam.central_wavelength_A / ANGSTROM,
        auto_oversample=experiment.sampling.oversample == "auto",
    )  # fmt: skip


def table_of(experiment: Experiment) -> ShotTable:
    """Return the table of a campaign, with its columns as they were given or drawn."""
    experiment = with_cell(experiment)
    beam = experiment.beam
    lattice = build_lattice(experiment.crystal, beam.central_wavelength_A, frozenset())
    return ShotTable(experiment, lattice)


def _mean_spectrum(model: SaseModel, wavelength_A: float) -> Spectrum:
    energies = HC_EV_A / wavelength_A + model.offsets_eV
    if energies.min() <= 0.0:
        raise ExperimentError(
            f"[shots] sase.span_eV = {model.span_eV:g} reaches below 0 from "
            f"{HC_EV_A / wavelength_A:g} eV"
        )
    return Spectrum(
        wavelengths_A=tuple(map(float, HC_EV_A / energies)),
        weights=tuple(map(float, model.envelope)),
    )


def _check_rows(shots: Shots, rows: int, chosen: Array | None, count: int) -> None:
    """Refuse shots whose spectrum the file does not have."""
    if chosen is None and rows < count:
        raise ExperimentError(
            f"{shots.spectra_file}: {rows} spectra for {count} shots; give one a shot, or a column "
            "spectrum with its row"
        )
    if chosen is not None and (chosen >= rows).any():
        row = int((chosen >= rows).argmax())
        raise ExperimentError(
            f"[shots] spectrum in row {row} is {chosen[row]:g}: {shots.spectra_file} has rows 0 to "
            f"{rows - 1}"
        )


def _check_absorption(materials: tuple[str, ...], around: Array, wavelengths_A: Array) -> None:
    """Refuse mean wavelengths at which the absorption of a layer is not known.

    ``around`` [S] is what the sources' wavelengths are of the mean.
    """
    absorbing = [material for material in materials if material]
    if not absorbing:
        return
    longest, shortest = wavelengths_A * around.max(), wavelengths_A * around.min()
    wrong = (longest > HC_EV_A / LOWEST_EV) | (shortest < HC_EV_A / HIGHEST_EV)
    if wrong.any():
        row = int(wrong.argmax())
        raise ExperimentError(
            f"[shots] the wavelength in row {row} is {wavelengths_A[row]:g} A: the absorption of "
            f"{absorbing[0]} in background.layers is known from {LOWEST_EV:g} to {HIGHEST_EV:g} "
            "eV; give the layer an absorption_length_mm"
        )


def _of_one_shot(
    experiment: Experiment, spectrum: Spectrum | None, names: tuple[str, ...]
) -> Experiment:
    """Return the experiment of the shot that the rows of the table are differences from."""
    one = experiment.replace(shots=Shots())
    if spectrum is not None:
        one = one.replace(
            beam=one.beam.model_copy(
                update={"spectrum": spectrum, "wavelength_A": one.beam.central_wavelength_A,
                        "energy_eV": None}
            )
        )  # fmt: skip
    if "B_A2" in names:
        one = one.replace(crystal=one.crystal.model_copy(update={"B_A2": 0.0}))
    return one


def _absent(experiment: Experiment) -> NDArray[np.bool_]:
    """Return where the table of structure factors holds none [H+2, K+2, L+2]."""
    geometry = geometry_of(experiment)
    lattice = build_lattice(experiment.crystal, experiment.beam.central_wavelength_A, frozenset())
    sources = build_sources(experiment.beam, geometry.beam, geometry.polarization_axis, frozenset())
    return absent(
        experiment_factors(
            experiment, geometry, lattice, float(sources.wavelength.min()), DMIN_MARGIN
        )
    )


def _mosaic_vectors(mosaic: Mosaic) -> Array:
    """Rotation vectors [D, 3] of the domains for a spread of 1 rad: their angles scale with it."""
    turns = mosaic_rotations(
        mosaic.model_copy(update={"spread_deg": math.degrees(1.0)}), frozenset()
    )
    sines = 0.5 * np.stack(
        [turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0],
         turns[:, 1, 0] - turns[:, 0, 1]], axis=1,
    )  # fmt: skip
    length = np.linalg.norm(sines, axis=1)
    angle = np.arctan2(length, (np.trace(turns, axis1=1, axis2=2) - 1.0) / 2.0)
    return np.asarray(sines * (angle / np.maximum(length, 1e-300))[:, None])
