"""The random deviates of nanoBragg, nonBragg and noisify, to the last bit.

One generator serves a whole program: the shuffle table and the spare of the Gaussian belong to the
program, a seed holds only the state of the Park-Miller sequence.  So every draw depends on all
draws before it, whatever their seed, and an image is drawn in raster order by one thread.  Float32
where the programs have ``float``, float64 where C promotes to ``double``.

Sources: ``ran1``, ``poidev``, ``gasdev``, ``gammln`` of Numerical Recipes in C, as nanoBragg.c has
them (James Holton and Ken Frankel); docs/physics.md, section 6.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import exact_entry, exact_jit

_MULTIPLIER: Final = 16807
_MODULUS: Final = 2**31 - 1
_SHUFFLE: Final = 32
_LAST: Final = _SHUFFLE
_DIVISOR: Final = 1 + (_MODULUS - 1) // _SHUFFLE
_LARGEST: Final = 1.0 - 1.2e-7
_LANCZOS: Final = (
    *(76.18009172947146, -86.50532032941677, 24.01409824083091),
    *(-1.231739572450155, 0.1208650973866179e-2, -0.5395239384953e-5),
)


def _empty_table() -> NDArray[np.int64]:
    return np.zeros(_SHUFFLE + 1, dtype=np.int64)


def _no_spare() -> NDArray[np.float32]:
    return np.full(1, np.nan, dtype=np.float32)


@dataclass
class SerialGenerator:
    """The generator of one run of a program; drawing changes it."""

    table: NDArray[np.int64] = field(default_factory=_empty_table)
    """The shuffle table and, last, the value that chose from it; 0 before the first draw."""
    spare: NDArray[np.float32] = field(default_factory=_no_spare)
    """The second Gaussian of a pair, NaN where there is none."""


def seed_state(seed: int) -> NDArray[np.int64]:
    """Return the state [1] of a seed as the programs hold it: what the command line says, negated.

    A state that is not positive restarts the generator at its first draw.
    """
    return np.array([seed], dtype=np.int64)


@exact_jit
def uniform(
    table: NDArray[np.int64], spare: NDArray[np.float32], seed: NDArray[np.int64]
) -> np.float32:
    """Draw from (0, 1)."""
    state = seed[0]
    if state <= 0 or table[_LAST] == 0:
        state = max(-state, 1)
        for j in range(_SHUFFLE + 7, -1, -1):
            state = state * _MULTIPLIER % _MODULUS
            if j < _SHUFFLE:
                table[j] = state
        table[_LAST] = table[0]
    state = state * _MULTIPLIER % _MODULUS
    j = table[_LAST] // _DIVISOR
    table[_LAST] = table[j]
    table[j] = state
    seed[0] = state
    drawn: np.float32 = np.float32(1.0 / _MODULUS * table[_LAST])
    if np.float64(drawn) > _LARGEST:
        drawn = np.float32(_LARGEST)
    return drawn


@exact_jit
def gaussian(
    table: NDArray[np.int64], spare: NDArray[np.float32], seed: NDArray[np.int64]
) -> np.float32:
    """Draw with mean 0 and standard deviation 1; every second one is the spare of the first."""
    if not np.isnan(spare[0]):
        kept: np.float32 = spare[0]
        spare[0] = np.nan
        return kept
    while True:
        v1 = np.float32(2.0 * uniform(table, spare, seed) - 1.0)
        v2 = np.float32(2.0 * uniform(table, spare, seed) - 1.0)
        square = np.float32(np.float32(v1 * v1) + np.float32(v2 * v2))
        if 0.0 < square < 1.0:
            break
    factor = np.float32(math.sqrt(-2.0 * math.log(np.float64(square)) / np.float64(square)))
    spare[0] = v1 * factor
    return v2 * factor


@exact_jit
def log_gamma(argument: np.float32) -> np.float32:
    """ln Γ by Lanczos' series of six terms."""
    x = np.float64(argument)
    shifted = x + 5.5
    shifted -= (x + 0.5) * math.log(shifted)
    series = 1.000000000190015
    y = x
    for coefficient in _LANCZOS:
        y += 1.0
        series += coefficient / y
    return np.float32(-shifted + math.log(2.5066282746310005 * series / x))


@exact_jit
def poisson(
    mean: np.float32,
    table: NDArray[np.int64],
    spare: NDArray[np.float32],
    seed: NDArray[np.int64],
) -> np.float32:
    """Draw a count; above a million it is the mean plus a Gaussian and no whole number."""
    m = np.float64(mean)
    if m > 1.0e6:
        return np.float32(m + math.sqrt(m) * gaussian(table, spare, seed))
    if m < 12.0:
        least = np.float32(math.exp(-m))
        count = np.float32(-1.0)
        product = np.float32(1.0)
        while True:
            count += np.float32(1.0)
            product = np.float32(product * uniform(table, spare, seed))
            if not product > least:
                return count
    width = np.float32(math.sqrt(2.0 * m))
    log_mean = np.float32(math.log(m))
    g = np.float32(np.float32(mean * log_mean) - log_gamma(np.float32(m + 1.0)))
    while True:
        while True:
            y = np.float32(math.tan(math.pi * uniform(table, spare, seed)))
            drawn = np.float32(np.float32(width * y) + mean)
            if not drawn < 0.0:
                break
        drawn = np.float32(np.floor(drawn))
        exponent = np.float32(
            np.float32(np.float32(drawn * log_mean) - log_gamma(np.float32(drawn + 1.0))) - g
        )
        accepted = np.float32(
            0.9 * (1.0 + np.float64(np.float32(y * y))) * math.exp(np.float64(exponent))
        )
        if not uniform(table, spare, seed) > accepted:
            return drawn


@exact_entry
def poisson_rows(
    means: NDArray[np.float32],
    counts: NDArray[np.float32],
    table: NDArray[np.int64],
    spare: NDArray[np.float32],
    seed: NDArray[np.int64],
) -> None:
    """Draw ``counts`` [rows, cols] of ``means`` in raster order."""
    for row in range(means.shape[0]):
        for col in range(means.shape[1]):
            counts[row, col] = poisson(means[row, col], table, spare, seed)


@exact_jit
def photon_rows(
    photons: NDArray[np.float32],
    flicker: float,
    calibration: float,
    table: NDArray[np.int64],
    spare: NDArray[np.float32],
    seed: NDArray[np.int64],
    calibration_table: NDArray[np.int64],
    calibration_spare: NDArray[np.float32],
    calibration_seed: NDArray[np.int64],
) -> None:
    """Replace expected photons [rows, cols] by counts: flicker, calibration error, Poisson.

    ``flicker`` and ``calibration`` are relative standard deviations; one that is 0 draws nothing.
    The calibration's table and spare are the run's own where the two share a generator.
    """
    for row in range(photons.shape[0]):
        for col in range(photons.shape[1]):
            mean = np.float64(photons[row, col])
            if flicker > 0.0:
                mean *= 1.0 + flicker * gaussian(table, spare, seed)
            if calibration > 0.0:
                mean *= 1.0 + calibration * gaussian(
                    calibration_table, calibration_spare, calibration_seed
                )
            photons[row, col] = poisson(np.float32(mean), table, spare, seed)


@exact_jit
def readout_rows(
    adu: NDArray[np.float64],
    readout: float,
    table: NDArray[np.int64],
    spare: NDArray[np.float32],
    seed: NDArray[np.int64],
) -> None:
    """Add a Gaussian of standard deviation ``readout`` to pixel values [rows, cols]."""
    for row in range(adu.shape[0]):
        for col in range(adu.shape[1]):
            adu[row, col] += readout * gaussian(table, spare, seed)
