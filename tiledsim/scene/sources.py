"""The sources of the beam: divergence, dispersion, a spectrum or a file of sources."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Beam
from tiledsim.io.numbers import plain_float
from tiledsim.io.text import read_text
from tiledsim.quirks import Quirk
from tiledsim.scene.sweeps import Steps, complete
from tiledsim.units import ANGSTROM
from tiledsim.vectors import Array, axis_rotation, unit

SOURCE_DISTANCE_M: Final = 10.0
_SEPARATORS: Final = re.compile(r"[\s,;:!]+")
"""What stands between the columns of a source file, as in nanoBragg."""


@dataclass(frozen=True)
class Sources:
    """S sources, each a direction, a wavelength and a weight; the weights sum to 1."""

    incident: Array
    """Unit vectors along the rays [S, 3]."""
    wavelength: Array
    """Wavelengths [S] in metres."""
    weight: Array
    """Weights [S]."""
    origin: str
    """Where they come from, in words."""


def divergence_steps(beam: Beam) -> tuple[Steps, Steps]:
    """Resolve horizontal and vertical divergence, in rad."""

    def milli(value: float | None) -> float | None:
        return None if value is None else value / 1000.0

    h = complete(
        beam.hdiv_steps, milli(beam.hdiv_range_mrad), milli(beam.hdiv_step_mrad), kind="divergence"
    )
    v = complete(
        beam.vdiv_steps, milli(beam.vdiv_range_mrad), milli(beam.vdiv_step_mrad), kind="divergence"
    )
    return h, v


def dispersion_steps(beam: Beam) -> Steps:
    """Resolve the spectral dispersion, as a fraction of the wavelength."""
    return complete(beam.dispersion_steps, beam.dispersion_percent / 100.0, None, kind="divergence")


def build_sources(
    beam: Beam, direction: Array, polarization_axis: Array, quirks: frozenset[Quirk]
) -> Sources:
    """Make the table of sources of a beam along ``direction`` [3].

    Raises ExperimentError or InputFileError for sources that shine nowhere.
    """
    if beam.source_file is not None:
        incident, wavelength, weight = _from_file(beam, direction)
        origin = f"source file {beam.source_file}"
        if "source_weights_ignored" in quirks:
            weight = np.ones_like(weight)
    elif beam.spectrum is not None:
        wavelength = np.array(beam.spectrum.wavelengths_A) / ANGSTROM
        weights = beam.spectrum.weights or (1.0,) * len(wavelength)
        weight = np.array(weights, dtype=np.float64)
        rays = _divergent_rays(beam, direction, polarization_axis)
        incident, wavelength, weight = _every_pair(rays, wavelength, weight)
        origin = "spectrum"
    else:
        steps = dispersion_steps(beam)
        shift = 1.0 + steps.step * np.arange(steps.points) - steps.extent / 2.0
        wavelength = np.asarray(beam.central_wavelength_A / ANGSTROM * shift, dtype=np.float64)
        if (wavelength <= 0).any():
            raise ExperimentError(
                f"beam.dispersion_percent = {beam.dispersion_percent:g} makes a wavelength ≤ 0; "
                "it must be below 200"
            )
        rays = _divergent_rays(beam, direction, polarization_axis)
        incident, wavelength, weight = _every_pair(rays, wavelength, np.ones_like(wavelength))
        origin = "divergence and dispersion"
    return Sources(incident, wavelength, weight / weight.sum(), origin)


def _every_pair(rays: Array, wavelength: Array, weight: Array) -> tuple[Array, Array, Array]:
    return (
        np.repeat(rays, len(wavelength), axis=0),
        np.tile(wavelength, len(rays)),
        np.tile(weight, len(rays)),
    )


def divergence_angles(beam: Beam) -> list[tuple[float, float]]:
    """Return the angles (horizontal, vertical) [rad] of the rays, horizontal outermost."""
    h, v = divergence_steps(beam)
    angles = []
    for i in range(h.points):
        for j in range(v.points):
            hdiv = h.step * i - h.extent / 2.0
            vdiv = v.step * j - v.extent / 2.0
            if beam.round_divergence and h.extent > 0 and v.extent > 0:
                radius = (hdiv**2 - h.step**2 / 4.0 * (1 - h.points % 2)) / h.extent**2
                radius += (vdiv**2 - v.step**2 / 4.0 * (1 - v.points % 2)) / v.extent**2
                if 4.0 * radius > 1.1:
                    continue
            angles.append((hdiv, vdiv))
    return angles


def _divergent_rays(beam: Beam, direction: Array, polarization_axis: Array) -> Array:
    """Unit vectors [n, 3] of the rays, horizontal angle outermost."""
    vertical = unit(np.cross(direction, polarization_axis))
    source = SOURCE_DISTANCE_M * direction
    rays = [
        axis_rotation(vertical, hdiv) @ axis_rotation(polarization_axis, vdiv) @ source
        for hdiv, vdiv in divergence_angles(beam)
    ]
    if not rays:
        raise ExperimentError("round divergence drops every ray; set beam.round_divergence = false")
    return unit(np.array(rays))


def source_table(beam: Beam, direction: Array, polarization_axis: Array) -> Array:
    """Return the sources as nanoBragg lists them: x y z [m], weight, wavelength [m], [S, 5].

    Those of a file are as they stand there, those of a grid 10 m away with weights of sum 1.
    """
    if beam.source_file is not None:
        return _read_table(beam, direction)
    sources = build_sources(beam, direction, polarization_axis, frozenset())
    return np.column_stack(
        [-SOURCE_DISTANCE_M * sources.incident, sources.weight, sources.wavelength]
    )


def _from_file(beam: Beam, direction: Array) -> tuple[Array, Array, Array]:
    table = _read_table(beam, direction)
    return -unit(table[:, :3]), table[:, 4], table[:, 3]


def _read_table(beam: Beam, direction: Array) -> Array:
    """Read x y z weight λ[m] per line [S, 5]; what a line lacks at its end has its default."""
    path = beam.source_file
    assert path is not None
    default = [*(-SOURCE_DISTANCE_M * direction), 1.0, beam.central_wavelength_A / ANGSTROM]
    rows = [
        [*values, *default[len(values) :]]
        for number, line in enumerate(read_text(path, "source").splitlines(), start=1)
        if (values := _numbers(path, number, line))
    ]
    if not rows:
        raise InputFileError(f"{path}: no sources; each line holds x y z weight wavelength_m")
    table = np.array(rows)
    for what, wrong in {
        "a source at the sample": ~np.any(table[:, :3], axis=1),
        "a negative weight": table[:, 3] < 0,
        "a wavelength that is not between 1e-14 and 1e-6 m": ~(
            (table[:, 4] > 1e-14) & (table[:, 4] < 1e-6)
        ),
    }.items():
        if wrong.any():
            raise InputFileError(f"{path}: source {int(wrong.argmax()) + 1} has {what}")
    if not table[:, 3].sum() > 0:
        raise InputFileError(f"{path}: the weights sum to 0; at least one must be > 0")
    return table


def _numbers(path: Path, number: int, line: str) -> list[float]:
    words = _SEPARATORS.split(line.split("#")[0])
    words = [word for word in words if word]
    try:
        values = [plain_float(word) for word in words[:5]]
    except ValueError:
        raise InputFileError(f"{path}, line {number}: not numbers: {line.strip()!r}") from None
    if not all(np.isfinite(values)):
        raise InputFileError(f"{path}, line {number}: not finite: {line.strip()!r}")
    return values
