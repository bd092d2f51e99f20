"""The pixels of an NXmx data set: files of some frames each, ``/entry/data/data`` in them.

A frame is one chunk, because XDS' plugin neggia reads wrong pixels from any other, without an
error; a frame of 4 GiB or more, which no chunk may be, is cut into chunks of 512 × 512.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.image_files.nxmx import bitshuffle
from tiledsim.image_files.nxmx.values import LIBVER, make_group

CHUNK_LIMIT_BYTES = 2**32
EDGE = 512
MEMORY_BYTES = 64 * 2**20
"""A compressed frame above this waits in a file, not in memory."""
COPY_BYTES = 2**20


@dataclass(frozen=True)
class Plane:
    """How a frame is stored: its panels below each other, in one plane."""

    panels: int
    rows: int
    """Of one panel."""
    cols: int
    dtype: str

    @property
    def shape(self) -> tuple[int, int]:
        """(slow, fast) of the plane."""
        return self.panels * self.rows, self.cols

    @property
    def nbytes(self) -> int:
        """Of a frame, before compression."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize

    @property
    def whole(self) -> bool:
        """Whether a frame is one chunk."""
        return self.nbytes < CHUNK_LIMIT_BYTES

    @property
    def chunk(self) -> tuple[int, int, int]:
        """Chunk of the data set (frame, slow, fast)."""
        return (1, *self.shape) if self.whole else (1, EDGE, EDGE)

    def encode(self, rows: NDArray[np.generic], first_row: int) -> "EncodedRows":
        """Compress rows [n, cols] of the plane, from ``first_row`` on."""
        if self.whole:
            return bitshuffle.compress_piece(rows.reshape(-1), first_row * self.cols)
        chunks = []
        for row in range(0, len(rows), EDGE):
            for col in range(0, self.cols, EDGE):
                part = rows[row : row + EDGE, col : col + EDGE]
                full = np.zeros((EDGE, EDGE), dtype=self.dtype)  # chunks at the edge are full too
                full[: part.shape[0], : part.shape[1]] = part
                chunks.append((first_row + row, col, bitshuffle.compress_chunk(full)))
        return chunks


EncodedRows = bitshuffle.Piece | list[tuple[int, int, bytes]]
"""Part of a chunk, or whole chunks with their row and column."""


class DataFile:
    """A file of frames that are written one after another.  A context manager."""

    def __init__(self, path: Path, frames: int, first_frame: int, plane: Plane) -> None:
        """``first_frame`` is the number of the first one in the series, from 1."""
        self._path = path
        self._plane = plane
        self._frames = frames
        self._first = first_frame
        self._late: list[tuple[int, IO[bytes]]] = []

    def __enter__(self) -> "DataFile":
        import h5py

        self._file = h5py.File(self._path, "w", libver=LIBVER)
        make_group(self._file, "entry", "NXentry")
        data = make_group(self._file["entry"], "data", "NXdata")
        self._data = _create(data, self._frames, self._plane)
        self._data.attrs["image_nr_low"] = np.int32(self._first)
        self._data.attrs["image_nr_high"] = np.int32(self._first + self._frames - 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        places = [
            (self._data.id.get_chunk_info_by_coord((frame, 0, 0)).byte_offset, spool)
            for frame, spool in self._late
        ]
        self._file.close()
        with self._path.open("r+b") as out:
            for offset, spool in places:
                out.seek(offset)
                spool.seek(0)
                while part := spool.read(COPY_BYTES):
                    out.write(part)
                spool.close()

    def write_frame(self, frame: int, parts: Iterable[EncodedRows]) -> None:
        """Write a frame from its encoded rows, in order."""
        if not self._plane.whole:
            for chunks in parts:
                assert isinstance(chunks, list)
                for row, col, chunk in chunks:
                    self._data.id.write_direct_chunk((frame, row, col), chunk)
            return
        joined = bitshuffle.join_pieces(_pieces(parts), self._plane.nbytes)
        held, size = _gather(joined, self._path.parent)
        if isinstance(held, bytes):
            self._data.id.write_direct_chunk((frame, 0, 0), held)
            return
        # HDF5 takes a chunk from memory alone.  It is given as many zeros, which take none, to
        # find its place; the bytes follow when the file is closed.
        self._data.id.write_direct_chunk((frame, 0, 0), np.zeros(size, dtype=np.uint8))
        self._late.append((frame, held))


def _pieces(parts: Iterable[EncodedRows]) -> Iterator[bitshuffle.Piece]:
    for part in parts:
        assert isinstance(part, bitshuffle.Piece)
        yield part


def _gather(stream: Iterator[bytes], folder: Path) -> tuple[bytes | IO[bytes], int]:
    """Collect bytes in memory, or in a file without a name where they are too many."""
    parts: list[bytes] = []
    size = 0
    spool: IO[bytes] | None = None
    for part in stream:
        size += len(part)
        if spool is not None:
            spool.write(part)
            continue
        parts.append(part)
        if size > MEMORY_BYTES:
            spool = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed when it is copied
            spool.writelines(parts)
            parts.clear()
    return (b"".join(parts) if spool is None else spool), size


def _create(group: Any, frames: int, plane: Plane) -> Any:
    """Make the data set with its filter declared.

    The filter is optional, so HDF5 needs no plugin to make it.  A plugin that is registered puts
    three numbers of its own in front of ours; without it they are given here, five in all, which
    is as many as durin accepts.
    """
    import h5py

    item = np.dtype(plane.dtype).itemsize
    ours = (bitshuffle.BLOCK_BYTES // item, bitshuffle.LZ4)
    known = h5py.h5z.filter_avail(bitshuffle.FILTER)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(plane.chunk)
    properties.set_filter(
        bitshuffle.FILTER, h5py.h5z.FLAG_OPTIONAL, ours if known else (0, 4, item, *ours)
    )
    space = h5py.h5s.create_simple((frames, *plane.shape))
    kind = h5py.h5t.py_create(np.dtype(plane.dtype))
    return h5py.Dataset(h5py.h5d.create(group.id, b"data", kind, space, properties))
