"""What is kept of a tile once its pixels are written."""

import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.pixel_statistics import TileStatistics
from tiledsim.reference.correction_ranges import tile_ranges
from tiledsim.scene import Scene
from tiledsim.tile import Tile


@dataclass(frozen=True)
class TileRecord:
    """One finished tile.  Statistics are of the stored values, computed in float64."""

    index: int
    attempt: int
    worker: str
    render_seconds: float
    """Of the worker's thread: rendering, or waiting for its GPU."""
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
    bound: float = 0.0
    """By how many photons a pixel may be too small at most, its rounding to float32 apart."""
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
    ends_the_worker: bool = False
    """Whether no other tile would fare better on this worker: its GPU is lost."""
    log: str = ""
    """The traceback, where there is one."""


@dataclass(frozen=True)
class Unfit:
    """A worker that can render no tile of the run; none was tried."""

    worker: str
    reason: str


Outcome = TileRecord | TileFailure | Unfit
"""What a worker says of a tile, or of itself."""


def checksum(pixels: NDArray[Any]) -> int:
    """CRC-32 of a tile's bytes, little-endian, fast axis fastest."""
    little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return zlib.crc32(np.ascontiguousarray(little).data)


def measure(
    scene: Scene, tile: Tile, pixels: NDArray[Any], statistics: TileStatistics, *, index: int,
    attempt: int, worker: str, render_seconds: float, write_seconds: float, bound: float = 0.0,
) -> TileRecord:  # fmt: skip
    """Make the record of a tile from its stored pixels [rows, cols] and their statistics."""
    return TileRecord(
        index=index,
        attempt=attempt,
        worker=worker,
        render_seconds=render_seconds,
        write_seconds=write_seconds,
        rendered=scene.count_rendered(tile),
        crc32=checksum(pixels),
        bound=bound,
        ranges=tile_ranges(scene, tile),
        **asdict(statistics),
    )
