"""Tiled TIFF: a page a panel, so that viewers of large images read a region without the rest."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EDGE = 256
"""Rows come in bands of this many, or of a multiple."""
BIGTIFF_BYTES = 2**32 - 2**25


def write_tiff(
    path: Path, bands: Iterable[NDArray[np.generic]], shape: tuple[int, int, int], dtype: str,
    description: str,
) -> None:  # fmt: skip
    """Write an image of one shot.

    Parameters
    ----------
    path : Path
        The file.
    bands : iterable of [rows, fast]
        The rows of each panel after the other's, EDGE of them or a multiple; fewer at a panel's
        end.
    shape : (panels, slow, fast)
        Of all.
    dtype : str
        Of the pixels.
    description : str
        Kept in the file.
    """
    import tifffile

    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    tifffile.imwrite(
        path, _tiles(bands), shape=shape, dtype=np.dtype(dtype), tile=(EDGE, EDGE),
        bigtiff=size > BIGTIFF_BYTES, photometric="minisblack", description=description,
        metadata=None,
    )  # fmt: skip


def _tiles(bands: Iterable[NDArray[np.generic]]) -> Iterator[NDArray[np.generic]]:
    for band in bands:
        for row in range(0, band.shape[0], EDGE):
            for col in range(0, band.shape[1], EDGE):
                yield band[row : row + EDGE, col : col + EDGE]
