"""CrystFEL's .geom files, after crystfel_geometry(5): read and written.

A panel has the defaults that were in force when it was first named; lengths of ``corner_x``,
``corner_y``, ``fs`` and ``ss`` are pixels of 1/``res`` metres.  CrystFEL's beam runs along +z, so
that its frame is that of imgCIF turned by half a circle about y.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tiledsim.errors import InputFileError
from tiledsim.geometry_files.crystfel_bad import MOST_RECTANGLES, bad_rectangles
from tiledsim.geometry_files.described import FileGeometry, FilePanel, finite
from tiledsim.io.text import read_text
from tiledsim.units import HC_EV_A, MM
from tiledsim.vectors import Array, unit

LARGEST = 64 * 2**20
TO_IMGCIF = np.diag([-1.0, 1.0, -1.0])
_UNITS = {
    "wavelength": {"m": 1e10, "A": 1.0},
    "photon_energy": {"eV": 1.0, "keV": 1e3, "MeV": 1e6},
    "electron_voltage": {"V": 1.0, "kV": 1e3, "MV": 1e6},
    "clen": {"m": 1.0, "mm": 1e-3},
    "coffset": {"m": 1.0, "mm": 1e-3},
    "detector_shift_x": {"m": 1.0, "mm": 1e-3},
    "detector_shift_y": {"m": 1.0, "mm": 1e-3},
}
_TERM = re.compile(r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)?)([xyz])")
_GROUPS = ("group_", "rigid_group")
Keys = dict[str, str]


def read_geom(path: Path, clen_mm: float | None = None) -> FileGeometry:
    """Read a .geom file; ``clen_mm`` stands for a ``clen`` that is a place in a data file.

    Raises InputFileError.
    """
    try:
        return _read(read_text(path, "geometry", LARGEST), clen_mm)
    except (ValueError, KeyError, OverflowError) as error:
        raise InputFileError(f"{path}: {str(error)[:200]}") from None


def _read(text: str, clen_mm: float | None) -> FileGeometry:
    defaults: Keys = {}
    panels: dict[str, Keys] = {}
    bad: dict[str, Keys] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split(";", 1)[0].strip()
        if not line:
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise ValueError(f"line {number} is not key = value: {line[:40]!r}")
        name, slash, item = key.partition("/")
        if not slash:
            if not key.startswith(_GROUPS):
                defaults[key] = value
        elif name.startswith("bad"):
            bad.setdefault(name, {})[item] = value
        else:
            panels.setdefault(name, dict(defaults))[item] = value
    if not panels:
        raise ValueError("no panel: is it a geometry of CrystFEL?")
    names = list(panels)
    return FileGeometry(
        panels=tuple(_panel(name, panels[name], defaults, bad, clen_mm) for name in names),
        wavelength_A=_wavelength(defaults),
    )


def _wavelength(keys: Keys) -> float | None:
    """Return the wavelength [Å]; None where it is a place in a data file, or missing."""
    for key in ("wavelength", "photon_energy", "electron_voltage"):
        if key in keys:
            value = _quantity(key, keys[key])
            if value is None:
                return None
            if value <= 0:
                raise ValueError(f"{key} = {keys[key]}: must be above 0")
            if key == "electron_voltage":  # h/√(2meV·(1 + eV/2mc²))
                return 12.264259661 / math.sqrt(value * (1.0 + 9.7847559e-7 * value))
            return value if key == "wavelength" else HC_EV_A / value
    return None


def _quantity(key: str, text: str) -> float | None:
    """Return a number with its unit taken in; None for the name of a place in a data file."""
    if text.startswith(("/", "%")):
        return None
    found = re.fullmatch(r"([-+0-9.eE]+)\s*([A-Za-zµ]*)", text)
    if not found:
        return None
    units = _UNITS.get(key, {})
    if found[2] and found[2] not in units:
        raise ValueError(f"{key} = {text[:40]}: unknown unit, known: {', '.join(units) or 'none'}")
    return float(finite(float(found[1]), 1, key)[0]) * (units[found[2]] if found[2] else 1.0)


def _direction(text: str) -> Array:
    """Return [3] of '-0.0019x +0.9999y', 'x' and the like."""
    bare = re.sub(r"\s+", "", text)
    terms = _TERM.findall(bare)
    if not terms or "".join(a + b for a, b in terms) != bare:
        raise ValueError(f"not a direction: {text[:60]}")
    found = np.zeros(3)
    for factor, axis in terms:
        found["xyz".index(axis)] += float(factor + "1" if factor in ("", "+", "-") else factor)
    return found


def _panel(
    name: str, keys: Keys, top: Keys, bad: dict[str, Keys], clen_mm: float | None
) -> FilePanel:
    def value(key: str, default: float | None = None) -> float:
        found = _quantity(key, keys[key]) if key in keys else default
        if key == "clen" and clen_mm is not None:
            return clen_mm / MM
        if found is None:
            what = f"{key} = {keys[key][:60]}, no number" if key in keys else f"no {key}"
            advice = "; give detector.distance_mm" if key == "clen" else ""
            raise ValueError(f"panel {name} has {what}{advice}")
        return found

    resolution = value("res")
    if resolution <= 0:
        raise ValueError(f"panel {name} has res = {resolution:g}; must be above 0")
    first = int(value("min_fs")), int(value("min_ss"))
    size = int(value("max_fs")) - first[0] + 1, int(value("max_ss")) - first[1] + 1
    fast, slow = _direction(keys.get("fs", "x")), _direction(keys.get("ss", "y"))
    shift = [
        _quantity(f"detector_shift_{x}", top.get(f"detector_shift_{x}", "0")) or 0.0 for x in "xy"
    ]
    corner = [
        value(f"corner_{x}") / resolution + moved for x, moved in zip("xy", shift, strict=True)
    ]
    origin = np.array([*corner, value("clen") + value("coffset", 0.0)])
    pitch = [float(np.linalg.norm(axis)) / resolution * MM for axis in (fast, slow)]
    at = np.array(corner) * resolution
    axes = np.stack([fast[:2], slow[:2]])
    masked = [
        rectangle
        for entry, region in bad.items()
        if region.get("panel", name) == name
        for rectangle in bad_rectangles(region, entry, first, size, at, axes)
    ]
    if len(masked) > MOST_RECTANGLES:
        raise ValueError(f"bad regions of {len(masked):,} rectangles on panel {name}; at most "
                         f"{MOST_RECTANGLES:,} are read")  # fmt: skip
    if keys.get("no_index", "0") not in ("0", ""):
        masked.append((0, size[0] - 1, 0, size[1] - 1))
    return FilePanel(
        TO_IMGCIF @ origin * MM, TO_IMGCIF @ fast, TO_IMGCIF @ slow, (pitch[0], pitch[1]), size,
        tuple(masked),
    )  # fmt: skip


def geom_text(geometry: FileGeometry) -> str:
    """Write a geometry for CrystFEL; its frame must have the beam along −z exactly."""
    lines = []
    if geometry.wavelength_A is not None:
        lines.append(f"wavelength = {geometry.wavelength_A!r} A")
    lines.append("data = /entry/data/data\n")
    offset = 0
    for number, panel in enumerate(geometry.panels):
        x, y, z = (float(v) for v in TO_IMGCIF @ panel.origin_mm / MM)
        across, down = panel.pixel_mm
        per_m = MM / across
        fast, slow = panel.size_px
        name = f"p{number}"
        lines += [
            f"{name}/res = {per_m!r}",
            f"{name}/min_fs = 0",
            f"{name}/max_fs = {fast - 1}",
            f"{name}/min_ss = {offset}",
            f"{name}/max_ss = {offset + slow - 1}",
            f"{name}/corner_x = {x * per_m!r}",
            f"{name}/corner_y = {y * per_m!r}",
            f"{name}/clen = {z!r}",
            f"{name}/fs = {_terms(TO_IMGCIF @ unit(panel.fast))}",
            # In units of 1/res, which is the fast side.
            f"{name}/ss = {_terms(TO_IMGCIF @ unit(panel.slow) * (down / across))}",
        ]
        for count, (f0, f1, s0, s1) in enumerate(panel.masked_px):
            region = f"bad_{name}_{count}"
            lines += [f"{region}/panel = {name}", f"{region}/min_fs = {f0}",
                      f"{region}/max_fs = {f1}", f"{region}/min_ss = {s0 + offset}",
                      f"{region}/max_ss = {s1 + offset}"]  # fmt: skip
        lines.append("")
        offset += slow
    return "\n".join(lines)


def _terms(direction: Sequence[float] | Array) -> str:
    return " ".join(f"{float(v):+.17g}{axis}" for v, axis in zip(direction, "xyz", strict=True))
