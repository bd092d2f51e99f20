"""Random numbers of rows: each depends on the seed, the row and a name alone.

So a table can be extended, cut or made in parts.  Philox as for noise, with a stream of its own;
every operation is rounded as it is written, so all machines have the same bits.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.deviates import quantile, uniforms
from tiledsim.jit import exact_jit

Array = NDArray[np.float64]

_ROWS = 16
"""Stream of these deviates."""


@exact_jit
def _fill(first: int, seed: int, name: int, normal: bool, values: Array) -> None:
    rows, draws = values.shape
    for i in range(rows):
        for j in range(0, draws, 2):
            u, v = uniforms(first + i, j // 2, _ROWS, seed, name)
            values[i, j] = quantile(u) if normal else u
            if j + 1 < draws:
                values[i, j + 1] = quantile(v) if normal else v


def row_uniforms(seed: int, name: str, first: int, rows: int, draws: int = 1) -> Array:
    """Return numbers strictly between 0 and 1 [rows, draws] for the rows from ``first`` on."""
    return _drawn(seed, name, first, rows, draws, normal=False)


def row_normals(seed: int, name: str, first: int, rows: int, draws: int = 1) -> Array:
    """Return normal deviates of mean 0, variance 1 [rows, draws] for the rows from ``first`` on."""
    return _drawn(seed, name, first, rows, draws, normal=True)


def _drawn(seed: int, name: str, first: int, rows: int, draws: int, *, normal: bool) -> Array:
    values = np.empty((rows, draws))
    _fill(first, abs(seed) % 2**32, zlib.crc32(name.encode()), normal, values)
    return values
