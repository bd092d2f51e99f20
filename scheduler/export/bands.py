"""The units of an export: bands of rows that a worker reads and encodes at once."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError
from tiledsim.scheduler.export.pixels import Band
from tiledsim.scheduler.store.layout import Layout
from tiledsim.tile import Tile

BAND_BYTES = 32 * 2**20
"""Of float32 pixels in a band, about."""


def band_rows(layout: Layout, multiple: int) -> int:
    """Return the rows of a band: whole shards, so that none is read twice, and ``multiple``."""
    _, _, slow, fast = layout.shape
    step = int(np.lcm(layout.shard[0], multiple))
    rows = max(1, BAND_BYTES // (4 * fast * step)) * step
    return min(rows, slow)


def frame_bands(
    layout: Layout, shot: int, panels: Sequence[int], rows: int, done: NDArray[np.bool_]
) -> Iterator[Band]:
    """Yield the bands of one shot, panel after panel; ``done`` [tiles] says what is stored."""
    _, _, slow, fast = layout.shape
    for place, panel in enumerate(panels):
        for start in range(0, slow, rows):
            tile = Tile(shot, panel, start, min(start + rows, slow), 0, fast)
            yield Band(tile, place * slow + start, tuple(_missing(layout, tile, done)))


def _missing(layout: Layout, band: Tile, done: NDArray[np.bool_]) -> Iterator[Tile]:
    """Yield what a band lacks, tile by tile."""
    _, panels, down, across = layout.grid
    rows, cols = layout.tile
    first = (band.shot * panels + band.panel) * down
    for j in range(band.slow_start // rows, -(-band.slow_stop // rows)):
        line = done[(first + j) * across : (first + j + 1) * across]
        for i in np.flatnonzero(~line).tolist():
            yield Tile(
                band.shot, band.panel,
                max(j * rows, band.slow_start), min((j + 1) * rows, band.slow_stop),
                i * cols, min((i + 1) * cols, band.fast_stop),
            )  # fmt: skip


def select(text: str | None, count: int, option: str) -> list[int]:
    """Read a selection: ``5``, ``0:100``, ``0:100:10``, or several with commas.

    Raises ExperimentError for one that is not understood, selects nothing, or what is not there.
    """
    if text is None:
        return list(range(count))
    chosen: list[int] = []
    for word in text.split(","):
        parts = word.strip().split(":")
        try:
            numbers = [int(part) if part.strip() else None for part in parts]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3 or (len(numbers) == 1 and numbers[0] is None):
            raise ExperimentError(
                f"`{option}={text}`: give numbers as 5, 0:100, 0:100:10, or several with commas"
            )
        if len(numbers) == 1:
            number = numbers[0]
            assert number is not None
            chosen.append(number + count if number < 0 else number)
        else:
            step = numbers[2] if len(numbers) == 3 else None
            if step is not None and step < 1:
                raise ExperimentError(f"`{option}={text}`: the step must be at least 1")
            if any(n is not None and abs(n) > count for n in numbers[:2]):
                raise ExperimentError(
                    f"`{option}={text}`: the run has {count}, numbered 0 to {count - 1}"
                )
            chosen += range(count)[slice(*numbers)]
    outside = [n for n in chosen if not 0 <= n < count]
    if outside:
        raise ExperimentError(f"`{option}={text}`: the run has {count}, numbered 0 to {count - 1}")
    if not chosen or len(set(chosen)) < len(chosen):
        raise ExperimentError(f"`{option}={text}`: selects {'none' if not chosen else 'one twice'}")
    return chosen
