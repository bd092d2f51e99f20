"""Point spread functions: how light of one pixel reaches its neighbours.

Kernels are integrals over pixels; :mod:`tiledsim.detector_model.spreading` applies them.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.io.arrays import read_npy
from tiledsim.io.text import read_text

Array = NDArray[np.float64]

FIBER_CORE: Final = 0.652383013252053
"""g/FWHM of the fibre taper: half the maximum of g/2π·(g² + r²)^(−3/2) is at r = FWHM/2."""
LARGEST_RADIUS: Final = 512
_LARGEST_FILE: Final = 64 << 20


def gaussian_kernel(fwhm: float, radius: int) -> Array:
    """Integrate a Gaussian over pixels [2r+1, 2r+1].

    The density is (ln 16/π)/w²·exp(−ln 16·r²/w²), ``fwhm`` w in pixels.
    """
    edges = [math.erf(math.sqrt(math.log(16.0)) * (k - 0.5) / fwhm) for k in _edges(radius)]
    across = 0.5 * np.diff(edges)
    return np.outer(across, across)


def fiber_kernel(fwhm: float, radius: int) -> Array:
    """Integrate the point spread of a fibre taper over pixels [2r+1, 2r+1].

    The density is g/2π·(g² + r²)^(−3/2) with g = 0.652383·w, ``fwhm`` w in pixels
    (Holton, Nielsen & Frankel, J. Synchrotron Rad. 19, 1006 (2012)).
    """
    g = FIBER_CORE * fwhm
    edges = np.array(_edges(radius)) - 0.5
    x, y = edges[:, None], edges[None, :]
    corner = np.arctan(x * y / (g * np.sqrt(g * g + x * x + y * y))) / (2.0 * np.pi)
    return np.asarray(corner[1:, 1:] - corner[1:, :-1] - corner[:-1, 1:] + corner[:-1, :-1])


def _edges(radius: int) -> range:
    return range(-radius, radius + 2)


def radius_of_tail(kind: str, fwhm: float, tail: float) -> int:
    """Return the radius [pixels] outside which a point spread has at most ``tail`` of its light."""
    if kind == "gaussian":
        return max(1, math.ceil(fwhm * math.sqrt(-math.log(tail) / math.log(16.0))))
    return max(1, math.ceil(FIBER_CORE * fwhm * math.sqrt(1.0 / (tail * tail) - 1.0)))


def read_kernel(path: Path) -> Array:
    """Read a kernel from a .npy or a text file: odd numbers of rows and columns, none negative.

    Element [i, j] is the share of light that goes i − middle pixels along the slow and j − middle
    along the fast axis.  Raises InputFileError for anything else.
    """
    try:
        if path.suffix == ".npy":
            values = read_npy(path, "a point spread", _LARGEST_FILE)
        else:
            text = read_text(path, "point spread", _LARGEST_FILE)
            values = np.loadtxt(text.splitlines(), ndmin=2)
        kernel = np.asarray(values, dtype=np.float64)
    except InputFileError:
        raise
    except (ValueError, TypeError) as error:
        said = (str(error).strip().splitlines() or ["?"])[0]
        raise InputFileError(f"{path}: cannot be read as a point spread: {said}") from None
    if kernel.ndim != 2 or any(side % 2 == 0 for side in kernel.shape):
        raise InputFileError(
            f"{path}: a point spread has odd numbers of rows and columns, this one is "
            f"{' x '.join(map(str, kernel.shape)) or 'a single number'}"
        )
    if not np.isfinite(kernel).all() or (kernel < 0.0).any() or not kernel.sum() > 0.0:
        raise InputFileError(
            f"{path}: a point spread holds finite numbers of at least 0, not all 0"
        )
    radius = max(kernel.shape) // 2
    square = np.zeros((2 * radius + 1, 2 * radius + 1))
    down, across = (radius - side // 2 for side in kernel.shape)
    square[down : down + kernel.shape[0], across : across + kernel.shape[1]] = kernel
    return square


def check_radius(radius: int, slow: int, fast: int) -> None:
    """Raise ExperimentError for a point spread that is wider than the panel."""
    if radius > LARGEST_RADIUS or 2 * radius + 1 > min(slow, fast):
        raise ExperimentError(
            f"the point spread is {2 * radius + 1} pixels wide, the panel {slow} x {fast} pixels "
            f"(slow x fast; {2 * LARGEST_RADIUS + 1} at most); give a smaller psf_radius_px or a "
            "larger psf_tail"
        )
