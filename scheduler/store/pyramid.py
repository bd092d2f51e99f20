"""Smaller copies of the image, by the maximum, beside it in the store.

Who writes a tile writes its part of the finest level, a chunk for each shard; coarser levels, which
large panels need, are made of that one when a run ends.  Levels are float32 with NaN where nothing
was measured; their chunks are plain bytes with a CRC-32C, so that reading one costs one read.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.image_files.pictures.reduction import as_measured, new_cells, reduce_into
from tiledsim.scheduler.store.documents import lengthen_document, write_document
from tiledsim.scheduler.store.files import Files, Writer
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.shards import Shards
from tiledsim.tile import Tile

GROUP = "pyramid"
FINEST = 4
"""Pixels a side of a cell of the level that tasks write."""
COARSER = (16, 64)
COARSE_CHUNK = 256
LEAST_PIXELS = 2048**2
"""Panels up to this have no pyramid: their image is read as quickly."""
LARGE_PIXELS = 8192**2
"""Panels above this have the coarser levels too."""
READERS = 8


@dataclass(frozen=True)
class Pyramid:
    """The levels of a store."""

    layout: Layout
    not_measured: int | None
    """Of counts, the value that says so."""

    @property
    def coarser(self) -> tuple[int, ...]:
        """Pixels a side of a cell of each level that is made at the end."""
        return COARSER if self.layout.shape[2] * self.layout.shape[3] > LARGE_PIXELS else ()

    def chunk(self, factor: int) -> tuple[int, int]:
        """Cells of a chunk of a level [rows, cols]."""
        if factor == FINEST:
            rows, cols = self.layout.shard
            return -(-rows // FINEST), -(-cols // FINEST)
        _, _, slow, fast = self.layout.shape
        return min(COARSE_CHUNK, -(-slow // factor)), min(COARSE_CHUNK, -(-fast // factor))

    def write_tile(self, shards: Shards, tile: Tile, pixels: NDArray[Any]) -> None:
        """Write a tile's part of the finest level into its run: a chunk for each of its shards."""
        for index, part in self.layout.shards_of(tile):
            key, data = _key(FINEST, index), _encoded(self.cells_of(pixels[part.within(tile)]))
            found = shards.put(key, data, durable=False)
            if found is not None:  # of pixels that were damaged
                shards.replace(key, data, found, durable=False)

    def has(self, files: Files, tile: Tile, pixels: NDArray[Any]) -> bool:
        """Whether the finest level has what belongs to a tile of these pixels."""
        return all(
            np.array_equal(kept, self.cells_of(pixels[part.within(tile)]), equal_nan=True)
            if (kept := self.read(files, FINEST, index)) is not None else False
            for index, part in self.layout.shards_of(tile)
        )  # fmt: skip

    def cells_of(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the chunk of the finest level of a shard's pixels; NaN beyond its end."""
        cells = np.full(self.chunk(FINEST), np.nan, dtype=np.float32)
        reduce_into(cells, as_measured(pixels, self.not_measured), 0, 0, FINEST)
        return cells

    def read(self, files: Files, factor: int, index: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Return a chunk of a level; None for one that is not there, or damaged."""
        import google_crc32c

        data = files.read(_key(factor, index))
        shape = self.chunk(factor)
        if data is None or len(data) != 4 * shape[0] * shape[1] + 4:
            return None
        if google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:], "little"):
            return None
        return np.frombuffer(data, "<f4", count=shape[0] * shape[1]).reshape(shape)

    def finish(self, files: Files) -> None:
        """Make the coarser levels of the finest; cells of a chunk that is missing stay NaN."""
        if not self.coarser:
            return
        shots, panels, slow, fast = self.layout.shape
        with ThreadPoolExecutor(READERS) as pool:
            for shot, panel in np.ndindex(shots, panels):
                first, *others = self.coarser
                cells = new_cells(slow, fast, first)
                self._gather(files, pool, (shot, panel), first // FINEST, cells)
                self._write_level(files, first, (shot, panel), cells)
                for finer, factor in pairwise((first, *others)):
                    coarse = new_cells(slow, fast, factor)
                    reduce_into(coarse, cells, 0, 0, factor // finer)
                    self._write_level(files, factor, (shot, panel), coarse)
                    cells = coarse

    def _gather(
        self, files: Files, pool: ThreadPoolExecutor, image: tuple[int, int], factor: int,
        into: NDArray[np.float32],
    ) -> None:  # fmt: skip
        """Reduce the finest level of an image, row of chunks after row of chunks."""
        _, _, slow, fast = self.layout.shape
        rows, cols = self.chunk(FINEST)
        down, across = (-(-n // m) for n, m in zip((slow, fast), self.layout.shard, strict=True))
        height, width = -(-slow // FINEST), -(-fast // FINEST)
        for j in range(down):
            keys = [(*image, j, i) for i in range(across)]
            for i, cells in enumerate(pool.map(lambda key: self.read(files, FINEST, key), keys)):
                if cells is not None:
                    inside = cells[: height - j * rows, : width - i * cols]
                    reduce_into(into, inside, j * rows, i * cols, factor)

    def _write_level(
        self, files: Files, factor: int, image: tuple[int, int], cells: NDArray[np.float32]
    ) -> None:
        rows, cols = self.chunk(factor)
        for j in range(-(-cells.shape[0] // rows)):
            for i in range(-(-cells.shape[1] // cols)):
                part = cells[j * rows : (j + 1) * rows, i * cols : (i + 1) * cols]
                full = np.full((rows, cols), np.nan, dtype=np.float32)
                full[: part.shape[0], : part.shape[1]] = part
                files.write(_key(factor, (*image, j, i)), _encoded(full), durable=False)


def _encoded(cells: NDArray[np.float32]) -> bytes:
    """Return the bytes of a chunk."""
    import google_crc32c

    data = cells.astype("<f4", copy=False).tobytes()
    check: int = google_crc32c.value(data)
    return data + check.to_bytes(4, "little")


def _key(factor: int, index: tuple[int, ...]) -> str:
    return f"{GROUP}/{factor}/c/" + "/".join(map(str, index))


def create(files: Writer, layout: Layout, not_measured: int | None) -> None:
    """Describe the levels of a store, where its panels are large enough for some."""
    shots, panels, slow, fast = layout.shape
    if slow * fast <= LEAST_PIXELS:
        return
    made = Pyramid(layout, not_measured)
    levels = (FINEST, *made.coarser)
    about = {
        "multiscales": {"layout": [
            {"asset": "../image", "transform": {"scale": [1.0, 1.0, 1.0, 1.0]}},
            *({"asset": str(factor), "derived_from": "../image",
               "transform": {"scale": [1.0, 1.0, factor, factor]}} for factor in levels),
        ], "resampling_method": "max"},
        "not_measured": not_measured,
    }  # fmt: skip
    write_document(files, GROUP, "group", about, {})
    for factor in levels:
        shape = (shots, panels, -(-slow // factor), -(-fast // factor))
        chunk = (1, 1, *made.chunk(factor))
        write_document(files, f"{GROUP}/{factor}", "array", {"units": "as image"}, {
            "shape": shape,
            "data_type": "float32",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": "NaN",
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"},
            ],
            "dimension_names": ("shot", "panel", "slow", "fast"),
            "storage_transformers": [],
        })  # fmt: skip


def lengthen(files: Writer, layout: Layout) -> None:
    """Give the levels of a store, where it has some, the shots of a layout."""
    levels = find(files, layout)
    if levels is not None:
        for factor in (FINEST, *levels.coarser):
            lengthen_document(files, f"{GROUP}/{factor}", layout.shape[0])


def find(files: Files, layout: Layout) -> Pyramid | None:
    """Return the pyramid of a store, None where it has none, or none that can be used."""
    text = files.read(f"{GROUP}/zarr.json")
    try:
        value = json.loads(text or b"null")["attributes"]["not_measured"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return Pyramid(layout, value if isinstance(value, int) else None)
