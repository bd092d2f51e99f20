"""The formats of an export: their names, what they can hold, and how a worker encodes rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.model import CountModel
from tiledsim.errors import ExperimentError
from tiledsim.image_files.cbf import byte_offset
from tiledsim.image_files.cbf.minicbf_header import fits_minicbf
from tiledsim.image_files.instrument import Instrument

Name = Literal["nxmx", "cbf", "smv", "tiff", "npy", "raw"]


@dataclass(frozen=True)
class Format:
    """What is known of a format."""

    name: Name
    endings: tuple[str, ...]
    """The first is given to names that have none."""
    dtypes: tuple[str, ...]
    """Names of ``--as`` that it can hold; the first is the default for integers."""
    one_panel: bool
    """Whether a file holds a single panel."""
    stack: bool
    """Whether all shots go to one name; else to numbered files."""
    has_header: bool
    """Whether it says where panels stand."""


ALL = ("int32", "uint16", "float32")
FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        Format("nxmx", (".h5", ".nxs", ".nx5", ".hdf5"), ALL, False, True, True),
        Format("cbf", (".cbf",), ("int32",), True, False, True),
        Format("smv", (".img", ".smv"), ("uint16",), True, False, True),
        Format("tiff", (".tif", ".tiff"), ALL, False, False, False),
        Format("npy", (".npy",), ALL, False, True, False),
        Format("raw", (".raw", ".bin"), ALL, False, True, False),
    )
}
_TYPES = {"int32": "<i4", "uint16": "<u2", "float32": "<f4"}
_LIMITS = {"int32": (-(2.0**31) + 1, 2.0**31 - 3), "uint16": (0.0, 65534.0)}
"""Of measurements.  The two values at the end of a range mark pixels without one, for readers of
Dectris' files; so does the last one of 16 bits."""
FLOAT_SATURATION = 1e30
"""Stands in a header that needs one for float images."""


def choose_format(name: str | None, output: Path) -> Format:
    """Return the format asked for, or that of the output's ending.

    Raises ExperimentError for one that does not exist.
    """
    if name is not None:
        if name not in FORMATS:
            raise ExperimentError(f"`to={name}`: must be one of {', '.join(FORMATS)}")
        return FORMATS[name]
    ending = output.suffix.lower()
    for known in FORMATS.values():
        if ending in known.endings:
            return known
    endings = ", ".join(known.endings[0] for known in FORMATS.values())
    raise ExperimentError(
        f"{output}: its ending names no format; end it in one of {endings}, or name one "
        f"with `to` of an export: {', '.join(FORMATS)}"
    )


def choose_dtype(format: Format, asked: str | None, *, counted: bool) -> str:
    """Return the type of the pixels, as NumPy names it.

    Counts become integers.  Photons that are expected, which are no integers, stay as they are
    where the format can hold them.
    """
    if asked is None:
        asked = "float32" if not counted and "float32" in format.dtypes else format.dtypes[0]
    if asked not in format.dtypes:
        others = [known.name for known in FORMATS.values() if asked in known.dtypes]
        advice = f"; {', '.join(others)} can" if others else ""
        raise ExperimentError(
            f"{format.name} files hold {' or '.join(format.dtypes)}, not {asked}{advice}"
        )
    return _TYPES[asked]


def limits_of(dtype: str) -> tuple[float, float]:
    """Return the smallest and the largest measurement of a type."""
    for name, known in _TYPES.items():
        if known == dtype and name in _LIMITS:
            return _LIMITS[name]
    return -np.inf, FLOAT_SATURATION


def saturation_of(dtype: str, counts: CountModel | None) -> float:
    """Return the largest value that is surely a measurement, for headers.

    Counts are cut to the top of their model, so that one itself may have been anything above.
    """
    _, highest = limits_of(dtype)
    return highest if counts is None else max(min(highest, float(counts.top)) - 1.0, 0.0)


def invalid_of(format: Format, dtype: str) -> float:
    """Return what stands for a pixel without a measurement."""
    if np.dtype(dtype).kind == "f":
        return -1.0 if format.name == "nxmx" else np.nan
    return -1.0 if np.dtype(dtype).kind == "i" else 65535.0


def check_geometry(format: Format, instrument: Instrument) -> None:
    """Raise ExperimentError for a geometry that a format cannot express; it says which can."""
    if not format.has_header:
        return
    if instrument.curved:
        raise ExperimentError(
            f"a curved detector cannot be written as {format.name}, whose panels are flat; tiff, "
            "npy and raw hold its pixels without a geometry"
        )
    if format.stack and instrument.detector_moves:
        raise ExperimentError(
            f"the detector moves from shot to shot, and {format.name} has one place for it; export "
            "the `shots` one by one, or to cbf or smv"
        )
    if format.one_panel and len(instrument.panels) > 1:
        raise ExperimentError(
            f"{format.name} files hold one panel and the detector has {len(instrument.panels)}; "
            "nxmx holds all, or give `panels` with one of them"
        )
    if format.name == "smv" and len(set(instrument.panels[0].pixel_mm)) > 1:
        raise ExperimentError("SMV headers know square pixels alone; cbf and nxmx know others too")
    if format.name == "smv" and not fits_minicbf(instrument):
        raise ExperimentError(
            "an SMV header has no place for a panel that is tilted, turned or mirrored against "
            "the beam and the rotation axis; cbf and nxmx can say where it stands"
        )


def as_bytes(rows: NDArray[np.generic], plane_row: int) -> bytes:
    """Encode rows as they are in memory."""
    return rows.tobytes()


def as_rows(rows: NDArray[np.generic], plane_row: int) -> NDArray[np.generic]:
    """Leave rows as they are."""
    return rows


def as_byte_offset(rows: NDArray[np.generic], plane_row: int) -> byte_offset.Piece:
    """Encode rows of a CBF."""
    return byte_offset.encode_piece(rows.astype(np.int32, copy=False).reshape(-1))
