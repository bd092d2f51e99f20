"""Read a geometry file, whose format is recognised by what it holds."""

from pathlib import Path

from tiledsim.errors import InputFileError
from tiledsim.geometry_files.described import FileGeometry, check
from tiledsim.io.text import read_text

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 65536
KNOWN = (
    "DIALS .expt, NXmx or NeXus (.h5, .nxs), XDS.INP, XPARM.XDS, INTEGRATE.HKL, CrystFEL .geom, CBF"
)


def read_geometry_file(path: Path, distance_mm: float | None = None) -> FileGeometry:
    """Read the geometry that a file of DIALS, NeXus, XDS, CrystFEL or CBF describes.

    Parameters
    ----------
    path : Path
        The file.
    distance_mm : float, optional
        The ``clen`` of a CrystFEL geometry that takes it from a data file.

    Raises
    ------
    InputFileError
        In one line, for a file that is none of these, is damaged, or says what cannot be simulated.
    """
    head = _head(path)
    if distance_mm is not None and _kind(head, path) != "geom":
        raise InputFileError(f"{path} has the distance itself; leave detector.distance_mm out")
    return check(_read(path, _kind(head, path), distance_mm), path)


def _read(path: Path, kind: str, distance_mm: float | None) -> FileGeometry:
    if kind == "nxmx":
        from tiledsim.geometry_files.nxmx import read_nxmx

        return read_nxmx(path)
    if kind == "cbf":
        from tiledsim.geometry_files.cbf import read_cbf

        return read_cbf(path)
    if kind == "expt":
        from tiledsim.geometry_files.dials_expt import read_expt

        return read_expt(path)
    if kind == "geom":
        from tiledsim.geometry_files.crystfel import read_geom

        return read_geom(path, distance_mm)
    from tiledsim.geometry_files.xds import read_xds

    return read_xds(path)


def _head(path: Path) -> bytes:
    if not path.is_file():
        read_text(path, "geometry")  # says what is wrong with it
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise InputFileError(f"geometry file {path} cannot be read: {error.strerror}") from None


def _kind(head: bytes, path: Path) -> str:
    from tiledsim.geometry_files.xds import is_reflection_list, is_xparm

    text = head.decode("latin-1")
    words = text.lstrip("\ufeff \r\n\t")
    if head.startswith(_HDF5):
        return "nxmx"
    if words.startswith("###CBF") or "_axis.id" in text or "_array_data.header_conv" in text:
        return "cbf"
    if words.startswith("{"):
        return "expt"
    if (
        is_reflection_list(text)
        or is_xparm(text)
        or "ORGX=" in text
        or "DETECTOR_DISTANCE=" in text
        or "JOB=" in text
    ):
        return "xds"
    if "corner_x" in text and "=" in text:
        return "geom"
    raise InputFileError(f"{path} is no geometry file that is known: {KNOWN}")
