"""Text as C reads it, where nanoBragg's way of reading decides what it renders."""

import re
from typing import Final

_NUMBER: Final = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)", re.ASCII)
_WHOLE: Final = re.compile(r"\s*([-+]?\d+)", re.ASCII)


def c_number(text: str) -> float:
    """Return the number at the start of a text, 0 where there is none (C's ``atof``)."""
    found = _NUMBER.match(text)
    return float(found.group(1)) if found else 0.0


def scan_numbers(text: str, wanted: str) -> list[tuple[float, ...]]:
    """Read rows of numbers as a loop of C's ``fscanf`` does, whatever the lines.

    ``wanted`` has a letter for each number of a row, ``d`` for a whole one and ``g`` for any.
    Reading ends, without a word, at the first row that cannot be read whole.
    """
    patterns = [_WHOLE if letter == "d" else _NUMBER for letter in wanted]
    rows: list[tuple[float, ...]] = []
    at = 0
    while True:
        row: list[float] = []
        for pattern in patterns:
            found = pattern.match(text, at)
            if found is None:
                return rows
            row.append(float(found.group(1)))
            at = found.end()
        rows.append(tuple(row))
