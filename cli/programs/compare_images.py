"""Images to compare: files of one image, and stores of many, read one image at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.parity.images import ImageComparison, compare_images, read_image

Image = NDArray[np.float64]


@dataclass(frozen=True)
class Images:
    """The images of a file or a store, by shot and panel."""

    shots: int
    panels: int
    read: Callable[[int, int], Image]


def open_images(path: Path, shape: tuple[int, int] | None) -> Images:
    """Open a store, or a file of one image; InputFileError and StoreError where it is none."""
    if not path.is_dir():
        single = read_image(path, shape)
        return Images(1, 1, lambda _shot, _panel: single)
    from tiledsim.scheduler.store.files import open_files
    from tiledsim.scheduler.store.image import open_image

    stored = open_image(open_files(str(path)))
    if stored.ndim != 4:
        raise InputFileError(f"{path}: its image has {stored.ndim} dimensions, not 4")

    def read(shot: int, panel: int) -> Image:
        try:
            return np.asarray(stored[shot, panel], dtype=np.float64)
        except Exception as error:  # zarr's codecs raise errors of many kinds for torn shards
            raise InputFileError(
                f"{path}: shot {shot} panel {panel} cannot be read: {type(error).__name__}; "
                "`tiledsim verify` names the damaged tiles"
            ) from error

    return Images(stored.shape[0], stored.shape[1], read)


def compare_all(
    a: Path, b: Path, shape: tuple[int, int] | None, rtol: float
) -> Iterator[tuple[int, int, ImageComparison]]:
    """Compare every image of B with that of A, the reference; yields shot, panel and what is found.

    Raises InputFileError where they do not hold the same shots and panels.
    """
    one, other = open_images(a, shape), open_images(b, shape)
    if (one.shots, one.panels) != (other.shots, other.panels):
        raise InputFileError(
            f"{a} holds {one.shots} shot(s) x {one.panels} panel(s), {b} {other.shots} x "
            f"{other.panels}; export the one that is meant (tiledsim export) and compare that"
        )
    for shot in range(one.shots):
        for panel in range(one.panels):
            found = compare_images(one.read(shot, panel), other.read(shot, panel), rtol=rtol)
            yield shot, panel, found
