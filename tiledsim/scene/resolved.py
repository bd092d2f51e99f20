"""What a scene's geometry is, in units that people use, under names that say what it is.

The store of a run carries these, so that no reader of it needs to repeat how conventions, beam
centres and rotations become vectors.
"""

import math
from dataclasses import dataclass

import numpy as np

from tiledsim.experiment import Experiment
from tiledsim.scene.crystal.lattice import phi_steps
from tiledsim.scene.detector.conventions import FRAMES
from tiledsim.scene.detector.geometry import geometry_of
from tiledsim.scene.pixels import pixel_m
from tiledsim.scene.scene import Scene
from tiledsim.units import ANGSTROM, MM
from tiledsim.vectors import Array

FRAME = (
    "right-handed laboratory frame of the experiment's convention; the sample at the origin; "
    "panel_origin_mm is the outer corner of pixel 0,0 of a panel"
)


@dataclass(frozen=True)
class Named:
    """One array with its dimensions, its unit and what it is."""

    values: Array
    dimensions: tuple[str, ...]
    units: str
    meaning: str


def resolved_arrays(experiment: Experiment, scene: Scene) -> dict[str, Named]:
    """Return the vectors of panels, sources and rotation by name; crystals are apart."""
    spindle = geometry_of(experiment).spindle
    unit = "1"
    vector = ("panel", "xyz")
    mixed = {} if scene.domain_mix is None else {
        "domain_mix": Named(
            scene.domain_mix, ("orientation", "to", "from"), unit,
            "matrices that take the rows of crystal_A to those of a domain, before orientation "
            "turns them",
        )
    }  # fmt: skip
    return mixed | {
        "panel_origin_mm": Named(
            scene.origin * MM, vector, "mm", "outer corner of pixel 0,0 of each panel"
        ),
        "panel_fast": Named(scene.fast, vector, unit, "unit vector along the fast pixels"),
        "panel_slow": Named(scene.slow, vector, unit, "unit vector along the slow pixels"),
        "panel_normal": Named(scene.normal, vector, unit, "unit normal of each panel"),
        "panel_pixel_mm": Named(
            np.array([pixel_m(scene, panel) for panel in range(scene.shape[1])]) * MM,
            ("panel", "side"), "mm", "sides of each panel's pixels, along fast and slow",
        ),
        "beam_direction": Named(scene.beam, ("xyz",), unit, "along which the photons travel"),
        "polarization_axis": Named(
            scene.polarization_axis, ("xyz",), unit, "preferred direction of the electric field"
        ),
        "source_direction": Named(
            scene.incident, ("source", "xyz"), unit, "along which each source's photons travel"
        ),
        "source_wavelength_A": Named(
            scene.wavelength * ANGSTROM, ("source",), "angstrom", "wavelength of each source"
        ),
        "source_weight": Named(
            scene.weight / scene.weight.sum(), ("source",), unit, "share of the photons"
        ),
        "spindle": Named(spindle, ("xyz",), unit, "axis that the crystal turns about"),
        "phi_deg": Named(
            np.degrees(scene.phi), ("phi",), "deg", "spindle angles that an exposure is made of"
        ),
        "orientation": Named(
            scene.rotations, ("orientation", "to", "from"), unit,
            "rotations of phi steps, outermost, and mosaic domains that turn crystal_A",
        ),
    }  # fmt: skip


def crystals(scene: Scene, first: int = 0, stop: int | None = None) -> Named:
    """Return the direct vectors of shots; of all by default."""
    stop = scene.shape[0] if stop is None else stop
    if scene.shot_values is None:
        cells = scene.cells[first:stop]
    else:
        from tiledsim.campaign.one_shot import cells_of_shots

        cells = cells_of_shots(scene, first, stop)
    return Named(
        cells * ANGSTROM, ("shot", "abc", "xyz"), "angstrom",
        "direct vectors a, b, c of each shot, at spindle angle 0",
    )  # fmt: skip


def resolved_numbers(experiment: Experiment, scene: Scene) -> dict[str, object]:
    """Return the numbers and names beside the arrays."""
    phi = phi_steps(experiment.rotation)
    detector, beam = experiment.detector, experiment.beam
    frame = FRAMES[detector.convention]
    return {
        "frame": FRAME,
        "convention": detector.convention,
        "convention_beam": list(map(float, frame.beam)),
        "pixel_mm": scene.pixel_size * MM,
        "size_px": list(detector.size_px),
        "curved": scene.curved,
        "rotation_start_deg": experiment.rotation.start_deg,
        "rotation_range_deg": math.degrees(phi.extent),
        "exposure_s": beam.exposure_s,
        "fluence_photons_per_m2": scene.fluence,
        "polarization": scene.polarization,
        "polarization_correction": scene.polarized,
        "sensor_thickness_um": detector.sensor.thickness_um if scene.absorbing else 0.0,
        "sensor_material": detector.sensor.material or "",
        "sensor_attenuation_per_mm": scene.attenuation / MM,
        "cells": list(scene.cell_counts),
        "crystal_shape": scene.crystal_shape,
    }
