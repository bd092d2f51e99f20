"""Flags of nanoBragg that do more than set their keys."""

from typing import TYPE_CHECKING, Final

from tiledsim.io.c_text import c_number
from tiledsim.nanobragg.command.flags import Given

if TYPE_CHECKING:
    from tiledsim.nanobragg.command.command import Reading


def _cell(reading: "Reading", given: Given) -> None:
    """Lengths that are missing are a, angles 90°."""
    a = given.values[0]
    full = [*given.values, *(a, a, a, 90.0, 90.0, 90.0)[len(given.values) :]]
    reading.put("crystal.cell_A_deg", tuple(full), given.name)


def _misset_seed(reading: "Reading", given: Given) -> None:
    """nanoBragg takes the flag for ``-misset`` too: three words, whatever they are, as angles."""
    if "misset_seed_as_angles" in reading.quirks and len(given.rest) >= 3:
        angles = tuple(c_number(word) for word in given.rest[:3])
        reading.put("crystal.misset_deg", angles, given.name)
        reading.notes.append(
            f"{given} is also read as -misset {' '.join(f'{angle:g}' for angle in angles)}, the "
            "words that follow it, as by nanoBragg; a -misset after it has the last word"
        )


def _pivot(reading: "Reading", given: Given) -> None:
    reading.own_pivot = reading.last_pivot = given.values[0]


def _two_theta_axis(reading: "Reading", given: Given) -> None:
    """nanoBragg takes the flag for ``-twotheta`` too: its first number, and the sample pivot."""
    if reading.parity:
        reading.put("detector.two_theta_deg", given.values[0], given.name)
        reading.last_pivot = "sample"
        reading.notes.append(
            f"{given} also sets two-theta to {given.values[0]:g} degrees and the pivot to sample, "
            "as in nanoBragg; a -twotheta after it has the last word"
        )


def _pix0(reading: "Reading", given: Given) -> None:
    reading.put("detector.pix0_mm", tuple(1000.0 * v for v in given.values), given.name)


def _absorption(reading: "Reading", given: Given) -> None:
    if given.values[0] in ("inf", 0.0):
        reading.put("detector.sensor.depth_um", 0.0, given.name)
        reading.put("detector.sensor.thickness_um", 0.0, given.name)


def _keep_roi(reading: "Reading", given: Given) -> None:
    reading.put("roi", given.values, str(given))


SPECIAL: Final = {
    "-cell": _cell,
    "-misset_seed": _misset_seed,
    "-pivot": _pivot,
    "-twotheta_axis": _two_theta_axis,
    "-pix0_vector": _pix0,
    "-detector_abs": _absorption,
    "-roi": _keep_roi,
}
