"""Rows of photons to rows of counts, compiled for the CPU: detected, spread, read out."""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.deviates import (
    CALIBRATION,
    LANES,
    POISSON,
    READOUT,
    fill_uniforms,
    poisson_from,
    quantile,
    room_for_words,
)
from tiledsim.detector_model.model import DEAD, GAP, GOOD, HOT
from tiledsim.jit import exact_jit, wide_vectors

Array = NDArray[np.float64]

_BLOCK = 256
"""Columns that are spread together, so that they stay in the processor's caches."""


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
    means = np.empty(LANES)
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
                for j in range(width):
                    detected[row, col + j] = poisson_from(
                        means[j], u[j], v[j], pixel + j, seed, shot
                    )
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


@exact_jit
def spread_rows(light: Array, products: Array, out: Array) -> None:
    """Gather the light of the neighbours: out [rows, cols] of light [rows + 2r, cols + 2r]."""
    wide_vectors()
    rows, cols = out.shape
    taps = products.shape[2]
    whole = taps - taps % 4
    part, line = np.empty(_BLOCK + taps - 1), np.empty(_BLOCK)
    for col in range(0, cols, _BLOCK):
        width = min(_BLOCK, cols - col)
        for row in range(rows):
            line[:] = 0.0
            for term in range(products.shape[0]):
                part[:] = 0.0
                for i in range(0, whole, 4):  # four at once: the sum stays in registers
                    w0, w1 = products[term, 0, i], products[term, 0, i + 1]
                    w2, w3 = products[term, 0, i + 2], products[term, 0, i + 3]
                    for j in range(width + taps - 1):
                        x = part[j] + w0 * light[row + i, col + j]
                        x += w1 * light[row + i + 1, col + j]
                        x += w2 * light[row + i + 2, col + j]
                        part[j] = x + w3 * light[row + i + 3, col + j]
                for i in range(whole, taps):
                    w0 = products[term, 0, i]
                    for j in range(width + taps - 1):
                        part[j] += w0 * light[row + i, col + j]
                for i in range(0, whole, 4):
                    w0, w1 = products[term, 1, i], products[term, 1, i + 1]
                    w2, w3 = products[term, 1, i + 2], products[term, 1, i + 3]
                    for j in range(width):
                        x = line[j] + w0 * part[i + j] + w1 * part[i + j + 1]
                        line[j] = x + w2 * part[i + j + 2] + w3 * part[i + j + 3]
                for i in range(whole, taps):
                    w0 = products[term, 1, i]
                    for j in range(width):
                        line[j] += w0 * part[i + j]
            out[row, col : col + width] = line[:width]
