"""What a worker does in an export: read rows of the store, convert them, encode them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.counts import count_photons
from tiledsim.detector_model.model import CountModel
from tiledsim.scheduler.export.conversion import Conversion
from tiledsim.scheduler.export.mask import measured_pixels
from tiledsim.scheduler.session.task import scene_of
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.shard_reader import ShardReader
from tiledsim.tile import Tile

Encoder = Callable[[NDArray[np.generic], int], Any]
"""From rows [n, fast] and the number of the first in the plane to what a writer takes."""


@dataclass(frozen=True)
class Source:
    """Where pixels come from, the same for all tasks of an export."""

    location: str
    scene_hash: str
    conversion: Conversion
    encode: Encoder
    masks: bool
    """Whether pixels that are never rendered are marked as such."""
    shape: tuple[int, int, int, int]
    """(shots, panels, slow, fast) of the store."""
    noise: CountModel | None = None
    """With what photons are counted; None takes values as they are stored."""


@dataclass(frozen=True)
class Band:
    """Some rows of one panel of one shot."""

    tile: Tile
    plane_row: int
    """Where its first row stands in the plane of a file."""
    missing: tuple[Tile, ...] = ()
    """Parts of it that the store does not have."""


@dataclass(frozen=True)
class Encoded:
    """What comes back from a worker."""

    payload: Any
    outside: int
    worst: float


@lru_cache(maxsize=4)
def _image(location: str, scene_hash: str) -> ShardReader:
    """Open an image; another scene's in the same place is another one."""
    files = open_files(location)
    return ShardReader(files, store.open_image(files))


def encode_band(source: Source, band: Band) -> Encoded:
    """Read, count where that is asked for, convert and encode one band."""
    rows = _image(source.location, source.scene_hash).read(band.tile)
    if band.missing:
        rows = rows.astype(np.result_type(rows, np.float32))
        for part in band.missing:
            rows[part.within(band.tile)] = np.nan
    scene = scene_of(source.location, source.scene_hash)
    measured = measured_pixels(scene, band.tile, rendered=source.masks)
    if source.noise is not None:
        counted = count_photons(source.noise, rows, band.tile, source.shape)
        rows = counted.pixels
        if counted.gaps is not None:
            measured = ~counted.gaps if measured is None else measured & ~counted.gaps
    converted = source.conversion.apply(rows, measured)
    payload = source.encode(converted.values, band.plane_row)
    return Encoded(payload, converted.outside, converted.worst)
