"""Headers of CBF images: miniCBF as DECTRIS detectors write it, and full imgCIF.

Only the text before the pixels is read.  A miniCBF header knows one flat panel square to the beam.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tiledsim.errors import InputFileError
from tiledsim.geometry_files.described import FileGeometry, FilePanel, finite
from tiledsim.geometry_files.sensor import FileSensor, known_material
from tiledsim.vectors import Array, axis_rotation, unit

LARGEST = 4 * 2**20
_BINARY = b"--CIF-BINARY-FORMAT-SECTION--"
_NUMBER = r"([-+0-9.eE]+)"


def read_cbf(path: Path) -> FileGeometry:
    """Read the header of a CBF image; raises InputFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST)
    except OSError as error:
        raise InputFileError(f"geometry file {path} cannot be read: {error.strerror}") from None
    end = data.find(_BINARY)
    start = 0 if end < 0 else end
    text = data[: end if end > 0 else None].decode("latin-1").replace("\r\n", "\n")
    sizes = data[start : start + 4096].decode("latin-1")
    try:
        return _imgcif(text, cut=end > 0) if "_axis.id" in text else _minicbf(text, sizes)
    except (ValueError, KeyError, IndexError, RuntimeError, OverflowError) as error:
        said = (str(error) or "damaged").splitlines()[0][:160]
        raise InputFileError(f"{path}: its CBF header cannot be used: {said}") from None


def _minicbf(text: str, sizes: str) -> FileGeometry:
    def values(pattern: str, count: int, what: str) -> Array:
        found = re.search(pattern, text)
        if found is None:
            raise ValueError(f"it lacks {what}")
        return finite([float(word) for word in found.groups()], count, what)

    pixel = values(rf"Pixel_size\s+{_NUMBER} m x {_NUMBER} m", 2, "Pixel_size") * 1000.0
    distance = values(rf"Detector_distance\s+{_NUMBER} m", 1, "Detector_distance")[0] * 1000.0
    centre = values(rf"Beam_xy\s+\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)", 2, "Beam_xy") * pixel
    wavelength = values(rf"Wavelength\s+{_NUMBER}", 1, "Wavelength")[0]
    two_theta = re.search(rf"Detector_2theta\s+{_NUMBER}", text)
    if two_theta is not None and float(two_theta[1]) != 0.0:
        raise ValueError("Detector_2theta is not 0, and it does not say about which axis")
    size = [re.search(rf"X-Binary-Size-{name}-Dimension:\s*(\d+)", sizes)
            for name in ("Fastest", "Second")]  # fmt: skip
    if size[0] is None or size[1] is None:
        raise ValueError("it lacks X-Binary-Size-Fastest-Dimension or -Second-")
    turning = [
        re.search(rf"{name}\s+{_NUMBER}", text) for name in ("Start_angle", "Angle_increment")
    ]
    start, step = (0.0 if found is None else float(found[1]) for found in turning)
    layer = re.search(rf"# (\w+) sensor, thickness\s+{_NUMBER} m", text)
    sensor = layer and FileSensor(float(layer[2]) * 1000.0, known_material(layer[1]))
    panel = FilePanel(
        np.array([-centre[0], centre[1], -distance]), np.array([1.0, 0, 0]), np.array([0, -1.0, 0]),
        (float(pixel[0]), float(pixel[1])), (int(size[0][1]), int(size[1][1])),
    )  # fmt: skip
    return FileGeometry(
        panels=(panel,), wavelength_A=float(wavelength), spindle=np.array([1.0, 0, 0]),
        start_deg=start, step_deg=step or None, frames=1 if step else None, sensor=sensor,
    )  # fmt: skip


class _Axis(NamedTuple):
    kind: str
    parent: str
    vector: Array
    offset: Array


def _imgcif(text: str, *, cut: bool) -> FileGeometry:
    import gemmi

    if cut:  # the text field of the pixels is closed, so that what is before them is CIF
        text = text[: text.rfind("\n;")]
        text = re.sub(r"\n_array_data\.data\s*$", "\n_array_data.data ?\n", text)
    block = gemmi.cif.read_string(text).sole_block()

    def rows(category: str, *names: str) -> list[list[str]]:
        table = block.find([f"_{category}.{name}" for name in names])
        return [[gemmi.cif.as_string(word) for word in row] for row in table]

    def number(word: str) -> float:
        return 0.0 if word in (".", "?", "") else float(word)

    vectors = [f"{kind}[{i}]" for kind in ("vector", "offset") for i in (1, 2, 3)]
    axes = {
        name: _Axis(kind, parent, np.array([number(w) for w in six[:3]]),
                    np.array([number(w) for w in six[3:]]))
        for name, kind, parent, *six in rows("axis", "id", "type", "depends_on", *vectors)
    }  # fmt: skip
    at = {name: (number(a), number(d)) for name, a, d in rows(
        "diffrn_scan_axis", "axis_id", "angle_start", "displacement_start")}  # fmt: skip
    at |= {name: (number(a), number(d)) for name, a, d in rows(
        "diffrn_scan_frame_axis", "axis_id", "angle", "displacement")}  # fmt: skip
    spindle, start, step = None, 0.0, 0.0
    for name, by in rows("diffrn_scan_axis", "axis_id", "angle_increment"):
        if number(by) != 0.0 and axes[name].kind == "rotation":
            spindle = _placed(axes, at, axes[name].parent)[:3, :3] @ axes[name].vector
            start, step = at[name][0], number(by)
    wavelengths = rows("diffrn_radiation_wavelength", "wavelength")
    polarized = rows("diffrn_radiation", "polarizn_source_ratio", "polarizn_source_norm")
    ratio, turned = (number(word) for word in polarized[0]) if polarized else (None, 0.0)
    along = np.array([np.cos(np.radians(turned)), np.sin(np.radians(turned)), 0.0])
    return FileGeometry(
        polarization=ratio, polarization_axis=None if ratio is None else along,
        panels=_elements(rows, number, axes, at),
        wavelength_A=float(wavelengths[0][0]) if wavelengths else None,
        spindle=spindle, start_deg=start, step_deg=step or None, frames=1 if step else None,
    )  # fmt: skip


def _placed(axes: dict[str, _Axis], at: dict[str, tuple[float, float]], name: str) -> Array:
    """Return what a chain of axes does, as a matrix [4, 4]; ValueError for a circular one."""
    matrix, seen = np.eye(4), set()
    while name not in (".", "?", ""):
        if name in seen:
            raise ValueError(f"its axes depend on each other in a circle at {name}")
        seen.add(name)
        axis = axes[name]
        angle, shift = at.get(name, (0.0, 0.0))
        step = np.eye(4)
        step[:3, 3] = axis.offset
        if axis.vector.any() and axis.kind == "rotation":
            step[:3, :3] = axis_rotation(axis.vector, float(np.radians(angle)))
        elif axis.vector.any():
            step[:3, 3] += unit(axis.vector) * shift
        matrix = step @ matrix
        name = axis.parent
    return matrix


def _elements(
    rows: Callable[..., list[list[str]]], number: Callable[[str], float], axes: dict[str, _Axis],
    at: dict[str, tuple[float, float]],
) -> tuple[FilePanel, ...]:  # fmt: skip
    """Return a panel for each array of the file."""
    sizes: dict[str, dict[int, tuple[int, str]]] = {}
    for array, place, count, axis_set in rows(
        "array_structure_list", "array_id", "precedence", "dimension", "axis_set_id"
    ):
        sizes.setdefault(array, {})[int(place)] = (int(count), axis_set)
    steps = {
        axis_set: (name, number(first), number(by))
        for axis_set, name, first, by in rows(
            "array_structure_list_axis", "axis_set_id", "axis_id", "displacement",
            "displacement_increment",
        )
    }  # fmt: skip
    panels = []
    for places in sizes.values():
        (fast_count, fast_set), (slow_count, slow_set) = places[1], places[2]
        (fast_name, f0, df), (slow_name, s0, ds) = steps[fast_set], steps[slow_set]
        frames = [_placed(axes, at, name) for name in (fast_name, slow_name)]
        along = [frame[:3, :3] @ unit(axes[name].vector)
                 for frame, name in zip(frames, (fast_name, slow_name), strict=True)]  # fmt: skip
        # The axis that depends on the other carries the offsets of both.
        origin = frames[0 if axes[fast_name].parent == slow_name else 1][:3, 3]
        if f0 or s0:  # the centre of the first pixel
            origin = origin + along[0] * (f0 - df / 2) + along[1] * (s0 - ds / 2)
        panels.append(FilePanel(
            origin, along[0] * np.sign(df), along[1] * np.sign(ds), (abs(df), abs(ds)),
            (fast_count, slow_count),
        ))  # fmt: skip
    return tuple(panels)
