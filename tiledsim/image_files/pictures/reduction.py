"""Images made smaller by the maximum, under which no spot vanishes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_measured(pixels: NDArray[Any], not_measured: int | None) -> NDArray[np.float32]:
    """Return pixels as float32, NaN where an integer says that nothing was measured."""
    values = pixels.astype(np.float32, copy=False)
    if not_measured is not None and pixels.dtype.kind != "f":
        values[pixels == not_measured] = np.nan
    return values


def reduce_into(
    cells: NDArray[np.float32], pixels: NDArray[np.float32], row: int, column: int, factor: int
) -> None:
    """Raise cells [rows, cols] to the maximum of pixels [n, m] of theirs; NaN counts as nothing.

    ``row`` and ``column`` say where the first pixel is from the first cell's first.
    """
    if factor > 1:
        pixels = _reduced(pixels, row % factor, factor)
        pixels = _reduced(pixels.T, column % factor, factor).T
    top, left = row // factor, column // factor
    part = cells[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    np.fmax(part, pixels, out=part)


def _reduced(pixels: NDArray[np.float32], skipped: int, factor: int) -> NDArray[np.float32]:
    """Reduce rows; ``skipped`` of the first cell's are not there."""
    rows = len(pixels)
    if skipped == 0 and rows % factor == 0:
        best = pixels[0::factor].copy()
        for offset in range(1, factor):
            np.fmax(best, pixels[offset::factor], out=best)
        return best
    starts = np.concatenate(([0], np.arange(factor - skipped, rows, factor)))
    reduced: NDArray[np.float32] = np.fmax.reduceat(pixels, starts, axis=0)
    return reduced


def new_cells(rows: int, cols: int, factor: int) -> NDArray[np.float32]:
    """Return the cells of an area of pixels, with nothing in them: NaN."""
    return np.full((-(-rows // factor), -(-cols // factor)), np.nan, dtype=np.float32)
