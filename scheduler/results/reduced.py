"""Any part of a store's image, made smaller by the maximum, in bounded memory.

Whole blocks are read and reduced, from the coarsest level of the pyramid that will do; where there
is none, or a chunk of it is missing, from the image itself.  Tiles without a record are NaN.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.image_files.pictures.reduction import as_measured, new_cells, reduce_into
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store import pyramid
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.shard_reader import ShardReader
from tiledsim.tile import Tile

Cells = NDArray[np.float32]
BLOCK_PIXELS = 2**23
"""Read at once, about."""


class ReducedImage:
    """Reads parts of a store's image."""

    def __init__(
        self, files: Files, layout: Layout, done: NDArray[np.bool_], *, finished: bool
    ) -> None:
        """``done`` [tiles] may be replaced as a run goes on; ``finished``: all levels are there."""
        self._files = files
        image = store.open_image(files, layout)
        self._shards = ShardReader(files, image)
        self._levels = pyramid.find(files, layout)
        self.layout = layout
        self.done = done
        self.finished = finished
        self._not_measured = None if self._levels is None else self._levels.not_measured
        if self._levels is None and layout.dtype != "float32":
            self._not_measured = int(image.metadata.fill_value)

    def read(
        self, shots: Sequence[int], panel: int, slow: range, fast: range, factor: int
    ) -> Cells:
        """Return cells [rows, cols] of ``factor`` x ``factor`` pixels, from the first pixel on.

        ``slow`` and ``fast`` are the pixels; of several shots the sum is reduced.
        """
        cells = new_cells(len(slow), len(fast), factor)
        if len(shots) > 1:
            for part in self._bands(slow, fast):
                total: Any = 0.0
                for shot in shots:
                    total = total + self._pixels(shot, panel, part)
                row, column = part.slow_start - slow.start, part.fast_start - fast.start
                reduce_into(cells, total.astype(np.float32), row, column, factor)
            return cells
        level = self._level(factor, slow, fast)
        if level == 1:
            for part in self._bands(slow, fast):
                row, column = part.slow_start - slow.start, part.fast_start - fast.start
                reduce_into(cells, self._pixels(shots[0], panel, part), row, column, factor)
        else:
            self._from_level(cells, shots[0], panel, slow, fast, factor, level)
        return cells

    def _level(self, factor: int, slow: range, fast: range) -> int:
        """Choose the coarsest level whose cells make up the asked ones."""
        levels = self._levels
        if levels is None:
            return 1
        there = (*(levels.coarser[::-1] if self.finished else ()), pyramid.FINEST)
        for level in there:
            starts = factor % level == slow.start % level == fast.start % level == 0
            sides = zip((slow.stop, fast.stop), self.layout.shape[2:], strict=True)
            if starts and all(stop % level == 0 or stop == side for stop, side in sides):
                return level
        return 1

    def _bands(self, slow: range, fast: range) -> Iterator[Tile]:
        """Yield blocks of whole shards that hold the pixels, cut to them, shot and panel 0."""
        rows, cols = self.layout.shard
        wide = max(1, BLOCK_PIXELS // (rows * cols)) * cols
        for top in range(slow.start - slow.start % rows, slow.stop, rows):
            for left in range(fast.start - fast.start % cols, fast.stop, wide):
                yield Tile(
                    0, 0, max(top, slow.start), min(top + rows, slow.stop),
                    max(left, fast.start), min(left + wide, fast.stop),
                )  # fmt: skip

    def _pixels(self, shot: int, panel: int, part: Tile) -> Cells:
        tile = Tile(shot, panel, part.slow_start, part.slow_stop, part.fast_start, part.fast_stop)
        missing = [index for index in self.layout.tiles_of(tile) if not self.done[index]]
        if len(missing) == sum(1 for _ in self.layout.tiles_of(tile)):
            return np.full((tile.rows, tile.cols), np.nan, dtype=np.float32)
        pixels = as_measured(self._shards.read(tile), self._not_measured)
        for index in missing:
            pixels[self.layout.tile_at(index).within(tile)] = np.nan
        return pixels

    def _from_level(
        self, cells: Cells, shot: int, panel: int, slow: range, fast: range, factor: int, level: int
    ) -> None:
        """Reduce chunks of a level of the pyramid into cells, read by several threads."""
        levels = self._levels
        assert levels is not None
        rows, cols = levels.chunk(level)
        top, left = slow.start // level, fast.start // level
        bottom, right = -(-slow.stop // level), -(-fast.stop // level)
        places = [
            (shot, panel, j, i)
            for j in range(top // rows, -(-bottom // rows))
            for i in range(left // cols, -(-right // cols))
        ]

        def chunk(place: tuple[int, int, int, int]) -> Cells:
            area = self._area(place, rows * level, cols * level)
            if not any(self.done[index] for index in self.layout.tiles_of(area)):
                return np.full((rows, cols), np.nan, dtype=np.float32)
            found = levels.read(self._files, level, place)
            if found is None:
                found = np.full((rows, cols), np.nan, dtype=np.float32)
                reduce_into(found, self._pixels(shot, panel, area), 0, 0, level)
            return found

        with ThreadPoolExecutor(pyramid.READERS) as pool:
            for (_, _, j, i), found in zip(places, pool.map(chunk, places), strict=True):
                y, x = max(top - j * rows, 0), max(left - i * cols, 0)
                inside = found[y : bottom - j * rows, x : right - i * cols]
                reduce_into(cells, inside, j * rows + y - top, i * cols + x - left, factor // level)

    def _area(self, place: tuple[int, int, int, int], rows: int, cols: int) -> Tile:
        """Return the pixels of a chunk of a level."""
        shot, panel, j, i = place
        _, _, slow, fast = self.layout.shape
        return Tile(
            shot, panel, j * rows, min((j + 1) * rows, slow), i * cols, min((i + 1) * cols, fast)
        )
