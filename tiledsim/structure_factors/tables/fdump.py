"""nanoBragg's ``Fdump.bin``: six limits as text, then float64 with one spare per axis."""

from pathlib import Path

import numpy as np

from tiledsim.errors import InputFileError
from tiledsim.io.numbers import plain_int
from tiledsim.io.text import file_size, read_bytes, read_start
from tiledsim.structure_factors.table import LARGEST_INDEX, FTable, empty_box, triple


def read_fdump(path: Path, default_F: float) -> FTable:
    """Read nanoBragg's ``Fdump.bin``: six limits as text, then float64 with one spare per axis."""
    head, separator, _ = read_start(path, "F dump", 200).partition(b"\n\f")
    try:
        limits = [plain_int(word) for word in head.decode("ascii").split()]
        h0, h1, k0, k1, l0, l1 = limits
    except ValueError:
        raise InputFileError(f"{path}: an F dump starts with six limits of h, k and l") from None
    if max(map(abs, limits)) > LARGEST_INDEX:
        raise InputFileError(
            f"{path}: limits of h, k and l {limits} are not below a million; is it an F dump?"
        )
    low, high = np.array([h0, k0, l0]), np.array([h1, k1, l1])
    spare = high - low + 2
    start = len(head) + len(separator)
    found = file_size(path, "F dump") - start
    needed = 8 * int(spare.prod(dtype=object))
    if (high < low).any() or not separator or found != needed:
        raise InputFileError(
            f"{path}: limits {low.tolist()} to {high.tolist()} do not fit "
            f"{found} bytes of data; {needed} are needed"
        )
    padded = empty_box(path, low, high, default_F)
    data = read_bytes(path, "F dump", start=start)
    if len(data) != needed:
        raise InputFileError(f"{path}: the F dump was changed while it was read")
    values = np.frombuffer(data, dtype="<f8").reshape(spare)[:-1, :-1, :-1]
    if not np.isfinite(values).all():
        raise InputFileError(f"{path}: holds a structure factor that is not finite")
    padded[1:-1, 1:-1, 1:-1] = values
    return FTable(padded, triple(low), default_F, values.size)


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
