"""Trace logs as they are found in the wild: read what can be read, report what cannot.

Lines are ``TRACE_C: key value…`` or ``TRACE_C:key=value``, for ``TRACE_PY`` likewise, in any order
and between anything else.  A pixel's trace repeats the lines of an evaluation for every subpixel
and layer, and a log may hold several pixels: the last value of each key in the last complete block
counts.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tiledsim.errors import InputFileError
from tiledsim.io.numbers import plain_float
from tiledsim.io.text import read_bytes

LARGEST_LOG: Final = 256 << 20
"""Bytes of a log that is read."""

ORDER = (
    "pix0_vector_meters",
    "fdet_vec",
    "sdet_vec",
    "pixel_pos_meters",
    "R_distance_meters",
    "omega_pixel_sr",
    "close_distance_meters",
    "obliquity_factor",
    "diffracted_vec",
    "incident_vec",
    "lambda_meters",
    "lambda_angstroms",
    "scattering_vec_A_inv",
    "rot_a_angstroms",
    "rot_b_angstroms",
    "rot_c_angstroms",
    "rot_a_star_A_inv",
    "rot_b_star_A_inv",
    "rot_c_star_A_inv",
    "hkl_frac",
    "hkl_rounded",
    "F_latt_a",
    "F_latt_b",
    "F_latt_c",
    "F_latt",
    "F_cell",
    "I_before_scaling",
    "r_e_meters",
    "r_e_sqr",
    "fluence_photons_per_m2",
    "steps",
    "oversample_thick",
    "oversample_polar",
    "oversample_omega",
    "capture_fraction",
    "polar",
    "omega_pixel",
    "cos_2theta",
    "I_pixel_final",
    "floatimage_accumulated",
)
"""The keys of a trace, in the order in which nanoBragg prints them."""

LAST_KEYS = ("I_pixel_final", "floatimage_accumulated")
"""What a complete block ends with."""

_LINE = re.compile(r"TRACE_(?:C|PY)\s*:\s*([A-Za-z_]\w*)\s*(?:=|\s)\s*(.*)$")
_PIXEL = re.compile(r"spixel\s*=\s*(-?\d+)\s*,\s*fpixel\s*=\s*(-?\d+)")
_VECTORS = {key for key in ORDER if key.endswith("_vec")} | {
    "pix0_vector_meters", "pixel_pos_meters", "scattering_vec_A_inv", "hkl_frac", "hkl_rounded",
    *(f"rot_{v}_angstroms" for v in "abc"), *(f"rot_{v}_star_A_inv" for v in "abc"),
}  # fmt: skip


@dataclass
class TraceLog:
    """What a log says of one pixel."""

    values: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Values by key; vectors have three."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Keys whose last value is no number, or cut off, with what is there."""
    blocks: int = 0
    """Complete blocks in the log; the last one counts."""
    evaluations: int = 0
    """Subpixels and layers that the block has lines of."""
    pixel: tuple[int, int] | None = None
    """(slow, fast), where the log says."""


def _numbers(key: str, text: str) -> tuple[float, ...] | None:
    words = text.strip().strip("[]").replace(",", " ").split()
    try:
        numbers = tuple(plain_float(word) for word in words)
    except ValueError:
        return None
    wanted = 3 if key in _VECTORS else 1
    return numbers if len(numbers) == wanted else None


def parse_log(text: str) -> TraceLog:
    """Read a log's text; never raises.  See :class:`TraceLog`."""
    best = current = TraceLog()
    blocks = 0
    announced: tuple[int, int] | None = None
    lines = text.replace("\r", "\n").split("\n")
    for number, line in enumerate(lines):
        if "TRACE_CONFIG" in line and (found := _PIXEL.search(line)):
            announced = int(found[1]), int(found[2])
        found = _LINE.search(line)
        if found is None or found[1] not in ORDER:
            continue
        key = found[1]
        if current.blocks and key not in LAST_KEYS:  # a line after the end: the next block
            current = TraceLog()
        if current.pixel is None:
            current.pixel = announced
        numbers = _numbers(key, found[2])
        cut_off = number == len(lines) - 1 and not text.endswith(("\n", "\r"))
        if numbers is None or (cut_off and key not in LAST_KEYS):
            current.unreadable[key] = found[2].strip() or "(nothing)"
        else:
            current.values[key] = numbers
            current.unreadable.pop(key, None)
        current.evaluations += key == "pixel_pos_meters"
        if key in LAST_KEYS:
            blocks += not current.blocks
            current.blocks = 1
            best = current
    if not blocks:
        best = current
    best.blocks = blocks
    return best


def read_log(path: Path) -> TraceLog:
    """Read a log.  Raises InputFileError for a file that is missing or holds no trace."""
    text = read_bytes(path, "trace", LARGEST_LOG).decode("utf-8", errors="replace")
    log = parse_log(text)
    if not log.values and not log.unreadable:
        what = "is empty" if not text.strip() else "holds no line TRACE_C: or TRACE_PY:"
        raise InputFileError(f"{path} {what}; give the log of a traced pixel")
    return log


def finite(values: tuple[float, ...]) -> bool:
    """Whether all numbers are finite."""
    return all(math.isfinite(value) for value in values)
