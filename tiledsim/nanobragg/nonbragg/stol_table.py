"""Tables of amorphous scattering as nonBragg reads them: sin θ/λ and F, in whatever order."""

import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.io.text import read_text

Float64 = NDArray[np.float64]
PER_METRE: Final = {"stol": 1e10, "4stol": 1e10 / 4, "Q": 1e10 / np.pi / 4}
"""Factors from the first column of -stol, -4stol and -Q to sin θ/λ in 1/m."""
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_SEPARATORS: Final = re.compile(r"[ \t,;:!\r]+")
_SPARE: Final = 10


def read_stol(path: Path, unit: str, quirks: frozenset[str]) -> tuple[Float64, Float64, int]:
    """Return sin θ/λ [1/m] and F, padded by two points at either end, and how many they are.

    Behind them stand numbers that are none, as behind nonBragg's own arrays.  Raises
    InputFileError for a table without data, and naming the line for words (without the quirk
    ``stol_words``) and for a first column that does not rise (without ``stol_unsorted``).
    """
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(read_text(path, "stol").splitlines(), start=1):
        if "stol_words" not in quirks:
            line = line.partition("#")[0]
        words = [word for word in _SEPARATORS.split(line) if word]
        if not words:
            continue
        values = [_value(path, number, word, quirks) for word in words[:2]]
        if rows and "stol_unsorted" not in quirks and values[0] <= rows[-1][0]:
            raise InputFileError(
                f"{path}, line {number}: {values[0]:g} does not rise above {rows[-1][0]:g}; sort "
                "the table, each value once"
            )
        rows.append((values[0], values[1] if len(values) > 1 else 0.0))
    if not rows:
        raise InputFileError(f"{path}: no data; each line holds sin(theta)/lambda and F")
    table = np.array(rows)
    s = np.concatenate([[-1e99, -1e98], table[:, 0] * PER_METRE[unit], [1e98, 1e99]])
    ends = table[[0, 0], 1], table[[-1, -1], 1]
    F = np.concatenate([ends[0], table[:, 1], ends[1]])
    spare = np.full(_SPARE, np.nan)
    return np.concatenate([s, spare]), np.concatenate([F, spare]), len(s)


def _value(path: Path, number: int, word: str, quirks: frozenset[str]) -> float:
    start = _NUMBER.match(word)
    if "stol_words" in quirks:
        return float(start.group()) if start else 0.0
    if start is None or start.end() != len(word):
        raise InputFileError(f"{path}, line {number}: {word!r} is not a number")
    return float(word)
