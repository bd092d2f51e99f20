"""The sensor that a geometry file or a detector's name states, for an experiment that wants one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tiledsim.errors import ExperimentError
from tiledsim.scene.materials import MATERIALS, attenuation_per_m
from tiledsim.units import ANGSTROM, energy_to_wavelength_A

NAMES: Final = {"silicon": "Si", "cadmium telluride": "CdTe", "gallium arsenide": "GaAs"}
"""Materials as headers call them."""


@dataclass(frozen=True)
class FileSensor:
    """What absorbs photons in a pixel."""

    thickness_mm: float
    material: str | None = None
    """By its formula, as Si."""
    attenuation_per_mm: float | None = None
    """At the file's wavelength; None where the file does not say it."""


def known_material(text: str) -> str | None:
    """Return the formula of a material as a header names it; None where it is not known."""
    name = NAMES.get(text.strip().lower(), text.strip())
    return name if name in MATERIALS else None


def with_sensor(
    asked: Mapping[str, Any], sensor: FileSensor | None, beam: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the keys of ``detector.sensor``, completed by what is known of it.

    A person who gives none of them wants no absorption.  Raises ExperimentError where something is
    asked for and the attenuation is not known.
    """
    given = {key: value for key, value in asked.items() if value is not None}
    if not given or sensor is None or sensor.thickness_mm <= 0.0:
        return dict(asked)
    found = {"thickness_um": 1000.0 * sensor.thickness_mm} | given
    if "depth_um" not in found and "material" not in found:
        found["depth_um"] = 1000.0 / _attenuation_per_mm(sensor, beam)
    return found


def _attenuation_per_mm(sensor: FileSensor, beam: Mapping[str, Any]) -> float:
    if sensor.attenuation_per_mm:
        return sensor.attenuation_per_mm
    wavelength = beam.get("wavelength_A")
    if wavelength is None and isinstance(beam.get("energy_eV"), int | float):
        wavelength = energy_to_wavelength_A(beam["energy_eV"])
    if sensor.material is None or not isinstance(wavelength, int | float) or wavelength <= 0:
        raise ExperimentError(
            "detector.sensor is asked for, and how it attenuates is not known; give "
            "detector.sensor.depth_um"
        )
    density = MATERIALS[sensor.material].density_g_per_cm3
    return attenuation_per_m(sensor.material, wavelength / ANGSTROM, density) / 1000.0
