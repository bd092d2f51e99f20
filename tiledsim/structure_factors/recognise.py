"""What kind of file structure factors come in, by its content."""

import gzip
import re
import zlib
from pathlib import Path
from typing import Final, Literal

from tiledsim.errors import InputFileError
from tiledsim.io.text import read_bytes

Format = Literal["text", "fdump", "mtz", "sf-cif", "pdb", "mmcif"]

_FDUMP: Final = re.compile(rb"\s*(-?\d+\s+){5}-?\d+\s*\n\f")
_NUMBERS: Final = re.compile(r"[-+]?\d+(\s+[-+]?\d+){2}\s+[-+]?(\d|\.\d)")
_PDB: Final = re.compile(r"^(CRYST1|ATOM  |HETATM)", re.MULTILINE)
_FOREIGN: Final = {
    "!FORMAT=XDS_ASCII": "an XDS reflection list; merge it (XDSCONV, pointless and aimless)",
    "NREFlection": "a CNS reflection file; convert it with gemmi or phenix",
    "NREFLECTION": "a CNS reflection file; convert it with gemmi or phenix",
}


def read_content(path: Path) -> bytes:
    """Return the bytes of a file of structure factors, decompressed where it is gzipped."""
    data = read_bytes(path, "structure factor")
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputFileError(f"{path}: its gzip compression is damaged: {error}") from None


def recognise(path: Path, data: bytes) -> Format:
    """Return what a file of structure factors holds.

    Raises InputFileError for a file that holds none of the kinds that are known.
    """
    if data[:4] == b"MTZ ":
        return "mtz"
    if _FDUMP.match(data[:200]):
        return "fdump"
    text = data.decode("utf-8-sig", errors="replace")
    for mark, what in _FOREIGN.items():
        if mark in text[:2000]:
            raise InputFileError(f"{path} is {what}")
    if re.search(r"^data_[^\s=]*\s*$", text[:100_000], re.MULTILINE | re.IGNORECASE):
        if re.search(r"^\s*_refln[._]index_h\b", text, re.MULTILINE):
            return "sf-cif"
        if re.search(r"^\s*_atom_site\.", text, re.MULTILINE):
            return "mmcif"
        raise InputFileError(f"{path}: a CIF file without reflections (_refln) or _atom_site atoms")
    if _PDB.search(text):
        return "pdb"
    for line in text.splitlines():
        content = line.split("#")[0].strip()
        if content:
            if "\0" not in text and _NUMBERS.match(content):
                return "text"
            break
    else:
        raise InputFileError(f"{path}: no reflections; each line holds h k l F")
    raise InputFileError(
        f"{path}: not recognised as structure factors; known are MTZ, mmCIF (reflections or "
        "atoms), PDB, Fdump and text lines of h k l F; structure_factors.format names one"
    )
