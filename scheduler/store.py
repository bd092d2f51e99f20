"""The Zarr v3 store of a run: made and described by the driver, filled shard by shard by workers.

The image has the dimensions (shot, panel, slow, fast), float32 by default and NaN where nothing
was written.  A shard is written whole or not at all; docs/store.md says what makes a tile done.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.core.sync import sync
from zarr.storage import LocalStore

from tiledsim.errors import StoreError
from tiledsim.scheduler.files import Files, LocalFiles, sync_to_disk
from tiledsim.scheduler.tiles import Layout
from tiledsim.tile import Tile

FORMAT = "tiledsim"
FORMAT_VERSION = 2
DIMENSIONS = ("shot", "panel", "slow", "fast")


def exists(files: Files) -> bool:
    """Whether anything is at a location."""
    if isinstance(files, LocalFiles):
        return files.folder.exists() and (not files.folder.is_dir() or any(files.folder.iterdir()))
    return next(iter(files.keys("")), None) is not None


def read_attributes(files: Files) -> dict[str, Any]:
    """Return what the driver wrote about the run.

    Raises StoreError where there is no store, or another program's, or a newer version's.
    """
    text = files.read("zarr.json")
    if text is None:
        what = "is not a Zarr store" if exists(files) else "does not exist"
        raise StoreError(f"{files.url} {what}; give the store of a run of tiledsim")
    try:
        attributes = json.loads(text)["attributes"]
        name, version = attributes["format"], int(attributes["format_version"])
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{files.url} is a Zarr store, but not one of tiledsim") from None
    if name != FORMAT:
        raise StoreError(f"{files.url} is a Zarr store of {name!r}, not of tiledsim")
    if version > FORMAT_VERSION:
        raise StoreError(
            f"{files.url} has format version {version}, this tiledsim reads {FORMAT_VERSION}; "
            "install a newer tiledsim"
        )
    return dict(attributes)


def create(
    files: Files, layout: Layout, dtype: str, pixel_mm: float, attributes: dict[str, Any]
) -> None:
    """Make the group, the image and its coordinates; nothing may be there yet."""
    about = {"format": FORMAT, "format_version": FORMAT_VERSION, **attributes}
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.create_group(files.zarr(), zarr_format=3, attributes=about)
        group.create_array(
            "image",
            shape=layout.shape,
            dtype=dtype,
            chunks=(1, 1, *layout.chunk),
            shards=(1, 1, *layout.shard),
            compressors=ZstdCodec(level=1, checksum=True),
            fill_value=np.nan,
            dimension_names=DIMENSIONS,
            attributes={"units": "photons/pixel", "long_name": "simulated intensity",
                        "pixel_mm": pixel_mm},
        )  # fmt: skip
        for name, size in zip(DIMENSIONS, layout.shape, strict=True):
            axis = group.create_array(
                name, shape=(size,), dtype="int64", dimension_names=(name,),
                attributes={"units": "pixel" if name in ("slow", "fast") else "1"},
            )  # fmt: skip
            axis[:] = np.arange(size)
        # The driver's own files live in a group of their own, so that readers of the image, which
        # list what is beside it, find nothing that they do not know.
        group.create_group("run")


def update_attributes(files: Files, attributes: dict[str, Any]) -> None:
    """Add to what is written about the run.  The driver alone does this."""
    about = json.loads(files.read("zarr.json") or b"{}")
    about["attributes"] |= attributes
    files.write("zarr.json", json.dumps(about, indent=2).encode())


def remove_attribute(files: Files, name: str) -> None:
    """Take back something that is written about the run.  The driver alone does this."""
    about = json.loads(files.read("zarr.json") or b"{}")
    about["attributes"].pop(name, None)
    files.write("zarr.json", json.dumps(about, indent=2).encode())


def open_image(files: Files) -> Any:
    """Open the image for writing whole shards."""
    image = zarr.open_array(files.zarr(), path="image", mode="r+")
    return image.with_config({"write_empty_chunks": True})


def read_tile(image: Any, tile: Tile) -> NDArray[Any]:
    """Read the pixels of a tile [rows, cols]; raises what zarr raises for a damaged shard."""
    pixels = image[
        tile.shot, tile.panel,
        tile.slow_start : tile.slow_stop, tile.fast_start : tile.fast_stop,
    ]  # fmt: skip
    return np.asarray(pixels)


def write_tile(
    image: Any, layout: Layout, tile: Tile, pixels: NDArray[Any], *, fsync: bool
) -> None:
    """Write the shards of a tile whole; durable before it returns, if ``fsync``."""
    if pixels.shape != (tile.rows, tile.cols) or pixels.dtype != image.dtype:
        raise StoreError(
            f"{tile}: {pixels.shape} {pixels.dtype} where ({tile.rows}, {tile.cols}) "
            f"{image.dtype} is stored"
        )
    for index, part in layout.shards_of(tile):
        rows = slice(part.slow_start - tile.slow_start, part.slow_stop - tile.slow_start)
        cols = slice(part.fast_start - tile.fast_start, part.fast_stop - tile.fast_start)
        _write_shard(image, index, part, pixels[None, None, rows, cols], fsync=fsync)


def _write_shard(
    image: Any, index: tuple[int, ...], part: Tile, pixels: NDArray[Any], *, fsync: bool
) -> None:
    whole = (
        slice(part.shot, part.shot + 1),
        slice(part.panel, part.panel + 1),
        slice(part.slow_start, part.slow_stop),
        slice(part.fast_start, part.fast_stop),
    )
    path = image.store_path / image.metadata.encode_chunk_key(index)
    try:
        image[whole] = pixels
    except (ValueError, RuntimeError):
        # zarr 3.1 decodes the old shard before it replaces it; a torn one raises here.
        sync(path.delete())
        image[whole] = pixels
    if fsync and isinstance(path.store, LocalStore):
        sync_to_disk(Path(path.store.root) / path.path)


def sweep_partial_files(files: Files) -> None:
    """Remove what writers that were killed left behind.  Only with the lease held."""
    if isinstance(files, LocalFiles):
        for path in files.folder.rglob("*.partial"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
