"""XDS.INP, and XPARM.XDS or GXPARM.XDS in their forms before and since 2012.

XDS counts pixels from 1 at their centres, so that the outer corner of the first one is at
(0.5 − ORG)·Q along X and Y, and at the detector's distance, which may be negative, along X × Y.
The frame is the file's own; it is turned to that of imgCIF: the rotation axis becomes +x.
"""

import re
from pathlib import Path

import numpy as np

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.geometry_files.described import FileGeometry, FilePanel, clip, finite
from tiledsim.geometry_files.sensor import FileSensor
from tiledsim.io.text import read_text
from tiledsim.scene.crystal.lattice import cell_of
from tiledsim.structure_factors.symmetry import find_space_group
from tiledsim.vectors import Array, unit

LARGEST = 4 * 2**20
LARGEST_LIST = 2**30
"""Of a reflection list, of which the header is read."""
_WORD = re.compile(r"([A-Za-z][A-Za-z0-9_\-'()./]*)=")


_HEADER_END = "!END_OF_HEADER"
_AXES = tuple(f"UNIT_CELL_{axis}-AXIS" for axis in "ABC")


def is_xparm(text: str) -> bool:
    """Whether a text is XPARM.XDS: its title, or lines of 6, 4, 4 and 3 numbers."""
    if text.lstrip().startswith("XPARM.XDS"):
        return True
    lengths = [len(line.split()) for line in text.splitlines()[:4]]
    return lengths == [6, 4, 4, 3] and "=" not in text


def read_xds(path: Path) -> FileGeometry:
    """Read XDS.INP, XPARM.XDS or GXPARM.XDS; raises InputFileError."""
    text = _header(read_text(path, "geometry", LARGEST_LIST), path)
    try:
        return _from_xparm(text) if is_xparm(text) else _from_inp(text)
    except (ValueError, IndexError, OverflowError) as error:
        raise InputFileError(f"{path}: {str(error)[:200]}") from None


def _header(text: str, path: Path) -> str:
    """Return the keywords of a reflection list's header, which stand behind "!"; other text as is.

    INTEGRATE.HKL and XDS_ASCII.HKL hold the geometry that their reflections were measured with.
    """
    if not is_reflection_list(text):
        if len(text) > LARGEST:
            raise InputFileError(f"{path} has {len(text):,} characters; at most {LARGEST:,} are "
                                 "read of XDS.INP and XPARM.XDS")  # fmt: skip
        return text
    return "\n".join(line[1:] for line in text.partition(_HEADER_END)[0].splitlines())


def is_reflection_list(text: str) -> bool:
    """Whether a text is INTEGRATE.HKL or XDS_ASCII.HKL."""
    return text.startswith(("!OUTPUT_FILE=INTEGRATE.HKL", "!FORMAT=XDS_ASCII"))


def _keywords(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for raw in text.splitlines():
        line = raw.split("!", 1)[0]
        hits = list(_WORD.finditer(line))
        ends = [hit.start() for hit in hits[1:]] + [len(line)] * bool(hits)
        for hit, end in zip(hits, ends, strict=True):
            found.setdefault(hit[1], []).append(line[hit.end() : end].strip())
    return found


def _from_inp(text: str) -> FileGeometry:
    words = _keywords(text)
    needed = ("NX", "NY", "QX", "QY", "ORGX", "ORGY", "DETECTOR_DISTANCE", "X-RAY_WAVELENGTH")
    if lacking := [name for name in needed if not words.get(name, [""])[-1]]:
        raise ValueError(
            f"lacks {', '.join(lacking)}, which generate_XDS.INP takes from the images"
        )
    if "SEGMENT" in words:
        raise ValueError("segments of a detector are not read; give its DIALS or CrystFEL file")

    def values(name: str, *default: float) -> Array:
        text = words.get(name, [""])[-1]
        given = [float(word) for word in text.split()[: len(default)]] if text else default
        return finite(given, len(default), name)

    number = {name: float(values(name, 0.0)[0]) for name in needed}
    polarized = "FRACTION_OF_POLARIZATION" in words or "JOB" in words  # a list does not say it
    fraction = float(values("FRACTION_OF_POLARIZATION", 0.5)[0])
    normal = values("POLARIZATION_PLANE_NORMAL", 0.0, 1.0, 0.0)
    size = int(number["NX"]), int(number["NY"])
    masked = []
    for rectangle in words.get("UNTRUSTED_RECTANGLE", []):
        x1, x2, y1, y2 = (int(n) for n in finite(rectangle.split(), 4, "UNTRUSTED_RECTANGLE"))
        masked.append(clip((x1, x2 - 2, y1, y2 - 2), size))  # its borders are trusted
    step, frames = float(values("OSCILLATION_RANGE", 0.0)[0]), None
    if words.get("DATA_RANGE", [""])[-1] and step:
        first, last = values("DATA_RANGE", 1.0, 1.0)
        frames = int(last - first) + 1
    start = float(values("STARTING_ANGLE", 0.0)[0])
    if frames is not None:
        start += step * (
            float(values("DATA_RANGE", 1.0, 1.0)[0] - values("STARTING_FRAME", 1.0)[0])
        )
    beam = values("INCIDENT_BEAM_DIRECTION", 0.0, 0.0, 1.0)
    return _geometry(
        beam=beam, axis=values("ROTATION_AXIS", 1.0, 0.0, 0.0),
        wavelength=number["X-RAY_WAVELENGTH"],
        size=size, pixel=(number["QX"], number["QY"]), org=(number["ORGX"], number["ORGY"]),
        distance=number["DETECTOR_DISTANCE"],
        x=values("DIRECTION_OF_DETECTOR_X-AXIS", 1.0, 0.0, 0.0),
        y=values("DIRECTION_OF_DETECTOR_Y-AXIS", 0.0, 1.0, 0.0),
        start=start, step=step, frames=frames, masked=masked,
        crystal=np.stack([values(axis, 0.0, 0.0, 0.0) for axis in _AXES])
        if all(words.get(axis, [""])[-1] for axis in _AXES) else None,
        polarization=2.0 * fraction - 1.0 if polarized else None,
        polarization_axis=np.cross(beam, normal) if polarized else None,
        sensor=_sensor(float(values("SENSOR_THICKNESS", 0.0)[0]), float(values("SILICON", 0.0)[0])),
        space_group=_space_group(values("SPACE_GROUP_NUMBER", 0.0)[0]),
    )  # fmt: skip


def _sensor(thickness_mm: float, silicon_per_mm: float) -> FileSensor | None:
    """Return the sensor; XDS takes it for silicon, whose µ it may be given."""
    if thickness_mm <= 0.0:
        return None
    return FileSensor(thickness_mm, "Si", silicon_per_mm if silicon_per_mm > 0.0 else None)


def _space_group(number: float) -> str | None:
    return str(int(number)) if 1 <= number <= 230 else None


def _from_xparm(text: str) -> FileGeometry:
    rows = [line.split() for line in text.splitlines() if line.strip()]
    since_2012 = rows[0][0].startswith("XPARM")

    def row(number: int, count: int) -> Array:
        if number >= len(rows):
            raise ValueError("ends too early for XPARM.XDS")
        return finite([float(word) for word in rows[number]], count, f"line {number + 1}")

    first = 1 if since_2012 else 0
    _, start, step, *axis = row(first, 6)
    wavelength, *beam = row(first + 1, 4)
    if since_2012:
        group = row(3, 7)[0]
        abc = np.stack([row(4, 3), row(5, 3), row(6, 3)])
        segments, nx, ny, qx, qy = row(7, 5)
        ox, oy, distance = row(8, 3)
        x, y = row(9, 3), row(10, 3)
        if segments > 1:
            raise ValueError("segments of a detector are not read; give its DIALS or CrystFEL file")
    else:
        nx, ny, qx, qy = row(2, 4)
        distance, ox, oy = row(3, 3)
        x, y = row(4, 3), row(5, 3)
        group = row(7, 7)[0]
        abc = np.stack([row(8, 3), row(9, 3), row(10, 3)])
    return _geometry(
        beam=np.array(beam), axis=np.array(axis), wavelength=float(wavelength),
        size=(int(nx), int(ny)), pixel=(float(qx), float(qy)), org=(float(ox), float(oy)),
        distance=float(distance), x=x, y=y, start=float(start), step=float(step), frames=None,
        crystal=abc, masked=[], polarization=None, polarization_axis=None, sensor=None,
        space_group=_space_group(group),
    )  # fmt: skip


def _geometry(
    *, beam: Array, axis: Array, wavelength: float, size: tuple[int, int],
    pixel: tuple[float, float], org: tuple[float, float], distance: float, x: Array, y: Array,
    start: float, step: float, frames: int | None, crystal: Array | None,
    masked: list[tuple[int, int, int, int] | None], polarization: float | None,
    polarization_axis: Array | None, sensor: FileSensor | None, space_group: str | None,
) -> FileGeometry:  # fmt: skip
    if not beam.any() or not axis.any() or not np.cross(x, y).any():
        raise ValueError("an axis of length 0")
    x, y = unit(x), unit(y)
    if np.linalg.norm(np.cross(unit(axis), unit(beam))) < 1e-3:
        raise ValueError("ROTATION_AXIS is parallel to the beam")
    spindle = unit(axis)
    z = unit(-unit(beam) + (unit(beam) @ spindle) * spindle)
    turn = np.stack([spindle, np.cross(z, spindle), z])
    corner = (0.5 - org[0]) * pixel[0] * x + (0.5 - org[1]) * pixel[1] * y
    origin = corner + distance * unit(np.cross(x, y))
    kept = tuple(rectangle for rectangle in masked if rectangle is not None)
    panel = FilePanel(turn @ origin, turn @ x, turn @ y, pixel, size, kept)
    return FileGeometry(
        panels=(panel,), beam=turn @ unit(beam), wavelength_A=wavelength,
        polarization=polarization,
        polarization_axis=None if polarization_axis is None else turn @ unit(polarization_axis),
        spindle=turn @ spindle, start_deg=start, step_deg=step or None,
        frames=frames if frames is not None or not step else 1,
        crystals_A=None if crystal is None else (crystal @ turn.T)[None],
        sensor=sensor, space_group=space_group,
    )  # fmt: skip


def xds_text(geometry: FileGeometry) -> str:
    """Write a geometry of one panel as the lines of XDS.INP that say it.

    Raises ExperimentError for what XDS.INP cannot say.
    """
    if len(geometry.panels) != 1:
        raise ExperimentError(
            f"{len(geometry.panels)} panels cannot be written for XDS, which has one plane; expt "
            "and geom hold all"
        )
    if geometry.wavelength_A is None:
        raise ExperimentError("XDS.INP needs a wavelength, and there is none")
    panel = geometry.panels[0]
    x, y, beam = unit(panel.fast), unit(panel.slow), unit(geometry.beam)
    corner = np.linalg.solve(np.stack([x, y, unit(np.cross(x, y))], axis=1), panel.origin_mm)
    spindle = np.array([1.0, 0.0, 0.0]) if geometry.spindle is None else unit(geometry.spindle)
    lines = [
        ("NX", panel.size_px[:1]), ("NY", panel.size_px[1:]),
        ("QX", panel.pixel_mm[:1]), ("QY", panel.pixel_mm[1:]),
        ("ORGX", [0.5 - corner[0] / panel.pixel_mm[0]]),
        ("ORGY", [0.5 - corner[1] / panel.pixel_mm[1]]), ("DETECTOR_DISTANCE", corner[2:]),
        ("DIRECTION_OF_DETECTOR_X-AXIS", x), ("DIRECTION_OF_DETECTOR_Y-AXIS", y),
        ("X-RAY_WAVELENGTH", [geometry.wavelength_A]), ("INCIDENT_BEAM_DIRECTION", beam),
        ("ROTATION_AXIS", spindle), ("STARTING_ANGLE", [geometry.start_deg]),
        ("OSCILLATION_RANGE", [geometry.step_deg or 0.0]), ("STARTING_FRAME", [1]),
        ("DATA_RANGE", [1, geometry.frames or 1]),
    ]  # fmt: skip
    if geometry.polarization is not None and geometry.polarization_axis is not None:
        lines.append(("FRACTION_OF_POLARIZATION", [(1.0 + geometry.polarization) / 2.0]))
        lines.append(("POLARIZATION_PLANE_NORMAL", np.cross(geometry.polarization_axis, beam)))
    if geometry.sensor is not None:
        lines.append(("SENSOR_THICKNESS", [geometry.sensor.thickness_mm]))
        if geometry.sensor.attenuation_per_mm:
            lines.append(("SILICON", [geometry.sensor.attenuation_per_mm]))
    if geometry.space_group is not None:
        number = find_space_group(geometry.space_group).number
        lines.append(("SPACE_GROUP_NUMBER", [number]))
    if geometry.crystals_A is not None:
        if geometry.space_group is not None:
            lines.append(("UNIT_CELL_CONSTANTS", cell_of(geometry.crystals_A[0])))
        lines += list(zip(_AXES, geometry.crystals_A[0], strict=True))
    lines += [("UNTRUSTED_RECTANGLE", [f0, f1 + 2, s0, s1 + 2])
              for f0, f1, s0, s1 in panel.masked_px]  # fmt: skip
    text = [
        f"{name}= {' '.join(f'{float(v) + 0.0:.17g}' for v in values)}" for name, values in lines
    ]
    return "\n".join([*text, "JOB= XYCORR INIT COLSPOT IDXREF DEFPIX INTEGRATE CORRECT", ""])
