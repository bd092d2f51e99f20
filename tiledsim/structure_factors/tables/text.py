"""Structure factors as text: a line of h k l F for each reflection."""

import warnings
from pathlib import Path

import numpy as np

from tiledsim.errors import InputFileError
from tiledsim.io.numbers import plain_float
from tiledsim.io.text import read_text
from tiledsim.structure_factors.table import LARGEST_INDEX, FTable, empty_box, triple
from tiledsim.vectors import Array


def read_hkl(path: Path, default_F: float) -> FTable:
    """Read lines of h k l F; further columns are ignored, ``#`` starts a comment.

    Reflections that are missing inside the box are ``default_F``; of repeated ones the last counts.
    """
    rows = _parse_rows(path)
    if not len(rows):
        raise InputFileError(f"{path}: no reflections; each line holds h k l F")
    read = rows[:, :3]
    not_whole = ((read != np.rint(read)) | (np.abs(read) > LARGEST_INDEX)).any(axis=1)
    if not_whole.any():
        h, k, l, _ = rows[int(not_whole.argmax())]
        raise InputFileError(
            f"{path}: h k l = {h:g} {k:g} {l:g} (reflection {int(not_whole.argmax()) + 1}) "
            "are not integers below a million"
        )
    indices = rows[:, :3].astype(np.int64)
    low, high = indices.min(axis=0), indices.max(axis=0)
    padded = empty_box(path, low, high, default_F, count=len(rows))
    at = indices - low + 1
    padded[at[:, 0], at[:, 1], at[:, 2]] = rows[:, 3]
    present = np.zeros([n - 2 for n in padded.shape], dtype=np.bool_)
    present[tuple((indices - low).T)] = True
    return FTable(padded, triple(low), default_F, len(rows), present)


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
            values = [plain_float(word) for word in words[:4]]
        except ValueError:
            raise InputFileError(f"{path}, line {number}: not numbers: {line.strip()!r}") from None
        if not np.isfinite(values).all():
            raise InputFileError(f"{path}, line {number}: not finite: {line.strip()!r}")
    return rows
