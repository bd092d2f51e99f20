"""Files that mark pixels: masks, dead pixels, gaps."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.io.arrays import read_npy


def read_pixels(
    path: Path, what: str, panels: int, slow: int, fast: int, *, linear: bool = False
) -> NDArray[np.bool_]:
    """Read which pixels are not 0: SMV, or a .npy of (slow, fast) or (panel, slow, fast).

    ``linear`` takes the first pixels of a larger SMV file, as nanoBragg does.  Raises
    InputFileError for a file of another size, or that is none.
    """
    values: NDArray[np.generic]
    values = _read_npy(path, what) if path.suffix == ".npy" else _read_smv(path)
    if linear and path.suffix != ".npy" and values.size > fast * slow:
        values = values.ravel()[: fast * slow].reshape(slow, fast)
    if values.shape not in [(slow, fast), (panels, slow, fast)]:
        raise InputFileError(
            f"{path}: {what} is {' x '.join(str(n) for n in values.shape)} pixels, "
            f"the detector is {slow} x {fast} (slow x fast)"
        )
    # NaN is not 0, and no number that a pixel could be marked with either.
    return np.asarray((values != np.zeros((), values.dtype)) & ~np.isnan(values), dtype=np.bool_)


def _read_npy(path: Path, what: str) -> NDArray[np.generic]:
    values: NDArray[np.generic] = read_npy(path, what)
    if values.dtype.kind not in "biuf":
        raise InputFileError(f"{path}: {what} holds numbers or booleans")
    return values


def _read_smv(path: Path) -> NDArray[np.generic]:
    from tiledsim.image_files.smv.image import read_smv

    return read_smv(path).image
