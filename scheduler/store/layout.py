"""How a run is cut: chunks inside shards inside tiles, and tiles into tasks.

The grid of chunks and shards follows from the scene alone.  A tile is a whole number of shards, so
the bytes that are stored are the same whatever the size of the tiles; a tile smaller than a shard
is rounded up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError
from tiledsim.tile import Tile

CHUNK_EDGE = 256
SHARD_EDGE = 512
SLOW_SHARD_STEPS = 2_000_000_000
"""A shard that costs more evaluations than this (some 15 s of one core) is made smaller."""


GPU_TILE_PIXELS = 2**20
"""A tile of a GPU run: some four waves of blocks on the largest cards, however many steps a pixel
has.  A kernel bounds the time of its launches itself."""


class Sized(Protocol):
    """What the cutting needs to know of a scene."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(shots, panels, slow, fast)."""

    @property
    def steps_per_pixel(self) -> int:
        """Evaluations that a pixel costs."""

    @property
    def stored_dtype(self) -> str:
        """Type of the pixels that are kept."""


@dataclass(frozen=True)
class Layout:
    """The grid of a run.  Shapes are (rows, cols); the last tile of a row or column may be cut."""

    shape: tuple[int, int, int, int]
    chunk: tuple[int, int]
    shard: tuple[int, int]
    tile: tuple[int, int]
    dtype: str = "float32"
    """Type of the pixels: float32 photons, or integers."""

    @property
    def grid(self) -> tuple[int, int, int, int]:
        """Number of tiles along (shot, panel, slow, fast)."""
        shots, panels, slow, fast = self.shape
        return shots, panels, -(-slow // self.tile[0]), -(-fast // self.tile[1])

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        shots, panels, down, across = self.grid
        return shots * panels * down * across

    def tile_at(self, index: int) -> Tile:
        """Return tile number ``index``, counted with fast first, then slow, panel and shot."""
        _, panels, down, across = self.grid
        index, i = divmod(index, across)
        index, j = divmod(index, down)
        shot, panel = divmod(index, panels)
        _, _, slow, fast = self.shape
        rows, cols = self.tile
        return Tile(
            shot, panel,
            j * rows, min((j + 1) * rows, slow),
            i * cols, min((i + 1) * cols, fast),
        )  # fmt: skip

    def tiles_of(self, part: Tile) -> Iterator[int]:
        """Yield the numbers of the tiles that have pixels of a part of an image."""
        _, panels, down, across = self.grid
        rows, cols = self.tile
        for j in range(part.slow_start // rows, -(-part.slow_stop // rows)):
            for i in range(part.fast_start // cols, -(-part.fast_stop // cols)):
                yield ((part.shot * panels + part.panel) * down + j) * across + i

    def places(self, indices: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return the fields of :meth:`tile_at` for many tiles at once, each [tiles]."""
        _, panels, down, across = self.grid
        rest, i = np.divmod(indices, across)
        rest, j = np.divmod(rest, down)
        shot, panel = np.divmod(rest, panels)
        _, _, slow, fast = self.shape
        rows, cols = self.tile
        return {
            "shot": shot, "panel": panel,
            "slow_start": j * rows, "slow_stop": np.minimum((j + 1) * rows, slow),
            "fast_start": i * cols, "fast_stop": np.minimum((i + 1) * cols, fast),
        }  # fmt: skip

    def shards_of(self, tile: Tile) -> Iterator[tuple[tuple[int, int, int, int], Tile]]:
        """Yield the shards of a tile: their index in the array, and the pixels they hold."""
        rows, cols = self.shard
        for slow in range(tile.slow_start, tile.slow_stop, rows):
            for fast in range(tile.fast_start, tile.fast_stop, cols):
                part = Tile(
                    tile.shot, tile.panel,
                    slow, min(slow + rows, tile.slow_stop),
                    fast, min(fast + cols, tile.fast_stop),
                )  # fmt: skip
                yield (tile.shot, tile.panel, slow // rows, fast // cols), part


def _edges(pixels: int, limit: int) -> tuple[int, int]:
    """Chunk and shard edge for a side of the detector."""
    chunk = min(CHUNK_EDGE, limit, pixels)
    return chunk, chunk * min(max(1, min(SHARD_EDGE, limit) // chunk), -(-pixels // chunk))


def choose_layout(scene: Sized, tile: tuple[int, int] | None = None) -> Layout:
    """Cut a scene into chunks, shards and tiles.

    Parameters
    ----------
    scene
        What is rendered; chunks and shards follow from it alone.
    tile
        Rows and columns of a tile [pixels], rounded up to whole shards; None takes one shard.

    Raises
    ------
    ExperimentError
        For a tile without pixels.
    """
    _, _, slow, fast = scene.shape
    limit = SHARD_EDGE
    while limit > 16 and limit * limit * scene.steps_per_pixel > SLOW_SHARD_STEPS:
        limit //= 2
    (chunk_rows, shard_rows), (chunk_cols, shard_cols) = _edges(slow, limit), _edges(fast, limit)
    rows, cols = tile or (shard_rows, shard_cols)
    if rows < 1 or cols < 1:
        raise ExperimentError(f"tile {rows} x {cols}: rows and columns must be at least 1")
    rows = -(-min(rows, slow) // shard_rows) * shard_rows
    cols = -(-min(cols, fast) // shard_cols) * shard_cols
    return Layout(
        scene.shape, (chunk_rows, chunk_cols), (shard_rows, shard_cols), (rows, cols),
        scene.stored_dtype,
    )  # fmt: skip


def usual_tile(scene: Sized, backend: str) -> tuple[int, int] | None:
    """Return the tile [rows, cols] for a backend where none is asked for; None: one shard.

    On GPUs the shorter side that the panel has room for is doubled until GPU_TILE_PIXELS are there.
    """
    if backend != "cuda":
        return None
    _, _, slow, fast = scene.shape
    rows, cols = choose_layout(scene).shard
    while min(rows, slow) * min(cols, fast) < GPU_TILE_PIXELS and (rows < slow or cols < fast):
        if cols < fast and (cols <= rows or rows >= slow):
            cols *= 2
        else:
            rows *= 2
    return rows, cols
