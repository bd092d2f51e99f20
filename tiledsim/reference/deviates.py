"""The deviates of the noise stage in NumPy, for arrays: what the compiled ones must equal.

Every operation is one that IEEE 754 rounds in one way, in the order of
:mod:`tiledsim.detector_model.deviates`, so the comparison is of bits.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiledsim.detector_model import numbers
from tiledsim.vectors import Array

Words = NDArray[np.uint64]
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: ArrayLike, key: tuple[int, int]) -> Words:
    """Return Philox 4×32-10 of counters [4, ...] under one key: words [4, ...]."""
    x0, x1, x2, x3 = np.asarray(counter, dtype=np.uint64)
    y0, y1 = key
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * x0, np.uint64(0xCD9E8D57) * x2
        x0, x1, x2, x3 = (
            (b >> _HALF) ^ x1 ^ np.uint64(y0), b & _LOW, (a >> _HALF) ^ x3 ^ np.uint64(y1), a & _LOW
        )  # fmt: skip
        y0, y1 = (y0 + 0x9E3779B9) & 0xFFFFFFFF, (y1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([x0, x1, x2, x3])


def uniforms(pixels: ArrayLike, draw: int, stream: int, seed: int, shot: int) -> Array:
    """Return two uniform deviates of each pixel [2, n]."""
    number = np.asarray(pixels, dtype=np.uint64)
    other = np.zeros_like(number)
    words = philox(
        [number & _LOW, number >> _HALF, other + np.uint64(draw), other + np.uint64(stream)],
        (seed, shot),
    )
    high, low = words[0::2] >> np.uint64(5), words[1::2] >> np.uint64(6)
    return np.asarray((high.astype(float) * 67108864.0 + low.astype(float) + 0.5) / 2.0**53)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    total = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def exp_minus(x: Array) -> Array:
    """Return exp(−x), 0 ≤ x < 10."""
    whole = x.astype(np.int64)
    return np.array(numbers.EXP_HALVES)[whole] * _polynomial(numbers.EXP, 0.5 - (x - whole))


def ln(x: Array) -> Array:
    """Return the natural logarithm of x > 0."""
    m, e = np.frexp(x)
    small = m < numbers.SQRT_HALF
    m, e = np.where(small, m * 2.0, m), np.where(small, e - 1, e).astype(float)
    s = (m - 1.0) / (m + 1.0)
    series = _polynomial(numbers.LN_SERIES, s * s)
    return np.asarray(e * numbers.LN2_HIGH + (2.0 * s * series + e * numbers.LN2_LOW))


def quantile(u: Array) -> Array:
    """Return the quantile of the normal distribution."""
    q = u - 0.5
    tables = (numbers.QUANTILE_MIDDLE, numbers.QUANTILE_TAIL, numbers.QUANTILE_FAR)
    r = np.sqrt(-ln(np.where(q < 0.0, u, 0.5 - q)))
    middle, tail, far = (
        _polynomial(above, x) / _polynomial(below, x)
        for (above, below), x in zip(tables, (0.180625 - q * q, r - 1.6, r - 5.0), strict=True)
    )
    outer = np.where(r <= 5.0, tail, far)
    return np.where(np.abs(q) <= 0.425, q * middle, np.where(q < 0.0, -outer, outer))


def ln_probability(k: Array, mean: Array) -> Array:
    """Return the logarithm of the probability of k photons."""
    d, n = k - mean, np.maximum(k, 1.0)
    v = d / (k + mean)
    total, power = d * v, 2.0 * k * v
    open_, j = np.abs(d) < 0.1 * (k + mean), 2
    while open_.any():
        power = power * (v * v)
        longer = np.where(open_, total + power * (1.0 / (j + 1)), total)
        open_, total, j = open_ & (longer != total), longer, j + 2
    deviance = np.where(np.abs(d) < 0.1 * (k + mean), total, k * ln(n / mean) + mean - k)
    r = 1.0 / n
    z = r * r
    s0, s1, s2, s3, s4 = numbers.STIRLING_SERIES
    large = (s0 - (s1 - (s2 - (s3 - s4 * z) * z) * z) * z) * r
    small = np.array(numbers.SMALL_STIRLING)[np.minimum(n, 15.0).astype(np.int64)]
    stirling = np.where(n < 16.0, small, large)
    value = -deviance - stirling - 0.5 * ln(n) - numbers.HALF_LN_TWO_PI
    return np.where(k == 0.0, -mean, value)


def poisson(means: ArrayLike, pixels: ArrayLike, seed: int, shot: int) -> Array:
    """Return Poisson deviates of pixels [n] with means [n]."""
    means, pixels = np.asarray(means, dtype=np.float64), np.asarray(pixels)
    counts = np.zeros(means.shape)
    low = (means > 0.0) & (means < numbers.INVERSION_BELOW)
    counts[low] = _inverted(means[low], uniforms(pixels[low], 0, 0, seed, shot)[0])
    waiting = np.flatnonzero((means >= numbers.INVERSION_BELOW) & (means < numbers.LARGEST_MEAN))
    draw = 0
    while waiting.size:
        u, v = uniforms(pixels[waiting], draw, 0, seed, shot)
        k, accepted = _tried(means[waiting], u, v)
        counts[waiting[accepted]] = k[accepted]
        waiting, draw = waiting[~accepted], draw + 1
    huge = means >= numbers.LARGEST_MEAN
    counts[huge] = means[huge]
    return counts


def _inverted(means: Array, u: Array) -> Array:
    k, p = np.zeros(means.shape), exp_minus(means)
    while (further := (u > p) & (p > numbers.NEGLIGIBLE)).any():
        u = np.where(further, u - p, u)
        k = np.where(further, k + 1.0, k)
        p = np.where(further, p * (means * (1.0 / np.maximum(k, 1.0))), p)
    return k


def _tried(means: Array, u: Array, v: Array) -> tuple[Array, NDArray[np.bool_]]:
    b = 0.931 + 2.53 * np.sqrt(means)
    a = -0.059 + 0.02483 * b
    w = u - 0.5
    s = 0.5 - np.abs(w)
    k = np.floor((2.0 * a / s + b) * w + means + 0.43)
    quick = (s >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2.0))
    possible = (k >= 0.0) & ((s >= 0.013) | (v <= s))
    height = v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (s * s) + b)
    return k, quick | (possible & (ln(height) <= ln_probability(np.maximum(k, 0.0), means)))
