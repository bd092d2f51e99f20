"""F_latt² as a function of the distance from a reflection: its reach, its value, its sum."""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit
from tiledsim.kernels.cpu.parameters import GAUSS, ROUND, TOPHAT
from tiledsim.kernels.polynomials import EXP, LN2_HIGH, LN2_LOW

Array = NDArray[np.float64]
Bits = NDArray[np.int64]

TOPHAT_EDGE = 0.3969
GAUSS_WIDTH = 0.63
SHAPES = {"gauss": GAUSS, "round": ROUND, "tophat": TOPHAT}
"""Shapes that depend on the distance from a reflection alone, by their names."""
STRETCH = 8
"""Wavelengths that are computed together.  Tables of them end in as many of weight 0."""

E0, E1, E2, E3, E4, E5, E6, E7, E8, E9, E10, E11 = EXP
LOG2_E = 1.44269504088896338700
ROUNDER = 1.5 * 2.0**52


@jit
def lattice_squared(shape: int, fudge: float, w: float) -> float:
    """F_latt² at a distance w = |u|², over its value on the reflection."""
    if shape == GAUSS:
        return math.exp(-2.0 * fudge / GAUSS_WIDTH * w)
    if shape == ROUND:
        x = math.pi * math.sqrt(fudge * w)
        z = x * x
        if x < 0.3:
            y = 1.0 - z * (0.1 - z * (1.0 / 280.0 - z * (1.0 / 15120.0 - z / 1330560.0)))
        else:
            y = 3.0 * (math.sin(x) / x - math.cos(x)) / z
        return y * y
    return 1.0 if w * fudge < TOPHAT_EDGE else 0.0


def reach_squared(shape: int, fudge: float, strength: float, tau: float) -> float:
    """Largest w at which a reflection of F²·F_latt² = ``strength`` can exceed τ; −1 for none.

    A top hat ends by itself: nothing of it is left out, whatever τ is.
    """
    if shape == TOPHAT:
        return TOPHAT_EDGE / fudge if strength > 0.0 else -1.0
    if strength <= tau:
        return -1.0
    if shape == GAUSS:
        return 0.5 * GAUSS_WIDTH / fudge * math.log(strength / tau)
    # |sinc3(x)| ≤ 3·sqrt(1 + 1/x²)/x², which falls with x: from below the root to above it.
    x = math.sqrt(3.0 * math.sqrt(strength / tau))
    x = math.sqrt(3.0 * math.sqrt((1.0 + 1.0 / (x * x)) * strength / tau))
    return x * x / (math.pi * math.pi * fudge)


compiled_reach_squared = jit(reach_squared)
"""The same for compiled functions; for few calls by Python to compile it would take longer."""


@jit
def gauss_sum(
    wave_number: Array, weight: Array, begin: int, end: int, at: float, square: float,
    steepness: float, terms: Array, bits: Bits, power: Array,
) -> float:  # fmt: skip
    """Σ weight·exp(−steepness·square·(k − at)²) over wavelengths ``begin`` to ``end``.

    ``terms``, ``bits`` and ``power`` [STRETCH] are workspace; the last two are one memory.
    """
    total = 0.0
    factor = steepness * square
    for start in range(begin, end, STRETCH):
        for i in range(STRETCH):
            away = wave_number[start + i] - at
            y = min(factor * away * away, 700.0)
            turns = (-y * LOG2_E + ROUNDER) - ROUNDER
            r = -y - turns * LN2_HIGH - turns * LN2_LOW
            p = ((((((E11 * r + E10) * r + E9) * r + E8) * r + E7) * r + E6) * r + E5) * r + E4
            p = (((p * r + E3) * r + E2) * r + E1) * r + E0
            terms[i] = p * weight[start + i] if start + i < end else 0.0
            bits[i] = (np.int64(turns) + 1023) << 52
        for i in range(STRETCH):
            terms[i] *= power[i]
        low = (terms[0] + terms[1]) + (terms[2] + terms[3])
        total += low + ((terms[4] + terms[5]) + (terms[6] + terms[7]))
    return total
