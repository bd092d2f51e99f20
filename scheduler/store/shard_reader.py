"""Pixels out of shards, decoded here: zarr takes a millisecond for each chunk beside its decoding.

A shard is that of Zarr's codec ``sharding_indexed`` (https://zarr-specs.readthedocs.io): chunks one
after another, then an index of their offsets and lengths with a CRC-32C.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import StoreError
from tiledsim.scheduler.store.files import Files
from tiledsim.tile import Tile

ABSENT = 2**64 - 1
"""Offset of a chunk that is not in its shard."""
READERS = 8
"""Shards that are fetched at once."""

Decode = Callable[[bytes], bytes]


class ShardReader:
    """Reads parts of the image of one store."""

    def __init__(self, files: Files, image: Any) -> None:
        """``image`` is the array as :func:`~tiledsim.scheduler.store.image.open_image` opens it.

        Raises StoreError for one that is stored in another way than tiledsim does.
        """
        self._files = files
        self._encode_key = image.metadata.encode_chunk_key
        self._chunk = image.chunks[2:]
        self._shard = image.shards[2:]
        self._dtype = image.dtype.newbyteorder("<")
        self._fill = image.metadata.fill_value
        decode = _decoder(image.metadata.to_dict())
        if decode is None:
            raise StoreError(
                f"{files.url}: its image is stored in a way that this tiledsim does not write; "
                "zarr may read it"
            )
        self._decode = decode

    def read(self, tile: Tile) -> NDArray[Any]:
        """Return the pixels of a tile [rows, cols]; those that are not there are the fill value.

        Raises StoreError for a shard that is damaged or cannot be read.
        """
        out = np.empty((tile.rows, tile.cols), dtype=self._dtype)
        rows, cols = self._shard
        places = [
            (j, i)
            for j in range(tile.slow_start // rows, -(-tile.slow_stop // rows))
            for i in range(tile.fast_start // cols, -(-tile.fast_stop // cols))
        ]
        keys = [self._key(tile, j, i) for j, i in places]
        for (j, i), key, data in zip(places, keys, self._fetch(keys), strict=True):
            area = Tile(tile.shot, tile.panel, j * rows, (j + 1) * rows, i * cols, (i + 1) * cols)
            if data is None:
                _put(out, tile, area, self._fill)
                continue
            try:
                self._unpack(data, area, tile, out)
            except (ValueError, RuntimeError) as error:
                what = (str(error).strip().splitlines() or [""])[0][:100]
                raise StoreError(
                    f"{self._files.url}: {key} is damaged ({what}); a run with `resume` and "
                    "`repair` renders it again"
                ) from None
        return out

    def _key(self, tile: Tile, j: int, i: int) -> str:
        return f"image/{self._encode_key((tile.shot, tile.panel, j, i))}"

    def _fetch(self, keys: list[str]) -> Iterator[bytes | None]:
        if len(keys) == 1:
            yield self._files.read(keys[0])
            return
        with ThreadPoolExecutor(min(READERS, len(keys))) as pool:
            yield from pool.map(self._files.read, keys)

    def _unpack(self, data: bytes, area: Tile, tile: Tile, out: NDArray[Any]) -> None:
        """Put the chunks of a shard into the tile, those that it needs."""
        rows, cols = self._chunk
        down, across = area.rows // rows, area.cols // cols
        index = _index_of(data, down * across)
        for number, (offset, length) in enumerate(index):
            j, i = divmod(number, across)
            top, left = area.slow_start + j * rows, area.fast_start + i * cols
            part = Tile(tile.shot, tile.panel, top, top + rows, left, left + cols)
            if not _overlap(part, tile):
                continue
            if offset == ABSENT:
                _put(out, tile, part, self._fill)
                continue
            pixels = np.frombuffer(self._decode(data[offset : offset + length]), self._dtype)
            _put(out, tile, part, pixels.reshape(rows, cols))


def _index_of(data: bytes, chunks: int) -> list[list[int]]:
    """Return offset and length of each chunk.  Raises ValueError for an index that is damaged."""
    import google_crc32c

    size = 16 * chunks + 4
    index, kept = data[-size:-4], data[-4:]
    if len(data) < size or google_crc32c.value(index) != int.from_bytes(kept, "little"):
        raise ValueError("its index does not have its checksum")
    found: list[list[int]] = np.frombuffer(index, "<u8").reshape(chunks, 2).tolist()
    return found


def _decoder(metadata: dict[str, Any]) -> Decode | None:
    """Return what decodes a chunk; None where it is stored in another way than expected."""
    from numcodecs import blosc, zstd

    try:
        (sharding,) = metadata["codecs"]
        inside = sharding["configuration"]
        names = [codec["name"] for codec in inside["codecs"]]
        if sharding["name"] != "sharding_indexed" or inside["index_location"] != "end":
            return None
        if [codec["name"] for codec in inside["index_codecs"]] != ["bytes", "crc32c"]:
            return None
    except (KeyError, TypeError, ValueError):
        return None
    if names == ["bytes", "zstd"]:  # with a checksum in each frame
        return lambda data: bytes(zstd.decompress(data))
    if names == ["bytes", "blosc", "crc32c"]:
        return lambda data: bytes(blosc.decompress(_checked(data)))
    return None


def _checked(data: bytes) -> bytes:
    import google_crc32c

    if google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ValueError("a chunk does not have its checksum")
    return data[:-4]


def _overlap(one: Tile, other: Tile) -> bool:
    return (
        one.slow_start < other.slow_stop and other.slow_start < one.slow_stop
        and one.fast_start < other.fast_stop and other.fast_start < one.fast_stop
    )  # fmt: skip


def _put(out: NDArray[Any], tile: Tile, part: Tile, pixels: Any) -> None:
    """Put the pixels of a part, or one value, where they are in a tile, as far as they are."""
    top, bottom = max(part.slow_start, tile.slow_start), min(part.slow_stop, tile.slow_stop)
    left, right = max(part.fast_start, tile.fast_start), min(part.fast_stop, tile.fast_stop)
    into = out[
        top - tile.slow_start : bottom - tile.slow_start,
        left - tile.fast_start : right - tile.fast_start,
    ]
    if isinstance(pixels, np.ndarray):
        rows = slice(top - part.slow_start, bottom - part.slow_start)
        into[...] = pixels[rows, left - part.fast_start : right - part.fast_start]
    else:
        into[...] = pixels
