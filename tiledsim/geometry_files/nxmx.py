"""NXmx masters and other NeXus files: panels by chains of transformations, beam, goniometer.

NeXus uses McStas' frame, which is that of imgCIF turned by half a circle about y.  No pixels are
read, but for a mask where one is asked for.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.geometry_files.described import MOST_FRAMES, FileGeometry, FilePanel, finite
from tiledsim.geometry_files.sensor import FileSensor, known_material
from tiledsim.vectors import Array, axis_rotation, unit

TO_IMGCIF: Final = np.diag([-1.0, 1.0, -1.0])
_MM: Final = {
    "m": 1e3, "metre": 1e3, "meter": 1e3, "metres": 1e3, "meters": 1e3, "cm": 10.0, "mm": 1.0,
    "millimetre": 1.0, "millimeter": 1.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3, "microns": 1e-3,
    "micrometre": 1e-3, "nm": 1e-6,
}  # fmt: skip
_DEG: Final = {"deg": 1.0, "degree": 1.0, "degrees": 1.0,
               "rad": 180 / np.pi, "radian": 180 / np.pi, "radians": 180 / np.pi}  # fmt: skip
_ANGSTROM: Final = {"angstrom": 1.0, "Angstrom": 1.0, "angstroms": 1.0, "A": 1.0, "Å": 1.0,
                    "nm": 10.0, "m": 1e10, "pm": 0.01}  # fmt: skip
LONGEST_CHAIN: Final = 100
Node = Any
"""A group or a data set of h5py, which has no types."""


def read_nxmx(path: Path) -> FileGeometry:
    """Read the geometry of a NeXus file; raises InputFileError."""
    with _Opened(path) as file:
        return _read(file, path)


def read_nxmx_mask(path: Path) -> NDArray[np.bool_]:
    """Return which pixels of each panel are good [P, slow, fast]; raises InputFileError.

    Panels that are smaller than the largest are filled up with pixels that are not.
    """
    with _Opened(path) as file:
        parts = []
        for detector, module in _modules(_instrument(file)):
            if "pixel_mask" not in detector:
                raise ValueError(f"{detector.name} has no pixel_mask")
            fast, slow = _size(module)
            start = np.ravel(module["data_origin"][()]) if "data_origin" in module else [0, 0]
            s0, f0 = (int(n) for n in start[-2:])
            mask = detector["pixel_mask"]
            if mask.shape[-2] < s0 + slow or mask.shape[-1] < f0 + fast or mask.ndim != 2:
                raise ValueError(f"pixel_mask is {mask.shape}, a module {slow} x {fast}")
            parts.append(np.asarray(mask[s0 : s0 + slow, f0 : f0 + fast]) == 0)
        rows, cols = (max(part.shape[axis] for part in parts) for axis in (0, 1))
        good = np.zeros((len(parts), rows, cols), dtype=np.bool_)
        for number, part in enumerate(parts):
            good[number, : part.shape[0], : part.shape[1]] = part
        return good


class _Opened:
    """An HDF5 file whose mistakes become one line that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Node:
        try:
            import h5py
        except ImportError:
            raise InputFileError(
                f"{self._path}: h5py reads NeXus files and is not installed; pip install h5py"
            ) from None
        try:
            self._file = h5py.File(self._path, "r")
        except OSError as error:
            said = str(error).splitlines()[0][:120]
            raise InputFileError(f"{self._path} cannot be opened as HDF5: {said}") from None
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        known = (KeyError, ValueError, TypeError, IndexError, AttributeError, OSError, RuntimeError,
                 OverflowError)  # fmt: skip
        if isinstance(error, known) and not isinstance(error, InputFileError):
            said = (str(error) or type(error).__name__).splitlines()[0].strip("'\"")[:160]
            raise InputFileError(f"{self._path}: {said}") from None


def _text(value: Any) -> str:
    """Return a string, however HDF5 keeps it."""
    value = np.asarray(value[()] if hasattr(value, "shape") and hasattr(value, "file") else value)
    first = value.ravel()[0] if value.size else ""
    return first.decode() if isinstance(first, bytes) else str(first)


def _find(group: Node, kind: str) -> list[Node]:
    found = [group[name] for name in group if name in group and group.get(name) is not None]
    return [node for node in found
            if hasattr(node, "keys") and _text(node.attrs.get("NX_class", "")) == kind]  # fmt: skip


def _first(groups: list[Node], what: str) -> Node:
    if not groups:
        raise ValueError(f"no {what}: is it a NeXus file of diffraction?")
    return groups[0]


def _instrument(file: Node) -> Node:
    return _first(_find(_first(_find(file, "NXentry"), "NXentry"), "NXinstrument"), "NXinstrument")


def _modules(instrument: Node) -> list[tuple[Node, Node]]:
    found = [
        (detector, module)
        for detector in _find(instrument, "NXdetector")
        for module in _find(detector, "NXdetector_module")
    ]
    _first(found, "NXdetector with an NXdetector_module")
    return found


def _size(module: Node) -> tuple[int, int]:
    slow, fast = (int(n) for n in np.ravel(module["data_size"][()])[-2:])
    return fast, slow


def _scale(node: Node, table: dict[str, float], attribute: str = "units") -> float:
    unit_name = _text(node.attrs.get(attribute, node.attrs.get("units", "")))
    if unit_name not in table:
        raise ValueError(f"{node.name}: unknown unit {unit_name!r}, known: {', '.join(table)}")
    return table[unit_name]


def _values(node: Node) -> Array:
    if node.size > MOST_FRAMES:
        raise ValueError(f"{node.name} has {node.size:,} values; at most {MOST_FRAMES:,} are read")
    return np.asarray(np.ravel(node[()]), dtype=np.float64)


def _matrix(node: Node) -> Array:
    """Return one transformation as a matrix [4, 4], lengths in mm, at its first value."""
    kind = _text(node.attrs.get("transformation_type", ""))
    vector = finite(node.attrs["vector"], 3, f"{node.name}: vector")
    value = float(finite(_values(node)[:1], 1, node.name)[0])
    matrix = np.eye(4)
    if kind == "translation":
        matrix[:3, 3] = unit(vector) * value * _scale(node, _MM)
    elif kind == "rotation":
        matrix[:3, :3] = axis_rotation(vector, float(np.radians(value * _scale(node, _DEG))))
    else:
        raise ValueError(
            f"{node.name}: transformation_type is {kind!r}, no translation or rotation"
        )
    if "offset" in node.attrs:
        offset = finite(node.attrs["offset"], 3, f"{node.name}: offset")
        if offset.any():
            matrix[:3, 3] += offset * _scale(node, _MM, "offset_units")
    return matrix


def _chain(file: Node, path: str, base: str) -> list[Node]:
    """Return the transformations from ``path`` outwards; ValueError where they run in a circle."""
    nodes: list[Node] = []
    while path not in (".", ""):
        node = file[path] if path.startswith("/") else file[base][path]
        if any(node.name == known.name for known in nodes):
            raise ValueError(f"depends_on runs in a circle at {node.name}")
        if len(nodes) == LONGEST_CHAIN or hasattr(node, "keys"):
            raise ValueError(f"depends_on: {node.name} is no transformation")
        nodes.append(node)
        base = node.parent.name
        path = _text(node.attrs.get("depends_on", "."))
    return nodes


def _product(nodes: list[Node]) -> Array:
    matrix = np.eye(4)
    for node in nodes:
        matrix = _matrix(node) @ matrix
    return matrix


def _read(file: Node, path: Path) -> FileGeometry:
    entry = _first(_find(file, "NXentry"), "NXentry")
    instrument = _instrument(file)
    modules = _modules(instrument)
    samples = _find(entry, "NXsample")
    beams = _find(instrument, "NXbeam") + [b for s in samples for b in _find(s, "NXbeam")]
    wavelength = None
    for beam in beams:
        if wavelength is None and "incident_wavelength" in beam:
            node = beam["incident_wavelength"]
            values = _values(node)
            if len(values) > 1:
                raise ValueError("a beam of several wavelengths; give beam.spectrum and no more "
                                 "than one here")  # fmt: skip
            scale = _scale(node, _ANGSTROM) if "units" in node.attrs else 1.0
            wavelength = float(values[0]) * scale
    masked = all("pixel_mask" in detector for detector, _ in modules)
    spindle, start, step, frames = _turning(file, samples)
    return FileGeometry(
        panels=tuple(_panel(file, detector, module) for detector, module in modules),
        wavelength_A=wavelength, spindle=spindle, start_deg=start, step_deg=step, frames=frames,
        mask_file=path if masked else None, sensor=_sensor(modules[0][0]),
    )  # fmt: skip


def _sensor(detector: Node) -> FileSensor | None:
    if "sensor_thickness" not in detector:
        return None
    node = detector["sensor_thickness"]
    thickness = float(_values(node)[0]) * _scale(node, _MM)
    material = _text(detector["sensor_material"]) if "sensor_material" in detector else ""
    return FileSensor(thickness, known_material(material))


def _panel(file: Node, detector: Node, module: Node) -> FilePanel:
    fast, slow = module["fast_pixel_direction"], module["slow_pixel_direction"]
    start = _text(fast.attrs.get("depends_on", "."))
    if start == "." and "module_offset" in module:  # the first Eigers' file writer
        start = module["module_offset"].name
    placed = _product(_chain(file, start, module.name))
    offset = finite(fast.attrs.get("offset", (0, 0, 0)), 3, f"{fast.name}: offset")
    if offset.any():
        offset = offset * _scale(fast, _MM, "offset_units")
    axes = [
        TO_IMGCIF @ placed[:3, :3] @ unit(finite(node.attrs["vector"], 3, f"{node.name}: vector"))
        for node in (fast, slow)
    ]
    pixel = [float(_values(node)[0]) * _scale(node, _MM) for node in (fast, slow)]
    origin = TO_IMGCIF @ (placed @ np.append(offset, 1.0))[:3]
    if origin[0] == origin[1] == 0.0 and "beam_center_x" in detector:  # as those files mean it
        for axis, side, name in zip(axes, pixel, "xy", strict=True):
            origin = origin - float(_values(detector[f"beam_center_{name}"])[0]) * side * axis
    return FilePanel(origin, axes[0], axes[1], (pixel[0], pixel[1]), _size(module))


def _turning(
    file: Node, samples: list[Node]
) -> tuple[Array | None, float, float | None, int | None]:
    """Return spindle, start, width and number of images; the axis is the one that moves."""
    for sample in samples:
        if "depends_on" not in sample:
            continue
        nodes = _chain(file, _text(sample["depends_on"]), sample.name)
        turning = [n for n in nodes if _text(n.attrs.get("transformation_type", "")) == "rotation"]
        if not turning:
            continue
        node = next((n for n in turning if n.size > 1), turning[0])
        place = [n.name for n in nodes].index(node.name)
        outer = _product(nodes[place + 1 :])[:3, :3]
        spindle = TO_IMGCIF @ outer @ finite(node.attrs["vector"], 3, f"{node.name}: vector")
        angles = finite(_values(node), node.size, node.name) * _scale(node, _DEG)
        step = None
        width = f"{node.name}_increment_set"
        if len(angles) > 1:
            step = float(angles[-1] - angles[0]) / (len(angles) - 1)
            if np.abs(np.diff(angles) - step).max() > 1e-4 * max(abs(step), 1e-9):
                raise ValueError(f"{node.name}: images that do not turn by the same angle each")
        elif width in file:
            step = float(_values(file[width])[0]) * _scale(node, _DEG)
        return spindle, float(angles[0]), step or None, len(angles) if step else None
    return None, 0.0, None, None
