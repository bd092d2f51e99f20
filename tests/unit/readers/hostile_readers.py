"""Each reader of files, as a function of bytes: what both the tests and the long run go over."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiledsim.errors import TiledsimError
from tiledsim.experiment import Beam, load
from tiledsim.image_files.smv.image import read_smv
from tiledsim.nanobragg.command.command import parse_nanobragg
from tiledsim.parity.read_log import read_log
from tiledsim.scene.crystal.lattice import read_mosflm_matrix, read_rotations
from tiledsim.scene.detector.pixel_files import read_pixels
from tiledsim.scene.sources import source_table
from tiledsim.scheduler.journal.journal_file import Part
from tiledsim.scheduler.results.summary import Summary
from tiledsim.structure_factors.tables.fdump import read_fdump
from tiledsim.structure_factors.tables.nanobragg_hkl import scan_hkl_table
from tiledsim.structure_factors.tables.text import read_hkl

_TOML = b"""version = 1
[beam]
wavelength_A = 1.0
[crystal]
cell_A_deg = [38.1, 44.3, 51.7, 90.0, 90.0, 90.0]
cells = [10, 10, 10]
[crystal.mosaic]
domains = 1
[structure_factors]
default_F = 100.0
[detector]
size_px = [16, 16]
pixel_mm = 0.15
distance_mm = 160.0
[rotation]
steps = 1
"""


@dataclass(frozen=True)
class Target:
    """A reader, files that it takes, and words that mean something to it."""

    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    suffix: str = ""
    own: tuple[type[Exception], ...] = (TiledsimError,)
    """What it may raise; a part of a store is refused by its caller, who knows the store's name."""

    def try_bytes(self, folder: Path, data: bytes) -> bool:
        """Hand a file to the reader; whether it took it.  Errors that are not its own pass."""
        path = folder / f"hostile{self.suffix}"
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.read(path)
            except self.own as error:
                if isinstance(error, TiledsimError) and len(str(error)) > 4000:
                    raise AssertionError(f"a message of {len(str(error))} characters") from None
                return False
        return True


def _npy(values: object, version: tuple[int, int] | None = None) -> bytes:
    made = io.BytesIO()
    np.lib.format.write_array(made, np.asarray(values), version=version)
    return made.getvalue()


def _smv() -> bytes:
    head = b"{\nHEADER_BYTES=512;\nBYTE_ORDER=little_endian;\nSIZE1=4;\nSIZE2=3;\n}\f"
    return head.ljust(512) + bytes(24)


def _command_line(path: Path) -> object:
    words = path.read_bytes().decode("utf-8", "replace").replace("\0", "").split()
    return parse_nanobragg(words, base=path.parent)


def _experiment(path: Path) -> object:
    return load(path).to_toml()


def _sources(path: Path) -> object:
    axes = np.eye(3)
    return source_table(Beam(wavelength_A=1.0, source_file=path), axes[0], axes[2])


def _part(path: Path) -> object:
    return Part.decode(path.read_bytes())


def _summary(path: Path) -> object:
    return Summary.from_json(json.loads(path.read_bytes())).text()


def _archive() -> bytes:
    return Part(run="a", workers=("w",), errors=("e",)).encode()


_NPY = (b"'descr': '<f8'", b"(4294967296, 4294967296)", b"fortran_order", b"'|O'", b"(", b"L, ",
        b"\\", b"1" * 50)  # fmt: skip
_NUMBERS = (b"nan", b"inf", b"1e400", b"1_0", b"9" * 30, b"-0", "١".encode(), b"\f", b"\x85", b"#",
            b"\0", b"1e6", b"-1000000")  # fmt: skip
TARGETS = {
    "hkl": Target(lambda p: read_hkl(p, 0.0), (b"1 2 3 4.5\n-1 0 2 7\n",), _NUMBERS),
    "hkl as nanoBragg": Target(lambda p: scan_hkl_table(p, 0.0), (b"1 2 3 4.5\n-1 0 2 7 1\n",),
                               _NUMBERS),
    "Fdump": Target(lambda p: read_fdump(p, 0.0), (b"0 1 0 1 -1 0\n\f" + bytes(8 * 27),),
                    (b"9223372036854775807", b"-1000000", b"1000000", b"\n\f")),
    "matrix": Target(read_mosflm_matrix, (b"1 0 0\n0 1 0\n0 0 1\n",), _NUMBERS),
    "sources": Target(_sources, (b"0 0 -1 1 1e-10\n",), _NUMBERS),
    "SMV": Target(read_smv, (_smv(),), (b"HEADER_BYTES=", b"SIZE1=", b"\n" * 3000, b" " * 3000,
                  b"9" * 5000, b"TYPE=long;", b"}", b";", b"=")),
    "mask": Target(lambda p: read_pixels(p, "mask", 1, 3, 4), (_npy(np.ones((3, 4))),
                   _npy(np.ones((3, 4), bool), (2, 0))), _NPY, ".npy"),
    "rotations": Target(read_rotations, (_npy(np.eye(3)[None]),), _NPY, ".npy"),
    "trace": Target(read_log, (b"TRACE_C: hkl_frac 1 2 3\nTRACE_C: I_pixel_final 4\n",
                               b"TRACE_PY:F_latt=2\nTRACE_C: floatimage_accumulated 0\n"),
                    (*_NUMBERS, b"TRACE_C: ", b"=", b" " * 3000)),
    "TOML": Target(_experiment, (_TOML,), (b"[" * 2000, b"{a=" * 900, b"a." * 900, b"9" * 5000,
                   b"nan", b'"\\u0000"', b"1979-05-27", b"'''", b"[[detector.panels]]"), ".toml"),
    "command line": Target(_command_line, (b"-cell 30 40 50 90 90 90 -default_F 1 -lambda 1",),
                           (b"-detpixels ", b"-mosaic_domains ", b"1e999", b"nan", b"-img hostile ",
                            b"9" * 5000, b"-phisteps ", b"-distance ", b"-pix0_vector ")),
    "journal part": Target(_part, (_archive(),), (b"PK\1\2", b"\1\0", b"\x09\0", b"NUMPY"),
                           own=(ValueError,)),
    "summary": Target(_summary, (b'{"images": [], "photons": null, "workers": []}',),
                      (b"[" * 3000, b"null", b"NaN", b"1e999", b"9" * 5000, b'"scale": {}'),
                      own=(ValueError, RecursionError)),
}  # fmt: skip


def encrypted_part() -> bytes:
    """Return a journal's part whose members say that they are encrypted."""
    data = bytearray(_archive())
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        starts = [member.header_offset for member in archive.infolist()]
    for start in starts:
        data[start + 6] |= 1
    at = data.find(b"PK\1\2")
    while at >= 0:
        data[at + 8] |= 1
        at = data.find(b"PK\1\2", at + 4)
    return bytes(data)


def splice(seed: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Return ``seed`` with pieces cut out and others put in, at shares of its length."""
    data = seed
    for where, cut, piece in edits:
        at = int(where * len(data))
        data = data[:at] + piece + data[at + cut :]
    return data
