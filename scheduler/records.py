"""What is kept of a tile once its pixels are written."""

import zlib
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.tile import Tile


class Masked(Protocol):
    """What the statistics need to know of a scene."""

    @property
    def roi(self) -> tuple[int, int, int, int]:
        """fast_min, fast_max, slow_min, slow_max, inclusive."""

    def count_rendered(self, tile: Tile) -> int:
        """Count the pixels of a tile that are rendered."""

    def tile_ranges(self, tile: Tile) -> dict[str, float]:
        """Spans of the corrections over the tile."""


@dataclass(frozen=True)
class TileRecord:
    """One finished tile.  Statistics are of the stored values, computed in float64."""

    index: int
    attempt: int
    worker: str
    render_seconds: float
    write_seconds: float
    inside: int
    """Pixels of the tile inside the region of interest."""
    rendered: int
    """Those of them that are not masked."""
    total: float
    """Sum of the pixels, photons."""
    total_sqr: float
    spread: float
    """Σ(x − mean of the tile)² over the pixels inside the region of interest."""
    maximum: float
    maximum_slow: int
    maximum_fast: int
    crc32: int
    """Of the tile's bytes, little-endian, fast axis fastest."""
    ranges: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TileFailure:
    """One tile that could not be rendered or written."""

    index: int
    attempt: int
    worker: str
    error: str
    ends_the_run: bool = False
    """Whether no other tile would fare better: the store is full or read-only."""


def checksum(pixels: NDArray[Any]) -> int:
    """CRC-32 of a tile's bytes, little-endian, fast axis fastest."""
    little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return zlib.crc32(np.ascontiguousarray(little).data)


def measure(
    scene: Masked, tile: Tile, pixels: NDArray[Any], *, index: int, attempt: int, worker: str,
    render_seconds: float, write_seconds: float,
) -> TileRecord:  # fmt: skip
    """Make the record of a tile from its stored pixels [rows, cols]."""
    fast_min, fast_max, slow_min, slow_max = scene.roi
    rows = slice(max(slow_min - tile.slow_start, 0), max(slow_max + 1 - tile.slow_start, 0))
    cols = slice(max(fast_min - tile.fast_start, 0), max(fast_max + 1 - tile.fast_start, 0))
    inside = pixels[rows, cols].astype(np.float64)
    total = float(inside.sum())
    mean = total / inside.size if inside.size else 0.0
    maximum, where = 0.0, (tile.slow_start, tile.fast_start)
    if inside.size and (largest := float(inside.max())) > 0.0:
        row, col = np.unravel_index(int(inside.argmax()), inside.shape)
        maximum = largest
        where = tile.slow_start + rows.start + int(row), tile.fast_start + cols.start + int(col)
    return TileRecord(
        index=index,
        attempt=attempt,
        worker=worker,
        render_seconds=render_seconds,
        write_seconds=write_seconds,
        inside=inside.size,
        rendered=scene.count_rendered(tile),
        total=total,
        total_sqr=float((inside * inside).sum()),
        spread=float(((inside - mean) ** 2).sum()),
        maximum=maximum,
        maximum_slow=where[0],
        maximum_fast=where[1],
        crc32=checksum(pixels),
        ranges=scene.tile_ranges(tile),
    )
