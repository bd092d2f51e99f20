"""What nanoBragg takes from the header of an SMV image, given by ``-mask`` or ``-img``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tiledsim.errors import InputFileError
from tiledsim.image_files.smv.header import read_smv_header

_NUMBER: Final = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_KEYWORDS: Final = {
    "PIXEL_SIZE": "detector.pixel_mm",
    "DISTANCE": "detector.distance_mm",
    "CLOSE_DISTANCE": "detector.close_distance_mm",
    "WAVELENGTH": "beam.wavelength_A",
    "BEAM_CENTER_X": "detector.beam_x_mm",
    "BEAM_CENTER_Y": "detector.beam_y_mm",
    "ORGX": "detector.org_x_px",
    "ORGY": "detector.org_y_px",
    "PHI": "rotation.start_deg",
    "OSC_RANGE": "rotation.range_deg",
}


def header_fields(
    path: Path, flag: str, *, as_nanobragg: bool
) -> tuple[dict[str, tuple[Any, str]], list[str]]:
    """Return the values that a header gives and notes about what it does not.

    Values are by dotted key, each with its keyword in the header.  ``flag`` is ``-mask`` or
    ``-img``: a mask's beam centre counts along the slow axis from the far edge.  With
    ``as_nanobragg`` a value is that of the last keyword that contains the one looked for
    (``CLOSE_DISTANCE`` for ``DISTANCE``); otherwise the keyword itself comes first.  Raises
    InputFileError for a file that is no SMV image.
    """
    header = read_smv_header(path, flag.removeprefix("-"))
    found: dict[str, tuple[Any, str]] = {}
    for keyword, key in _KEYWORDS.items():
        value = header_number(path, header, keyword, as_nanobragg=as_nanobragg)
        if value is not None:
            found[key] = (value, keyword)
    for axis, keyword in enumerate(("SIZE1", "SIZE2")):
        size = header_number(path, header, keyword, as_nanobragg=as_nanobragg)
        if size is None or size < 1 or not size.is_integer():
            raise InputFileError(f"{path}: {keyword} in its header must be a whole number above 0")
        found[f"detector.size_px[{axis}]"] = (int(size), keyword)
    if flag == "-mask" and "detector.beam_y_mm" in found:
        pixel = found.get("detector.pixel_mm", (0.1, ""))[0]
        rows = found["detector.size_px[1]"][0]
        found["detector.beam_y_mm"] = (
            pixel * rows - found["detector.beam_y_mm"][0],
            "BEAM_CENTER_Y",
        )
    notes = []
    if header_number(path, header, "TWOTHETA", as_nanobragg=as_nanobragg):
        notes.append(f"TWOTHETA in the header of {path.name} is not used; give -twotheta for it")
    return found, notes


def header_number(
    path: Path, header: Mapping[str, str], keyword: str, *, as_nanobragg: bool
) -> float | None:
    """Return the number of a keyword, None where it is not there; see :func:`header_fields`."""
    containing = [name for name in header if keyword in name]
    if not containing:
        return None
    name = keyword if keyword in header and not as_nanobragg else containing[-1]
    number = _NUMBER.match(header[name])
    if number is None:
        raise InputFileError(f"{path}: {name}={header[name]} in its header is not a number")
    return float(number.group(1))
