"""A stored image as the raw file of other programs."""

import os
import uuid
from pathlib import Path

import numpy as np

from tiledsim.errors import StoreError
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files, through_zarr


def write_raw(location: str | Path, file: Path, *, rows_at_once: int = 512) -> None:
    """Write all pixels as raw little-endian float32, fast axis fastest, then slow, panel, shot.

    The file appears whole or not at all.  Raises StoreError if the store
    cannot be read or the file cannot be written.
    """
    files = open_files(location)
    image = store.open_image(files)
    shots, panels, slow, _ = image.shape
    made = file.with_name(f".{file.name}.{uuid.uuid4().hex}.partial")
    try:
        with made.open("wb") as out:
            for shot in range(shots):
                for panel in range(panels):
                    for row in range(0, slow, rows_at_once):
                        with through_zarr(files):
                            part = np.asarray(image[shot, panel, row : row + rows_at_once])
                        out.write(part.astype("<f4", copy=False).tobytes())
        os.replace(made, file)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from None
    finally:
        made.unlink(missing_ok=True)
