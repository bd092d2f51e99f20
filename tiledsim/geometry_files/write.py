"""Write the geometry of an experiment for other programs."""

import json
from typing import Final, Literal

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment, Sensor
from tiledsim.experiment.toml import format_fields
from tiledsim.geometry_files.crystfel import geom_text
from tiledsim.geometry_files.described import FileGeometry, FilePanel
from tiledsim.geometry_files.expand import sections
from tiledsim.geometry_files.sensor import FileSensor
from tiledsim.geometry_files.xds import xds_text
from tiledsim.image_files.dials.models import UNKNOWN_SPACE_GROUP, expt_document
from tiledsim.image_files.instrument import FlatPanel, Instrument, SensorLayer, imgcif_rotation
from tiledsim.scene.crystal.lattice import build_lattice, phi_steps
from tiledsim.scene.detector.geometry import geometry_of
from tiledsim.scene.single import shot_cells, with_cell
from tiledsim.structure_factors.load import file_cell
from tiledsim.structure_factors.symmetry import find_space_group
from tiledsim.units import ANGSTROM, MM, UM
from tiledsim.vectors import Array, unit

Target = Literal["expt", "geom", "xds", "toml"]
TARGETS: Final = ("expt", "geom", "xds", "toml")
NEARLY: Final = 0.98
"""Cosine with −z above which a beam says that its frame is that of imgCIF already."""
SATURATION: Final = 2.0**31 - 3


def geometry_text(geometry: FileGeometry, to: Target) -> str:
    """Return a geometry as the text of a file.

    Raises ExperimentError for what the format cannot say; it names one that can.
    """
    if to == "geom":
        spindle = np.array([1.0, 0, 0]) if geometry.spindle is None else geometry.spindle
        turn = imgcif_rotation(geometry.beam, spindle, geometry.panels[0].fast)
        return geom_text(turned(geometry, turn))
    if to == "xds":
        return xds_text(geometry)
    if to == "toml":
        return format_fields({name: part for name, part in sections(geometry).items() if part})
    return json.dumps(_expt(geometry), indent=2) + "\n"


def turned(geometry: FileGeometry, turn: Array) -> FileGeometry:
    """Return a geometry in another frame; ``turn`` is the rotation [3, 3] to it."""

    def vector(value: Array | None) -> Array | None:
        return None if value is None else turn @ value

    crystals = geometry.crystals_A
    return FileGeometry(
        panels=tuple(
            FilePanel(turn @ p.origin_mm, turn @ p.fast, turn @ p.slow, p.pixel_mm, p.size_px,
                      p.masked_px)
            for p in geometry.panels
        ),
        beam=turn @ unit(geometry.beam), wavelength_A=geometry.wavelength_A,
        polarization=geometry.polarization, polarization_axis=vector(geometry.polarization_axis),
        spindle=vector(geometry.spindle), start_deg=geometry.start_deg,
        step_deg=geometry.step_deg, frames=geometry.frames,
        crystals_A=None if crystals is None else crystals @ turn.T, mask_file=geometry.mask_file,
        sensor=geometry.sensor, space_group=geometry.space_group,
    )  # fmt: skip


def _expt(geometry: FileGeometry) -> dict[str, object]:
    if geometry.wavelength_A is None:
        raise ExperimentError("an experiment list needs a wavelength, and there is none")
    width = geometry.step_deg or 0.0
    crystals = geometry.crystals_A
    shots = (
        geometry.frames if width and geometry.frames else 1 if crystals is None else len(crystals)
    )
    known = np.eye(3)[None] if crystals is None else crystals
    axis, sensor = geometry.polarization_axis, geometry.sensor
    thickness = 0.0 if sensor is None else sensor.thickness_mm
    hall = UNKNOWN_SPACE_GROUP
    if geometry.space_group is not None:
        hall = find_space_group(geometry.space_group).hall
    return expt_document(
        Instrument(
            panels=tuple(
                FlatPanel(p.origin_mm, unit(p.fast), unit(p.slow), p.pixel_mm, p.size_px,
                          p.masked_px)
                for p in geometry.panels
            ),
            wavelength_A=geometry.wavelength_A,
            polarization=geometry.polarization or 0.0,
            polarization_axis=np.array([1.0, 0, 0]) if axis is None else axis,
            fluence_photons_per_m2=0.0, exposure_s=1.0,
            spindle=np.array([1.0, 0, 0]) if geometry.spindle is None else unit(geometry.spindle),
            start_deg=geometry.start_deg + width * np.arange(float(shots)), width_deg=width,
            crystals_A=np.repeat(known, shots, axis=0) if len(known) == 1 else known,
            beam=unit(geometry.beam),
            sensor=None if sensor is None else SensorLayer(sensor.material or "", thickness),
        ),
        [], SATURATION, 0.0 if sensor is None else sensor.attenuation_per_mm or 0.0, hall,
        crystals=crystals is not None,
    )  # fmt: skip


def _sensor(sensor: Sensor) -> FileSensor | None:
    if not sensor.thickness_um or not (sensor.depth_um or sensor.material):
        return None
    attenuation_per_mm = UM / sensor.depth_um / MM if sensor.depth_um else None
    return FileSensor(sensor.thickness_um / UM * MM, sensor.material, attenuation_per_mm)


def described(experiment: Experiment) -> FileGeometry:
    """Return the geometry of an experiment, in the imgCIF frame.

    Where the beam of the experiment runs nearly along −z, its frame is taken for that.  Raises
    ExperimentError for a curved detector, which no file describes.
    """
    if experiment.detector.curved:
        raise ExperimentError("a curved detector cannot be written: files hold flat panels")
    of_file = file_cell(experiment.structure_factors)
    space_group = experiment.crystal.space_group or (of_file[1] if of_file else None)
    experiment = with_cell(experiment)
    detector, beam = experiment.detector, experiment.beam
    geometry = geometry_of(experiment)
    lattice = build_lattice(experiment.crystal, beam.central_wavelength_A, experiment.active_quirks)
    cells = shot_cells(experiment, lattice, geometry.spindle)[0] * ANGSTROM
    sweep = np.degrees(phi_steps(experiment.rotation).extent)
    frames = experiment.rotation.frames
    own = [(panel.size_px, panel.masked_px) for panel in detector.panels] or [(None, ())]
    found = FileGeometry(
        panels=tuple(
            FilePanel(
                geometry.origin[n] * MM, geometry.fast[n], geometry.slow[n],
                detector.pixel_sides_mm[n], size or detector.size_px,
                detector.masked_px + masked,
            )
            for n, (size, masked) in enumerate(own)
        ),
        beam=geometry.beam, wavelength_A=beam.central_wavelength_A,
        polarization=beam.polarization, polarization_axis=geometry.polarization_axis,
        spindle=geometry.spindle, start_deg=experiment.rotation.start_deg,
        step_deg=float(sweep) or None, frames=(frames or 1) if sweep else None,
        crystals_A=cells[:1] if frames else cells, mask_file=detector.mask_file,
        sensor=_sensor(detector.sensor), space_group=space_group,
    )  # fmt: skip
    if float(unit(found.beam) @ [0.0, 0.0, -1.0]) > NEARLY:
        return found
    return turned(found, imgcif_rotation(geometry.beam, geometry.spindle, geometry.fast[0]))
