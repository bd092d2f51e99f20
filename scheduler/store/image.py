"""The Zarr v3 store of a run: made and described by the driver, filled shard by shard by workers.

The image has the dimensions (shot, panel, slow, fast), float32 by default and NaN where nothing
was written.  A shard is written whole or not at all; docs/store.md says what makes a tile done.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from tiledsim.errors import StoreError
from tiledsim.scheduler.store.contents import ANGLE, DIMENSIONS, FOLDERS
from tiledsim.scheduler.store.documents import lengthen_document
from tiledsim.scheduler.store.files import Files, LocalFiles, ObjectFiles, Writer
from tiledsim.scheduler.store.folder import sync_to_disk
from tiledsim.scheduler.store.in_memory import ZarrInMemory
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.shards import ROOT, Shards, only_late_shards, run_of
from tiledsim.tile import Tile

FORMAT = "tiledsim"
FORMAT_VERSION = 2
UNFINISHED = "tiledsim_being_made"
"""An attribute of a store whose making, or replacing, has begun and not ended: by whom."""


def exists(files: Files) -> bool:
    """Whether anything is at a location, other than a lease, a store that was never made whole, or
    shards of tasks that outlived a store which was deleted.

    Raises StoreError for a file, where a folder is needed, and for a link where the driver's own
    files are, which are written and deleted one by one.
    """
    if isinstance(files, LocalFiles):
        if files.folder.exists() and not files.folder.is_dir():
            raise StoreError(f"{files.url} is a file; give the name of a folder")
        if any((files.folder / name).is_symlink() for name in ("run", "run/lease")):
            raise StoreError(f"{files.url}: its folder run is a link, which no store has")
    names = files.names("")
    if not names or (names == ["run"] and files.names("run/") in ([], ["lease"])):
        return False
    document = files.read(ROOT)
    if document is None and isinstance(files, ObjectFiles):
        return not only_late_shards(files)
    try:
        return UNFINISHED not in json.loads(document or b"null")["attributes"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return True


def read_attributes(files: Files) -> dict[str, Any]:
    """Return what the driver wrote about the run.

    Raises StoreError where there is no store, or another program's, or a newer version's.
    """
    text = files.read(ROOT)
    if text is None:
        what = "is not a Zarr store" if exists(files) else "does not exist"
        raise StoreError(f"{files.url} {what}; give the store of a run of tiledsim")
    try:
        attributes = json.loads(text)["attributes"]
        if UNFINISHED in attributes:
            raise StoreError(
                f"{files.url} was never made whole; a run with `resume` or `overwrite` makes it "
                "anew"
            )
        name, version = attributes["format"], attributes["format_version"]
        if isinstance(version, bool) or not isinstance(version, int):
            raise TypeError(version)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreError(f"{files.url} is a Zarr store, but not one of tiledsim") from None
    if name != FORMAT:
        raise StoreError(f"{files.url} is a Zarr store of {str(name)[:40]!r}, not of tiledsim")
    if version > FORMAT_VERSION:
        raise StoreError(
            f"{files.url} has format version {version}, this tiledsim reads {FORMAT_VERSION}; "
            "install a newer tiledsim"
        )
    return dict(attributes)


def clear(files: Writer, mark: str) -> None:
    """Remove what a store consists of, except its leases; only with the lease held.

    The root document goes last and says meanwhile that the store is not whole, and by whom, so that
    a removal that was cut short is known as one.  Arrays go in one step each, so that tasks of the
    old run, which write through its open directories, have nothing to do with the new one.
    """
    files.change(ROOT, lambda _: _document({UNFINISHED: mark}))
    for folder in FOLDERS[:-1]:
        files.remove(f"{folder}/")
    for name in files.names("run/"):
        if name != "lease":
            files.remove(f"run/{name}/")
            files.delete(f"run/{name}")


def create(
    files: Writer, layout: Layout, pixel_mm: float, mark: str,
    angles_deg: NDArray[np.float64] | None = None,
) -> None:  # fmt: skip
    """Make the image and its coordinates in a store that :func:`publish` makes known as one.

    ``mark`` tells this making from others; ``angles_deg`` [shots] are those of the spindle where
    the frames of a rotation series begin.  What an earlier attempt has left is removed first.
    """
    clear(files, mark)
    made = ZarrInMemory()
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.open_group(made.store, mode="w", zarr_format=3)
        group.create_array(
            "image",
            shape=layout.shape,
            dtype=layout.dtype,
            chunks=(1, 1, *layout.chunk),
            shards=(1, 1, *layout.shard),
            **_kept_as(layout.dtype),
            dimension_names=DIMENSIONS,
            attributes=_described_as(layout.dtype)
            | {"pixel_mm": pixel_mm}
            | ({} if angles_deg is None else {"coordinates": ANGLE}),
        )
        if angles_deg is not None:
            _write_angles(group, angles_deg)
        for name, size in zip(DIMENSIONS, layout.shape, strict=True):
            _write_axis(group, name, size)
        # The driver's own files live in a group of their own, so that readers of the image, which
        # list what is beside it, find nothing that they do not know.
        group.create_group("run")
    made.hand_over(files.make)


def _write_angles(group: zarr.Group, angles_deg: NDArray[np.float64]) -> None:
    along = group.create_array(
        ANGLE, shape=angles_deg.shape, dtype="float64", dimension_names=("shot",),
        attributes={"units": "deg", "long_name": "spindle angle where a frame begins"},
    )  # fmt: skip
    along[:] = angles_deg


def _write_axis(group: zarr.Group, name: str, size: int) -> None:
    axis = group.create_array(
        name, shape=(size,), dtype="int64", dimension_names=(name,),
        attributes={"units": "pixel" if name in ("slow", "fast") else "1"},
    )  # fmt: skip
    axis[:] = np.arange(size)


def lengthen(files: Writer, shots: int, angles_deg: NDArray[np.float64] | None) -> None:
    """Give the image and its coordinates more shots; with the lease held."""
    made = ZarrInMemory()
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.open_group(made.store, mode="w", zarr_format=3)
        _write_axis(group, DIMENSIONS[0], shots)
        if angles_deg is not None:
            _write_angles(group, angles_deg)
    for name in (DIMENSIONS[0], ANGLE):
        files.remove(f"{name}/")
    made.hand_over(files.make)
    lengthen_document(files, "image", shots)


def _kept_as(dtype: str) -> dict[str, Any]:
    """Return how pixels are compressed, and what stands where nothing was written.

    benchmarks/codecs.py measures codecs for integers.
    """
    if dtype == "float32":
        return {"compressors": ZstdCodec(level=1, checksum=True), "fill_value": np.nan}
    codec = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")
    limits = np.iinfo(dtype)
    return {
        "compressors": [codec, Crc32cCodec()],
        "fill_value": -1 if limits.min < 0 else int(limits.max),
    }


def _described_as(dtype: str) -> dict[str, Any]:
    if dtype == "float32":
        return {"units": "photons/pixel", "long_name": "simulated intensity"}
    return {"units": "ADU", "long_name": "simulated counts"}


def publish(files: Writer, attributes: dict[str, Any], mark: str) -> None:
    """Say that a store is whole, and what is in it: the last step of making one.

    Raises StoreError where another driver has begun to make one here meanwhile.
    """
    if isinstance(files, LocalFiles):  # what was made is durable before it counts
        for key in files.keys(""):
            sync_to_disk(files.folder / key)

    def whole(data: bytes | None) -> bytes:
        if data != _document({UNFINISHED: mark}):
            raise _changed(files)
        return _document({"format": FORMAT, "format_version": FORMAT_VERSION, **attributes})

    files.change(ROOT, whole)


def _document(attributes: dict[str, Any]) -> bytes:
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return json.dumps(document, indent=2).encode()


def _changed(files: Files) -> StoreError:
    return StoreError(f"{files.url}: the store was overwritten, moved or deleted meanwhile")


def update_attributes(
    files: Writer, run: str, add: dict[str, Any], remove: tuple[str, ...] = ()
) -> None:
    """Add to what is written about a run, or take it back.  The driver alone does this.

    Raises StoreError where the store is of another run by now.
    """

    def edit(data: bytes | None) -> bytes:
        if data is None or run_of(data) != run:
            raise _changed(files)
        about = json.loads(data)
        about["attributes"] = {
            name: value for name, value in (about["attributes"] | add).items() if name not in remove
        }
        return json.dumps(about, indent=2).encode()

    files.change(ROOT, edit)


def forget(files: Writer, name: str) -> None:
    """Take back something that is written about the run of a store."""
    update_attributes(files, run_named(files), {}, remove=(name,))


def run_named(files: Files) -> str:
    """Return the identity of the run of a store; StoreError where it has none."""
    found = run_of(files.read(ROOT))
    if found is None:
        raise StoreError(
            f"{files.url} names no run: an earlier tiledsim made it, or it was edited; render anew "
            "with `overwrite`"
        )
    return found


def open_image(files: Files, layout: Layout | None = None, extended: int | None = None) -> Any:
    """Open the image; compare it with a layout, or with that of an ``extended`` number of shots.

    Raises StoreError where it is missing, damaged, or not cut as the layout says.
    """
    try:
        image = zarr.open_array(files.zarr(), path="image", mode="r")
    except Exception as error:  # zarr raises errors of many kinds for what it cannot read
        raise StoreError(f"{files.url}: its image cannot be opened: {_one_line(error)}") from None
    if layout is not None:
        shape = layout.shape
        if image.shape[0] == extended:
            shape = extended, *shape[1:]
        cut = {
            "shape": (image.shape, shape),
            "chunks": (image.chunks, (1, 1, *layout.chunk)),
            "shards": (image.shards, (1, 1, *layout.shard)),
            "type": (str(image.dtype), layout.dtype),
        }
        for what, (found, expected) in cut.items():
            if found != expected:
                raise StoreError(
                    f"{files.url} contradicts itself: the {what} of its image is {found}, its "
                    f"attributes say {expected}; render anew with `overwrite`"
                )
    return image


def read_tile(image: Any, tile: Tile) -> NDArray[Any]:
    """Read the pixels of a tile [rows, cols]; raises what zarr raises for a damaged shard."""
    pixels = image[
        tile.shot, tile.panel,
        tile.slow_start : tile.slow_stop, tile.fast_start : tile.fast_stop,
    ]  # fmt: skip
    return np.asarray(pixels)


def write_tile(
    shards: Shards, image: Any, layout: Layout, tile: Tile, pixels: NDArray[Any], *, fsync: bool
) -> NDArray[Any]:
    """Write the shards of a tile whole; durable before it returns, if ``fsync``.

    A shard is encoded in memory and put into the run as one key.  Returns the pixels that are
    stored: those given, but for shards that another task of the run had written before.
    """
    if pixels.shape != (tile.rows, tile.cols) or pixels.dtype != image.dtype:
        raise StoreError(
            f"{tile}: {pixels.shape} {pixels.dtype} where ({tile.rows}, {tile.cols}) "
            f"{image.dtype} is stored"
        )
    for index, part in layout.shards_of(tile):
        rows = slice(part.slow_start - tile.slow_start, part.slow_stop - tile.slow_start)
        cols = slice(part.fast_start - tile.fast_start, part.fast_stop - tile.fast_start)
        name = image.metadata.encode_chunk_key(index)
        key = f"image/{name}"
        shard = _encode_shard(image, name, part, pixels[None, None, rows, cols])
        found = shards.put(key, shard, durable=fsync)
        if found is None:
            continue
        there = _decode_shard(image, name, part, found.data)
        if there is None:
            shards.replace(key, shard, found, durable=fsync)
        else:
            pixels = pixels.copy()
            pixels[rows, cols] = there
    return pixels


def remove_tiles(files: Writer, layout: Layout, tiles: Iterable[int]) -> None:
    """Remove the shards of tiles by number; only with the lease held."""
    image = open_image(files)
    for number in tiles:
        for index, _ in layout.shards_of(layout.tile_at(number)):
            files.delete(f"image/{image.metadata.encode_chunk_key(index)}")


def _encode_shard(image: Any, key: str, part: Tile, pixels: NDArray[Any]) -> bytes:
    """Return the bytes that zarr stores for one shard, by writing it to an array in memory."""
    kept: dict[str, Any] = image.metadata.to_buffer_dict(default_buffer_prototype())
    memory = zarr.open_array(MemoryStore(kept), mode="r+")
    memory.with_config({"write_empty_chunks": True})[
        part.shot : part.shot + 1,
        part.panel : part.panel + 1,
        part.slow_start : part.slow_stop,
        part.fast_start : part.fast_stop,
    ] = pixels
    return bytes(kept[key].to_bytes())


def _decode_shard(image: Any, key: str, part: Tile, data: bytes) -> NDArray[Any] | None:
    """Return the pixels [rows, cols] of a shard's bytes; None for one that is damaged."""
    kept: dict[str, Any] = image.metadata.to_buffer_dict(default_buffer_prototype())
    kept[key] = default_buffer_prototype().buffer.from_bytes(data)
    try:
        pixels = read_tile(zarr.open_array(MemoryStore(kept), mode="r"), part)
    except Exception:  # zarr's codecs raise errors of many kinds for torn shards
        return None
    return None if np.isnan(pixels).any() else pixels


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def sweep_partial_files(files: Writer) -> None:
    """Remove what writers that were killed left behind.  Only with the lease held."""
    if isinstance(files, LocalFiles):
        for path in files.folder.rglob("*"):
            if re.search(r"\.[0-9a-f]{16,}\.partial$", path.name):
                files.delete(path.relative_to(files.folder).as_posix())
