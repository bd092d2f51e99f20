"""What a worker does in an export: read rows of the store, convert them, encode them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.scheduler.session.task import scene_of
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files, through_zarr
from tiledsim.tile import Tile

Encoder = Callable[[NDArray[np.generic], int], Any]
"""From rows [n, fast] and the number of the first in the plane to what a writer takes."""


@dataclass(frozen=True)
class Conversion:
    """From stored values to those of a file."""

    dtype: str
    lowest: float
    highest: float
    """The range of measurements, inclusive."""
    invalid: float | None
    """Stands for pixels without a measurement; None leaves NaN."""
    clip: bool = False

    def apply(self, rows: NDArray[Any], measured: NDArray[np.bool_] | None) -> "Converted":
        """Convert rows [n, fast]; ``measured`` says which have a measurement, None: all."""
        if np.dtype(self.dtype).kind == "f":
            out = rows.astype(self.dtype)
            lost = np.isnan(out)
            if measured is not None:
                lost |= ~measured
            if self.invalid is not None:
                out[lost] = self.invalid
            return Converted(out, 0, 0.0)
        whole = np.rint(rows) if rows.dtype.kind == "f" else rows
        lost = np.isnan(whole) if whole.dtype.kind == "f" else np.zeros(whole.shape, np.bool_)
        if measured is not None:
            lost = lost | ~measured
        wrong = ~lost & ((whole > self.highest) | (whole < self.lowest))
        count = int(np.count_nonzero(wrong))
        worst = 0.0
        if count:
            outside = whole[wrong].astype(np.float64)
            worst = float(outside[np.argmax(np.abs(outside))])
            whole = np.clip(whole.astype(np.float64), self.lowest, self.highest)
        filled = np.where(lost, 0, whole)
        out = filled.astype(self.dtype)
        if self.invalid is not None:
            out[lost] = self.invalid
        return Converted(out, count, worst)


@dataclass(frozen=True)
class Converted:
    """Values of a file, and how many of them were outside its range."""

    values: NDArray[np.generic]
    outside: int
    worst: float


@dataclass(frozen=True)
class Source:
    """Where pixels come from, the same for all tasks of an export."""

    location: str
    scene_hash: str
    conversion: Conversion
    encode: Encoder
    masks: bool
    """Whether pixels that are never rendered are marked as such."""


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
def _image(location: str) -> Any:
    files = open_files(location)
    return files, store.open_image(files)


def encode_band(source: Source, band: Band) -> Encoded:
    """Read, convert and encode one band."""
    files, image = _image(source.location)
    with through_zarr(files):
        rows = store.read_tile(image, band.tile)
    if band.missing:
        rows = rows.astype(np.float32)
        for part in band.missing:
            rows[
                part.slow_start - band.tile.slow_start : part.slow_stop - band.tile.slow_start,
                part.fast_start : part.fast_stop,
            ] = np.nan
    measured = None
    if source.masks:
        measured = scene_of(source.location, source.scene_hash).rendered_mask(band.tile)
    converted = source.conversion.apply(rows, measured)
    payload = source.encode(converted.values, band.plane_row)
    return Encoded(payload, converted.outside, converted.worst)
