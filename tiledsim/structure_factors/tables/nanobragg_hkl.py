"""A text of structure factors as nanoBragg reads it (quirk hkl_stops).

It is read twice: once for the extent of the indices, four numbers of any kind at a time, and once
for the values, three whole numbers and a number at a time.  Both end where that cannot be read;
lines mean nothing, so that a fifth column shifts all that follows.
"""

from pathlib import Path

import numpy as np

from tiledsim.errors import InputFileError
from tiledsim.io.c_text import scan_numbers
from tiledsim.io.text import read_text
from tiledsim.structure_factors.table import LARGEST_INDEX, FTable, Int, empty_box, triple
from tiledsim.vectors import Array


def scan_hkl_table(path: Path, default_F: float) -> FTable:
    """Read a text of structure factors as nanoBragg does.

    Raises InputFileError where nanoBragg gives up, or writes outside its memory.
    """
    low, high, rows = scan_hkl(path, read_text(path, "structure factor"))
    padded = empty_box(path, low, high, default_F, count=max(len(rows), 1))
    at = rows[:, :3].astype(np.int64) - low + 1
    padded[at[:, 0], at[:, 1], at[:, 2]] = rows[:, 3]
    present = np.zeros([n - 2 for n in padded.shape], dtype=np.bool_)
    present[at[:, 0] - 1, at[:, 1] - 1, at[:, 2] - 1] = True
    return FTable(padded, triple(low), default_F, max(len(rows), 1), present)


def scan_hkl(path: Path, text: str) -> tuple[Int, Int, Array]:
    """Return the lowest and the highest indices [3] each, and rows h k l F [n, 4].

    Raises InputFileError where nanoBragg gives up, or writes outside its memory.
    """
    counted = np.array(scan_numbers(text, "gggg")).reshape(-1, 4)
    if not len(counted):
        raise InputFileError(f"{path}: no reflections; each line holds h k l F")
    if np.abs(counted[:, :3]).max() > LARGEST_INDEX:
        raise InputFileError(
            f"{path}: read as by nanoBragg, an index of {np.abs(counted[:, :3]).max():g} is not "
            "below a million; is there a column too many?"
        )
    low, high = (np.trunc(f(counted[:, :3], axis=0)).astype(np.int64) for f in (np.min, np.max))
    rows = np.array(scan_numbers(text, "dddg")).reshape(-1, 4)
    outside = ((rows[:, :3] < low) | (rows[:, :3] > high)).any(axis=1)
    if outside.any():
        h, k, l, _ = rows[int(outside.argmax())]
        raise InputFileError(
            f"{path}: read as by nanoBragg, h k l = {h:g} {k:g} {l:g} is outside the indices "
            "counted before; is there a column too many?"
        )
    return low, high, rows
