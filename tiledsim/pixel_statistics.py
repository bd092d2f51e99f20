"""Sums, spreads and maxima of stored pixels: by rows where they are computed, then of a tile.

Rows are reduced by whoever has the pixels, a GPU for its own; adding rows up is exact
(``math.fsum``), so a tile's sum does not depend on how its rows were distributed.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.tile import Tile

Roi = tuple[int, int, int, int]
"""fast_min, fast_max, slow_min, slow_max, inclusive."""

ROW: Final = np.dtype(
    [
        ("total", np.float64),  # photons
        ("total_sqr", np.float64),
        ("spread", np.float64),  # Σ(x − mean of the row)²
        ("maximum", np.float64),  # at least 0
        ("column", np.int64),  # the first one with the maximum
    ]
)
"""Statistics of one row, in float64, over its columns inside the region of interest."""


@dataclass(frozen=True)
class TileStatistics:
    """Statistics of a tile's pixels inside the region of interest."""

    inside: int
    """Number of those pixels."""
    total: float
    total_sqr: float
    spread: float
    """Σ(x − mean of the tile)²."""
    maximum: float
    maximum_slow: int
    maximum_fast: int
    """The first pixel with the maximum; the tile's first pixel where nothing is above 0."""


def columns_inside(tile: Tile, roi: Roi) -> tuple[int, int]:
    """First and end of a tile's columns inside the region of interest; equal where none is."""
    first = max(roi[0] - tile.fast_start, 0)
    return first, max(min(roi[1] + 1 - tile.fast_start, tile.cols), first)


def _rows_inside(tile: Tile, roi: Roi) -> slice:
    first = max(roi[2] - tile.slow_start, 0)
    return slice(first, max(min(roi[3] + 1 - tile.slow_start, tile.rows), first))


def reduce_rows(pixels: NDArray[Any], first: int, stop: int) -> NDArray[np.void]:
    """Reduce each row of pixels [rows, cols] over columns ``first`` to ``stop``: ROW [rows]."""
    inside = pixels[:, first:stop].astype(np.float64)
    rows = np.zeros(len(inside), dtype=ROW)
    if inside.shape[1] == 0:
        return rows
    rows["total"] = inside.sum(axis=1)
    rows["total_sqr"] = (inside * inside).sum(axis=1)
    mean = rows["total"] / inside.shape[1]
    rows["spread"] = ((inside - mean[:, None]) ** 2).sum(axis=1)
    rows["maximum"] = np.maximum(inside.max(axis=1), 0.0)
    rows["column"] = np.where(rows["maximum"] > 0.0, first + inside.argmax(axis=1), 0)
    return rows


def combine_rows(rows: NDArray[np.void], tile: Tile, roi: Roi) -> TileStatistics:
    """Add up the rows of a tile, ROW [tile.rows].

    Raises FloatingPointError where a pixel is not a finite number.
    """
    first, stop = columns_inside(tile, roi)
    chosen = _rows_inside(tile, roi)
    rows, across = rows[chosen], stop - first
    inside = len(rows) * across
    if inside == 0:
        return TileStatistics(0, 0.0, 0.0, 0.0, 0.0, tile.slow_start, tile.fast_start)
    if not np.isfinite(rows["total"]).all():
        raise FloatingPointError("a pixel is not a finite number; is the fluence too large?")
    total = math.fsum(rows["total"])
    spread = math.fsum(rows["spread"] + across * (rows["total"] / across - total / inside) ** 2)
    peak = int(rows["maximum"].argmax())
    where = tile.slow_start, tile.fast_start
    if rows["maximum"][peak] > 0.0:
        where = where[0] + chosen.start + peak, where[1] + int(rows["column"][peak])
    return TileStatistics(
        inside=inside,
        total=total,
        total_sqr=math.fsum(rows["total_sqr"]),
        spread=spread,
        maximum=float(rows["maximum"][peak]),
        maximum_slow=where[0],
        maximum_fast=where[1],
    )
