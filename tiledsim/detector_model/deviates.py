"""Random deviates that depend on a counter alone, compiled for the CPU.

Philox 4×32-10 (Salmon et al., SC11, 2011) turns a key and a counter into four words of 32 bits. The
key is (seed, shot), the counter (pixel low, pixel high, draw, stream); so a pixel's deviates do not
depend on which other pixels were drawn, where, or in which order.  Products and sums are not fused
here: :mod:`tiledsim.reference.deviates` has the same bits.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model import numbers
from tiledsim.jit import exact_jit as exact

Word = np.uint64
Array = NDArray[np.float64]

POISSON, READOUT, FLICKER, CALIBRATION = range(4)
"""Streams: what a deviate is for."""
LANES = 64
"""Pixels whose first random words are computed together."""

_EXP_HALVES: Array = np.array(numbers.EXP_HALVES)
_EXP: Array = np.array(numbers.EXP)
_LN_SERIES: Array = np.array(numbers.LN_SERIES)
_SMALL_STIRLING: Array = np.array(numbers.SMALL_STIRLING)
_S0, _S1, _S2, _S3, _S4 = numbers.STIRLING_SERIES
_MIDDLE: Array = np.array(numbers.QUANTILE_MIDDLE)
_TAIL: Array = np.array(numbers.QUANTILE_TAIL)
_FAR: Array = np.array(numbers.QUANTILE_FAR)
_LN2_HIGH, _LN2_LOW, _SQRT_HALF = numbers.LN2_HIGH, numbers.LN2_LOW, numbers.SQRT_HALF
_HALF_LN_TWO_PI, _TINY = numbers.HALF_LN_TWO_PI, 1.0 / 2.0**53
_INVERSION_BELOW = numbers.INVERSION_BELOW
_RECIPROCALS: Array = 1.0 / np.arange(1.0, 129.0)
_NEGLIGIBLE, _LARGEST_MEAN = numbers.NEGLIGIBLE, numbers.LARGEST_MEAN


@exact
def philox(c0: int, c1: int, c2: int, c3: int, k0: int, k1: int) -> tuple[Word, Word, Word, Word]:
    """Return the four words of a counter under a key; all are words of 32 bits."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    x0, x1, x2, x3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    y0, y1 = np.uint64(k0), np.uint64(k1)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * x0, np.uint64(0xCD9E8D57) * x2
        x0, x1, x2, x3 = (b >> half) ^ x1 ^ y0, b & low, (a >> half) ^ x3 ^ y1, a & low
        y0, y1 = (y0 + np.uint64(0x9E3779B9)) & low, (y1 + np.uint64(0xBB67AE85)) & low
    return x0, x1, x2, x3


@exact
def _joined(high: Word, low: Word) -> float:
    """Make a number strictly between 0 and 1 of 53 bits of two words."""
    upper = np.float64(np.int64(high >> np.uint64(5)))
    return (upper * 67108864.0 + np.float64(np.int64(low >> np.uint64(6))) + 0.5) * _TINY


@exact
def uniforms(pixel: int, draw: int, stream: int, seed: int, shot: int) -> tuple[float, float]:
    """Return two uniform deviates of 53 bits, strictly between 0 and 1."""
    a, b, c, d = philox(pixel & 0xFFFFFFFF, pixel >> 32, draw, stream, seed, shot)
    return _joined(a, b), _joined(c, d)


@exact
def exp_minus(x: float) -> float:
    """Return exp(−x) for 0 ≤ x < 10."""
    whole = np.int32(x)  # of 32 bits, so that many are converted by one instruction
    t = 0.5 - (x - np.float64(whole))
    total = _EXP[13]
    for k in range(12, -1, -1):
        total = total * t + _EXP[k]
    return float(_EXP_HALVES[whole] * total)


@exact
def ln(x: float) -> float:
    """Return the natural logarithm of x > 0."""
    m, e = math.frexp(x)
    if m < _SQRT_HALF:
        m, e = m * 2.0, e - 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total = _LN_SERIES[11]
    for k in range(10, -1, -1):
        total = total * z + _LN_SERIES[k]
    return float(e * _LN2_HIGH + (2.0 * s * total + e * _LN2_LOW))


@exact
def _ratio(table: Array, x: float) -> float:
    above, below = table[0, 7], table[1, 7]
    for k in range(6, -1, -1):
        above = above * x + table[0, k]
        below = below * x + table[1, k]
    return float(above / below)


@exact
def normal(pixel: int, stream: int, seed: int, shot: int) -> float:
    """Return a deviate of the normal distribution of mean 0 and variance 1."""
    return quantile(uniforms(pixel, 0, stream, seed, shot)[0])


@exact
def quantile(u: float) -> float:
    """Return the number that a normal deviate of mean 0, variance 1 is below with probability u."""
    q = u - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_MIDDLE, 0.180625 - q * q)
    r = math.sqrt(-ln(u if q < 0.0 else 0.5 - q))
    x = _ratio(_TAIL, r - 1.6) if r <= 5.0 else _ratio(_FAR, r - 5.0)
    return -x if q < 0.0 else x


@exact
def _stirling_error(n: float) -> float:
    """ln n! − ln(sqrt(2πn)·(n/e)^n) for n ≥ 1."""
    if n < 16.0:
        return float(_SMALL_STIRLING[int(n)])
    r = 1.0 / n
    z = r * r
    return (_S0 - (_S1 - (_S2 - (_S3 - _S4 * z) * z) * z) * z) * r


@exact
def _deviance(k: float, mean: float) -> float:
    """k·ln(k/mean) + mean − k, without cancellation near k = mean (Loader, 2000)."""
    d = k - mean
    if abs(d) >= 0.1 * (k + mean):
        return k * ln(k / mean) + mean - k
    v = d / (k + mean)
    total = d * v
    power, v2 = 2.0 * k * v, v * v
    j = 2
    while True:
        power *= v2
        longer = total + power * _RECIPROCALS[j]
        if longer == total:
            return float(longer)
        total = longer
        j += 2


@exact
def ln_probability(k: float, mean: float) -> float:
    """Return the logarithm of the probability of k photons, as accurate for 1e9 as for 1."""
    if k == 0.0:
        return -mean
    return -_deviance(k, mean) - _stirling_error(k) - 0.5 * ln(k) - _HALF_LN_TWO_PI


@exact
def _rejected(mean: float, u: float, v: float, pixel: int, seed: int, shot: int) -> float:
    """Return the Poisson deviate of a mean of at least 10; ``u`` and ``v`` are its first draw."""
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    draw = 0
    while True:
        w = u - 0.5
        s = 0.5 - abs(w)
        k = math.floor((2.0 * a / s + b) * w + mean + 0.43)
        if s >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2.0):
            return float(k)
        if k >= 0.0 and (s >= 0.013 or v <= s):
            height = v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (s * s) + b)
            if ln(height) <= ln_probability(float(k), mean):
                return float(k)
        draw += 1
        u, v = uniforms(pixel, draw, POISSON, seed, shot)


@exact
def inverted_lanes(means: Array, u: Array, p: Array, counts: Array) -> None:
    """Fill counts [LANES] with the Poisson deviates of means below INVERSION_BELOW; 0 for others.

    The deviate of a mean is the number whose cumulative probability contains its uniform ``u``.
    All lanes take a step together, by vector instructions; ``u`` and ``p`` [LANES] are used up.
    """
    for j in range(LANES):
        small = (means[j] > 0.0) & (means[j] < _INVERSION_BELOW)
        at_zero = exp_minus(means[j] if small else 0.0)
        p[j] = at_zero if small else 2.0  # what no uniform is above: the count stays 0
        counts[j] = 0.0
    step = 0
    while True:
        going = 0
        for j in range(LANES):
            left, here = u[j], p[j]
            goes = (left > here) & (here > _NEGLIGIBLE)
            u[j] = left - (here if goes else 0.0)
            counts[j] += 1.0 if goes else 0.0
            following = here * (means[j] * _RECIPROCALS[step])
            p[j] = following if goes else here
            going += goes
        if going == 0:
            return
        step += 1


@exact
def poisson_large(mean: float, u: float, v: float, pixel: int, seed: int, shot: int) -> float:
    """Return the Poisson deviate of a mean of at least INVERSION_BELOW, whose first uniforms are
    known."""
    if mean >= _LARGEST_MEAN:
        return mean
    return _rejected(mean, u, v, pixel, seed, shot)


class Words(NamedTuple):
    """Room for the words of a run of pixels, [LANES] each."""

    x0: NDArray[np.uint64]
    x1: NDArray[np.uint64]
    x2: NDArray[np.uint64]
    x3: NDArray[np.uint64]


@exact
def room_for_words() -> Words:
    """Make room for :func:`fill_uniforms`, which a loop over pixels does once."""
    return Words(
        np.empty(LANES, np.uint64), np.empty(LANES, np.uint64),
        np.empty(LANES, np.uint64), np.empty(LANES, np.uint64),
    )  # fmt: skip


@exact
def fill_uniforms(
    words: Words, pixel: int, stream: int, seed: int, shot: int, u: Array, v: Array
) -> None:
    """Fill u, v [LANES] with the first uniforms of pixels in a row, by vector instructions."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    x0, x1, x2, x3 = words
    for j in range(LANES):
        number = np.uint64(pixel + j)
        x0[j], x1[j], x2[j], x3[j] = number & low, number >> half, np.uint64(0), np.uint64(stream)
    y0, y1 = np.uint64(seed), np.uint64(shot)
    for _ in range(10):
        for j in range(LANES):
            # Masked, though they are words already: so it is one short multiplication a lane.
            a = np.uint64(0xD2511F53) * (x0[j] & low)
            b = np.uint64(0xCD9E8D57) * (x2[j] & low)
            old = x3[j]
            x0[j], x1[j] = (b >> half) ^ x1[j] ^ y0, b & low
            x2[j], x3[j] = (a >> half) ^ old ^ y1, a & low
        y0, y1 = (y0 + np.uint64(0x9E3779B9)) & low, (y1 + np.uint64(0xBB67AE85)) & low
    for j in range(LANES):
        u[j] = _joined(x0[j], x1[j])
        v[j] = _joined(x2[j], x3[j])
