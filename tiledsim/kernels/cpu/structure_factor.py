"""Structure factors of a block of pixels, from the table.

``w`` is what is known of the block, :data:`~tiledsim.kernels.cpu.parameters.BLOCK`.
"""

import numpy as np

from tiledsim.jit import jit, piece
from tiledsim.kernels.cpu.parameters import (
    AT,
    BUNCH,
    CORNER,
    LANES,
    LATT,
    WEIGHT_H,
    WEIGHT_K,
    WEIGHT_L,
    Array,
    F,
    H,
    K,
    L,
    Parameters,
)
from tiledsim.kernels.cpu.vector4 import interpolated

SIXTH, THIRD = 1.0 / 6.0, 1.0 / 3.0


@piece
def take(table: Array, w: Array) -> None:
    """F of the nearest reflections."""
    for j in range(LANES):
        # An unsigned index is not asked whether it counts from the end of the table.
        w[F + j] = table[np.uint64(np.int64(w[AT + j]))]


@piece
def take_and_add(table: Array, w: Array) -> None:
    """Add F²·F_latt² of the nearest reflections."""
    for j in range(LANES):
        value = table[np.uint64(np.int64(w[AT + j]))]
        w[BUNCH + j] += value * value * w[LATT + j]


@piece
def take_dispersive(table: Array, f: Array, s: int, w: Array) -> None:
    """|F₀ + Σ (f′ + i f″)·A|² of the nearest reflections; row ``s`` of ``f`` has f′, f″ in turn."""
    parts = f.shape[1]
    for j in range(LANES):
        place = np.uint64(np.int64(w[AT + j]) * (parts + 2))
        real, imaginary = table[place], table[place + np.uint64(1)]
        for e in range(0, parts, 2):
            a, b = table[place + np.uint64(e + 2)], table[place + np.uint64(e + 3)]
            real += f[s, e] * a - f[s, e + 1] * b
            imaginary += f[s, e] * b + f[s, e + 1] * a
        w[F + j] = real * real + imaginary * imaginary


@jit
def _lagrange(t: float) -> tuple[float, float, float, float]:
    """Weights of the values at −1, 0, 1, 2 for the value at t in [0, 1)."""
    return (
        ((-SIXTH * t + 0.5) * t - THIRD) * t,
        ((0.5 * t - 1.0) * t - 0.5) * t + 1.0,
        ((-0.5 * t + 0.5) * t + 1.0) * t,
        ((SIXTH * t + 0.0) * t - SIXTH) * t,
    )


@piece
def _corners(low: Array, size: Array, per_wavelength: float, w: Array) -> None:
    """Weights along h, k, l and the table's index of the neighbourhood's corner, −1 if outside."""
    low_h, low_k, low_l = low[0], low[1], low[2]
    size_h, size_k, size_l = size[0], size[1], size[2]
    for j in range(LANES):
        h = w[H + j] * per_wavelength - low_h
        k = w[K + j] * per_wavelength - low_k
        l = w[L + j] * per_wavelength - low_l
        fh, fk, fl = np.floor(h), np.floor(k), np.floor(l)
        # The border is not part of the table: elements 1 … size − 2 are.
        below = min(min(size_h - 4.0 - fh, size_k - 4.0 - fk), size_l - 4.0 - fl)
        above = min(min(fh - 2.0, fk - 2.0), fl - 2.0)
        corner = ((fh - 1.0) * size_k + fk - 1.0) * size_l + fl - 1.0
        w[CORNER + j] = corner if min(below, above) >= 0.0 else -1.0
        a, b, c, d = _lagrange(h - fh)
        w[WEIGHT_H + j], w[WEIGHT_H + LANES + j] = a, b
        w[WEIGHT_H + 2 * LANES + j], w[WEIGHT_H + 3 * LANES + j] = c, d
        a, b, c, d = _lagrange(k - fk)
        w[WEIGHT_K + j], w[WEIGHT_K + LANES + j] = a, b
        w[WEIGHT_K + 2 * LANES + j], w[WEIGHT_K + 3 * LANES + j] = c, d
        a, b, c, d = _lagrange(l - fl)
        w[WEIGHT_L + j], w[WEIGHT_L + LANES + j] = a, b
        w[WEIGHT_L + 2 * LANES + j], w[WEIGHT_L + 3 * LANES + j] = c, d


@piece
def interpolate(p: Parameters, per_wavelength: float, w: Array) -> None:
    """F between reflections; the nearest one's where the 4×4×4 neighbourhood leaves the table."""
    _corners(p.low, p.size, per_wavelength, w)
    row, plane = int(p.size[2]), int(p.size[1] * p.size[2])
    for j in range(LANES):
        if w[CORNER + j] < 0.0:
            w[F + j] = p.F[np.uint64(np.int64(w[AT + j]))]
        else:
            w[F + j] = interpolated(p.F, int(w[CORNER + j]), row, plane, w, WEIGHT_H + j, LANES)
