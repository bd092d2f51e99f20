"""Statistics of an image as nanoBragg accumulates them: pixel after pixel in raster order.

The mean is over the pixels that were rendered, the deviation from it over the whole region of
interest, masked pixels included; a square is rounded to float32 before it is added.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import exact_entry

Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]
ROWS_AT_ONCE: Final = 512


@dataclass(frozen=True)
class ImageStatistics:
    """What nanoBragg prints of an image."""

    maximum: float
    """0 where no pixel is above."""
    slow: int
    fast: int
    """The first pixel with the maximum; −1 where there is none."""
    mean: float
    rms: float
    rmsd: float


def row_blocks(rows: int) -> Iterator[slice]:
    """Portions of an image, in order."""
    for row in range(0, rows, ROWS_AT_ONCE):
        yield slice(row, min(row + ROWS_AT_ONCE, rows))


def image_statistics(
    image: Float32,
    roi: tuple[int, int, int, int],
    rendered: Callable[[slice], Bool],
    *,
    shift: int = 0,
) -> ImageStatistics:
    """Reduce an image [slow, fast]; ``rendered`` says which pixels of some rows were.

    ``roi`` is fast_min, fast_max, slow_min, slow_max, inclusive.  With ``shift`` = 1 the deviation
    is that of the pixel after the one meant (0 after the last), as nonBragg has it.
    """
    sums = np.zeros(4)
    where = np.full(2, -1, dtype=np.int64)
    for part in row_blocks(len(image)):
        counted = np.ascontiguousarray(rendered(part))
        _add_up(np.ascontiguousarray(image[part]), counted, part.start, sums, where)
    count = max(int(sums[2]), 1)
    mean = float(sums[0]) / count
    rms = math.sqrt(sums[1] / (max(count, 2) - 1))
    fast_min, fast_max, slow_min, slow_max = roi
    flat = image.reshape(-1)
    square = np.zeros(1)
    for row in range(slow_min, slow_max + 1):
        start = row * image.shape[1] + fast_min + shift
        values = flat[start : start + fast_max - fast_min + 1]
        _add_deviations(np.ascontiguousarray(values), mean, square)
        if len(values) < fast_max - fast_min + 1:
            _add_deviations(np.zeros(1, dtype=np.float32), mean, square)
    inside = (fast_max - fast_min + 1) * (slow_max - slow_min + 1)
    rmsd = math.sqrt(float(square[0]) / (max(inside, 2) - 1))
    return ImageStatistics(float(sums[3]), int(where[0]), int(where[1]), mean, rms, rmsd)


@exact_entry
def _add_up(
    pixels: Float32, rendered: Bool, row: int, sums: NDArray[np.float64], where: NDArray[np.int64]
) -> None:
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            if not rendered[i, j]:
                continue
            value = pixels[i, j]
            if np.float64(value) > sums[3]:
                sums[3] = value
                where[0], where[1] = row + i, j
            sums[0] += np.float64(value)
            sums[1] += np.float64(np.float32(value * value))
            sums[2] += 1.0


@exact_entry
def _add_deviations(pixels: Float32, mean: float, square: NDArray[np.float64]) -> None:
    for value in pixels:
        deviation = np.float64(value) - mean
        square[0] += deviation * deviation
