"""Rows of photons to rows of counts, compiled for the CPU: detected, read out."""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.deviates import (
    CALIBRATION,
    LANES,
    POISSON,
    READOUT,
    fill_uniforms,
    inverted_lanes,
    poisson_large,
    quantile,
    room_for_words,
)
from tiledsim.detector_model.model import DEAD, GAP, GOOD, HOT
from tiledsim.detector_model.numbers import INVERSION_BELOW
from tiledsim.jit import exact_jit

Array = NDArray[np.float64]


@exact_jit
def detect_rows(
    photons: NDArray[np.float32], first: int, stride: int, seed: int, shot: int, poisson: bool,
    flicker: float, calibration: float, calibration_seed: int, detected: Array,
) -> None:  # fmt: skip
    """Draw what is detected [rows, cols] of the photons expected [rows, cols].

    Parameters
    ----------
    photons
        Expected values; those that are not numbers are taken as 0.
    first, stride
        Number of the first pixel in the whole detector, and from one row to the next.
    flicker
        Factor of the whole shot.
    calibration
        Standard deviation of the pixels' own factors, keyed by ``calibration_seed`` alone.
    """
    rows, cols = photons.shape
    u, v, words = np.empty(LANES), np.empty(LANES), room_for_words()
    means, p, counts = np.zeros(LANES), np.empty(LANES), np.empty(LANES)
    left = np.empty(LANES)
    for row in range(rows):
        for col in range(0, cols, LANES):
            pixel = first + row * stride + col
            width = min(LANES, cols - col)
            for j in range(width):
                means[j] = np.float64(photons[row, col + j]) * flicker
            if calibration > 0.0:
                fill_uniforms(words, pixel, CALIBRATION, calibration_seed, 0, u, v)
                for j in range(width):
                    means[j] *= max(1.0 + calibration * quantile(u[j]), 0.0)
            if poisson:
                fill_uniforms(words, pixel, POISSON, seed, shot, u, v)
                left[:] = u
                inverted_lanes(means, left, p, counts)
                for j in range(width):
                    if means[j] >= INVERSION_BELOW:
                        counts[j] = poisson_large(means[j], u[j], v[j], pixel + j, seed, shot)
                    detected[row, col + j] = counts[j]
            else:
                for j in range(width):
                    detected[row, col + j] = means[j] if means[j] > 0.0 else 0.0


@exact_jit
def digitise_rows(
    detected: Array, state: NDArray[np.uint8], first: int, stride: int, seed: int, shot: int,
    gain: float, adc: float, readout: float, top: float, gap: float, dead: float,
) -> int:  # fmt: skip
    """Replace what was detected [rows, cols] by what is read out, whole numbers of ADU.

    Returns the number of overloads: pixels above ``top``, which they are cut to.
    """
    rows, cols = detected.shape
    u, v, words = np.empty(LANES), np.empty(LANES), room_for_words()
    overloads = 0
    for row in range(rows):
        for col in range(0, cols, LANES):
            width = min(LANES, cols - col)
            if readout > 0.0:
                fill_uniforms(words, first + row * stride + col, READOUT, seed, shot, u, v)
            for j in range(width):
                x = detected[row, col + j] * gain + adc
                if readout > 0.0:
                    x += readout * quantile(u[j])
                x = math.floor(min(max(x, 0.0), top + 1.0) + 0.5)
                kind = state[row, col + j]
                if kind == GOOD and x > top:
                    overloads += 1
                x = min(x, top)
                if kind == GAP:
                    x = gap
                elif kind == DEAD:
                    x = dead
                elif kind == HOT:
                    x = top
                detected[row, col + j] = x
    return overloads
