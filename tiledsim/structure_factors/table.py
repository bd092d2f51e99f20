"""Structure factors: a text table, a dump of nanoBragg, or one value for every reflection."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.experiment import StructureFactors
from tiledsim.io.text import read_text
from tiledsim.vectors import Array


@dataclass(frozen=True)
class FTable:
    """Structure factors on a box of Miller indices, with a border of one cell of ``default_F``.

    The border lets a kernel clamp an index instead of asking whether it is inside.
    """

    padded: Array
    """F [H+2, K+2, L+2]; element (1, 1, 1) is the reflection ``lowest``."""
    lowest: tuple[int, int, int]
    """Smallest h, k, l of the box inside the border."""
    default_F: float
    entries: int
    """Reflections read; 0 where every reflection is ``default_F``."""

    @property
    def highest(self) -> tuple[int, int, int]:
        """Largest h, k, l of the box inside the border."""
        h, k, l = (low + n - 3 for low, n in zip(self.lowest, self.padded.shape, strict=True))
        return h, k, l


def load_structure_factors(factors: StructureFactors) -> FTable:
    """Read the table that an experiment names.  Raises InputFileError for a malformed file."""
    if factors.hkl_file is not None:
        return read_hkl(factors.hkl_file, factors.default_F)
    if factors.fdump_file is not None:
        return read_fdump(factors.fdump_file, factors.default_F)
    return FTable(np.full((3, 3, 3), factors.default_F), (0, 0, 0), factors.default_F, 0)


def read_hkl(path: Path, default_F: float) -> FTable:
    """Read lines of h k l F; further columns are ignored, ``#`` starts a comment.

    Reflections that are missing inside the box are ``default_F``; of repeated ones the last counts.
    """
    rows = _parse_rows(path)
    if not len(rows):
        raise InputFileError(f"{path}: no reflections; each line holds h k l F")
    not_whole = (rows[:, :3] != np.rint(rows[:, :3])).any(axis=1) | (np.abs(rows[:, :3]) > 1e6).any(
        1
    )
    if not_whole.any():
        h, k, l, _ = rows[int(not_whole.argmax())]
        raise InputFileError(
            f"{path}: h k l = {h:g} {k:g} {l:g} (reflection {int(not_whole.argmax()) + 1}) "
            "are not integers below a million"
        )
    indices = rows[:, :3].astype(np.int64)
    low, high = indices.min(axis=0), indices.max(axis=0)
    padded = _empty_box(path, low, high, default_F)
    at = indices - low + 1
    padded[at[:, 0], at[:, 1], at[:, 2]] = rows[:, 3]
    return FTable(padded, _triple(low), default_F, len(rows))


def _triple(values: NDArray[np.int64]) -> tuple[int, int, int]:
    h, k, l = (int(v) for v in values)
    return h, k, l


def _parse_rows(path: Path) -> Array:
    """Return the first four columns [n, 4]; a bad line is named by its number."""
    text = read_text(path, "structure factor")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file is refused below
            rows = np.loadtxt(text.splitlines(), dtype=np.float64, usecols=(0, 1, 2, 3), ndmin=2)
    except (ValueError, IndexError):
        rows = np.empty((0, 4))
    if len(rows) and np.isfinite(rows).all():
        return rows
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) < 4:
            raise InputFileError(
                f"{path}, line {number}: {len(words)} columns where h k l F are needed: "
                f"{line.strip()!r}"
            )
        try:
            values = [float(word) for word in words[:4]]
        except ValueError:
            raise InputFileError(f"{path}, line {number}: not numbers: {line.strip()!r}") from None
        if not np.isfinite(values).all():
            raise InputFileError(f"{path}, line {number}: not finite: {line.strip()!r}")
    return rows


def _empty_box(
    path: Path, low: NDArray[np.int64], high: NDArray[np.int64], default_F: float
) -> Array:
    extent = [int(n) + 3 for n in high - low]
    needed = 8 * extent[0] * extent[1] * extent[2]
    available = psutil.virtual_memory().available
    if needed > available // 2:
        raise InputFileError(
            f"{path}: indices span {low.tolist()} to {high.tolist()}: a table of "
            f"{needed / 2**30:.1f} GiB, half of the free memory is {available / 2**31:.1f} GiB; "
            "is an index mistyped?"
        )
    return np.full(extent, default_F, dtype=np.float64)


def read_fdump(path: Path, default_F: float) -> FTable:
    """Read nanoBragg's ``Fdump.bin``: six limits as text, then float64 with one spare per axis."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputFileError(f"{path}: cannot read the F dump: {error.strerror}") from None
    head, separator, _ = data[:200].partition(b"\n\f")
    try:
        h0, h1, k0, k1, l0, l1 = (int(word) for word in head.split())
    except ValueError:
        raise InputFileError(f"{path}: an F dump starts with six limits of h, k and l") from None
    low, high = np.array([h0, k0, l0]), np.array([h1, k1, l1])
    spare = high - low + 2
    start = len(head) + len(separator)
    if (
        (high < low).any()
        or not separator
        or len(data) - start != 8 * int(spare.prod(dtype=object))
    ):
        raise InputFileError(
            f"{path}: limits {low.tolist()} to {high.tolist()} do not fit "
            f"{len(data) - start} bytes of data; {8 * spare.prod(dtype=object)} are needed"
        )
    values = np.frombuffer(data, dtype="<f8", offset=start).reshape(spare)[:-1, :-1, :-1]
    if not np.isfinite(values).all():
        raise InputFileError(f"{path}: holds a structure factor that is not finite")
    padded = _empty_box(path, low, high, default_F)
    padded[1:-1, 1:-1, 1:-1] = values
    return FTable(padded, _triple(low), default_F, values.size)


def write_fdump(path: Path, table: FTable) -> None:
    """Write a table as nanoBragg's ``Fdump.bin``, for the next run of either program."""
    (h0, k0, l0), (h1, k1, l1) = table.lowest, table.highest
    spare = np.zeros([n - 1 for n in table.padded.shape], dtype="<f8")
    spare[:-1, :-1, :-1] = table.padded[1:-1, 1:-1, 1:-1]
    head = f"{h0} {h1} {k0} {k1} {l0} {l1}\n\f".encode()
    try:
        path.write_bytes(head + spare.tobytes())
    except OSError as error:
        raise InputFileError(f"{path}: cannot write the F dump: {error.strerror}") from None
