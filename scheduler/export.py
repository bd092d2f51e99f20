"""A stored image as the raw file of other programs."""

import os
import uuid
from pathlib import Path

import numpy as np
import zarr

from tiledsim.errors import StoreError
from tiledsim.scheduler.files import open_files


def write_raw(location: str | Path, file: Path, *, rows_at_once: int = 512) -> None:
    """Write all pixels as raw little-endian float32, fast axis fastest, then slow, panel, shot.

    The file appears whole or not at all.  Raises StoreError if it cannot be written.
    """
    image = zarr.open_array(open_files(location).zarr(), path="image", mode="r")
    shots, panels, slow, _ = image.shape
    made = file.with_name(f".{file.name}.{uuid.uuid4().hex}.partial")
    try:
        with made.open("wb") as out:
            for shot in range(shots):
                for panel in range(panels):
                    for row in range(0, slow, rows_at_once):
                        part = np.asarray(image[shot, panel, row : row + rows_at_once])
                        out.write(part.astype("<f4", copy=False).tobytes())
        os.replace(made, file)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from None
