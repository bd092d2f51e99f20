"""Squared lattice factors of a block of pixels for one orientation, and where F is in its table.

One function a crystal shape, each a loop without a branch or a call left in it, so that it becomes
vector instructions.  ``qx qy qz`` [LANES] are the components of the scattering vectors and ``abc``
[3, 3] the direct vectors of the orientation.  Written are ``latt`` [LANES], F_latt², and ``at``
[LANES], the flat index of the nearest reflection in the bordered table: a whole number kept as
float64, because that converts in vector code on any machine.

Constants are copied out of their arrays before a loop: as far as the compiler knows, writing
``latt`` could change them.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit, wide_vectors
from tiledsim.kernels.polynomials import (
    COSPI,
    EXP,
    EXP_UNDERFLOW,
    FAINTEST,
    LN2_HIGH,
    LN2_LOW,
    SINC3,
    SINPI,
)

Array = NDArray[np.float64]

LANES = 64
"""Pixels along the fast axis that are computed together."""

S0, S1, S2, S3, S4, S5, S6, S7 = SINPI
C0, C1, C2, C3, C4, C5, C6, C7, C8, C9 = COSPI
E0, E1, E2, E3, E4, E5, E6, E7, E8, E9, E10, E11 = EXP
T0, T1, T2, T3, T4 = SINC3
LOG2_E = 1.44269504088896338700
SPHERE_SQUARED = 0.723601254558268**2


ROUNDER = 1.5 * 2.0**52


@jit
def _whole(x: float) -> float:
    """The nearest whole number for |x| < 2⁵¹; np.rint would be a call, which stops vector code."""
    return (x + ROUNDER) - ROUNDER


@jit
def _sinpi_over_x(x: float) -> float:
    z = x * x
    return ((((((S7 * z + S6) * z + S5) * z + S4) * z + S3) * z + S2) * z + S1) * z + S0


@jit
def _cospi(x: float) -> float:
    z = x * x
    high = ((((C9 * z + C8) * z + C7) * z + C6) * z + C5) * z + C4
    return (((high * z + C3) * z + C2) * z + C1) * z + C0


@jit
def _place(
    h0: float,
    k0: float,
    l0: float,
    low_h: float,
    low_k: float,
    low_l: float,
    size_h: float,
    size_k: float,
    size_l: float,
) -> float:
    """Flat index of a reflection, clamped to the border; ``low`` is the reflection of element 0."""
    i = min(max(h0 - low_h, 0.0), size_h - 1.0)
    j = min(max(k0 - low_k, 0.0), size_k - 1.0)
    k = min(max(l0 - low_l, 0.0), size_l - 1.0)
    return (i * size_k + j) * size_l + k


@jit
def square(
    qx: Array,
    qy: Array,
    qz: Array,
    abc: Array,
    N: Array,
    low: Array,
    size: Array,
    latt: Array,
    at: Array,
) -> None:
    """Π (sin πNh/sin πh)²."""
    wide_vectors()
    na, nb, nc = N[0], N[1], N[2]
    ax, ay, az = abc[0, 0], abc[0, 1], abc[0, 2]
    bx, by, bz = abc[1, 0], abc[1, 1], abc[1, 2]
    cx, cy, cz = abc[2, 0], abc[2, 1], abc[2, 2]
    low_h, low_k, low_l = low[0], low[1], low[2]
    size_h, size_k, size_l = size[0], size[1], size[2]
    for j in range(LANES):
        h = ax * qx[j] + ay * qy[j] + az * qz[j]
        k = bx * qx[j] + by * qy[j] + bz * qz[j]
        l = cx * qx[j] + cy * qy[j] + cz * qz[j]
        h0, k0, l0 = np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(l - 0.5)
        dh, dk, dl = h - h0, k - k0, l - l0
        # sin πNh and sin πNδ differ by a sign only; so do those of Nδ and of its fraction.
        uh, uk, ul = na * dh, nb * dk, nc * dl
        uh, uk, ul = uh - _whole(uh), uk - _whole(uk), ul - _whole(ul)
        # On a reflection itself the ratio is N: both polynomials are π there.
        vh, vk, vl = (na if dh == 0.0 else uh), (nb if dk == 0.0 else uk), (nc if dl == 0.0 else ul)
        wh, wk, wl = (
            (1.0 if dh == 0.0 else dh),
            (1.0 if dk == 0.0 else dk),
            (1.0 if dl == 0.0 else dl),
        )
        top = vh * _sinpi_over_x(uh) * (vk * _sinpi_over_x(uk)) * (vl * _sinpi_over_x(ul))
        bottom = wh * _sinpi_over_x(dh) * (wk * _sinpi_over_x(dk)) * (wl * _sinpi_over_x(dl))
        ratio = top / bottom
        latt[j] = ratio * ratio
        at[j] = _place(h0, k0, l0, low_h, low_k, low_l, size_h, size_k, size_l)


@jit
def round_(
    qx: Array,
    qy: Array,
    qz: Array,
    abc: Array,
    N: Array,
    low: Array,
    size: Array,
    latt: Array,
    at: Array,
    fudge: float,
    vanishes_below: float,
) -> None:
    """(N·0.7236·sinc3(π·sqrt(fudge·Σ(Nδ)²)))², with the sign of the argument's turns left out."""
    wide_vectors()
    na, nb, nc = N[0], N[1], N[2]
    peak = (na * nb * nc) ** 2 * SPHERE_SQUARED
    ax, ay, az = abc[0, 0], abc[0, 1], abc[0, 2]
    bx, by, bz = abc[1, 0], abc[1, 1], abc[1, 2]
    cx, cy, cz = abc[2, 0], abc[2, 1], abc[2, 2]
    low_h, low_k, low_l = low[0], low[1], low[2]
    size_h, size_k, size_l = size[0], size[1], size[2]
    for j in range(LANES):
        h = ax * qx[j] + ay * qy[j] + az * qz[j]
        k = bx * qx[j] + by * qy[j] + bz * qz[j]
        l = cx * qx[j] + cy * qy[j] + cz * qz[j]
        h0, k0, l0 = np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(l - 0.5)
        uh, uk, ul = na * (h - h0), nb * (k - k0), nc * (l - l0)
        turns = math.sqrt(fudge * (uh * uh + uk * uk + ul * ul))
        f = turns - _whole(turns)
        x = math.pi * turns
        z = x * x
        small = x < 0.3
        series = (((T4 * z + T3) * z + T2) * z + T1) * z + T0
        y = 1.0 if small else x
        full = 3.0 * (f * _sinpi_over_x(f) / y - _cospi(f)) / (y * y)
        value = series if small else full
        value = 0.0 if 0.0 < z < vanishes_below else value
        latt[j] = peak * (value * value)
        at[j] = _place(h0, k0, l0, low_h, low_k, low_l, size_h, size_k, size_l)


@jit
def _offset_squared(
    qx: Array,
    qy: Array,
    qz: Array,
    abc: Array,
    metric: Array,
    low: Array,
    size: Array,
    latt: Array,
    at: Array,
) -> None:
    """|δ·G|², G the ``metric`` [3, 3], into ``latt``."""
    wide_vectors()
    s00, s01, s02 = metric[0, 0], metric[0, 1], metric[0, 2]
    s10, s11, s12 = metric[1, 0], metric[1, 1], metric[1, 2]
    s20, s21, s22 = metric[2, 0], metric[2, 1], metric[2, 2]
    ax, ay, az = abc[0, 0], abc[0, 1], abc[0, 2]
    bx, by, bz = abc[1, 0], abc[1, 1], abc[1, 2]
    cx, cy, cz = abc[2, 0], abc[2, 1], abc[2, 2]
    low_h, low_k, low_l = low[0], low[1], low[2]
    size_h, size_k, size_l = size[0], size[1], size[2]
    for j in range(LANES):
        h = ax * qx[j] + ay * qy[j] + az * qz[j]
        k = bx * qx[j] + by * qy[j] + bz * qz[j]
        l = cx * qx[j] + cy * qy[j] + cz * qz[j]
        h0, k0, l0 = np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(l - 0.5)
        dh, dk, dl = h - h0, k - k0, l - l0
        x = dh * s00 + dk * s10 + dl * s20
        y = dh * s01 + dk * s11 + dl * s21
        z = dh * s02 + dk * s12 + dl * s22
        latt[j] = x * x + y * y + z * z
        at[j] = _place(h0, k0, l0, low_h, low_k, low_l, size_h, size_k, size_l)


@jit
def gauss(
    qx: Array,
    qy: Array,
    qz: Array,
    abc: Array,
    N: Array,
    low: Array,
    size: Array,
    latt: Array,
    at: Array,
    metric: Array,
    fudge: float,
    bits: NDArray[np.int64],
    power: Array,
) -> None:
    """(N·exp(−fudge·w/0.63))².  ``bits`` and ``power`` [LANES] are one memory, as both types."""
    wide_vectors()
    _offset_squared(qx, qy, qz, abc, metric, low, size, latt, at)
    total = N[0] * N[1] * N[2]
    peak = total * total
    steepness = 2.0 * fudge / 0.63
    for j in range(LANES):
        exponent = steepness * latt[j]
        y = min(exponent, FAINTEST)
        turns = _whole(-y * LOG2_E)
        r = -y - turns * LN2_HIGH - turns * LN2_LOW
        p = ((((((E11 * r + E10) * r + E9) * r + E8) * r + E7) * r + E6) * r + E5) * r + E4
        p = (((p * r + E3) * r + E2) * r + E1) * r + E0
        latt[j] = 0.0 if exponent > 2.0 * EXP_UNDERFLOW else p * peak
        bits[j] = (np.int64(turns) + 1023) << 52
    for j in range(LANES):
        latt[j] *= power[j]


@jit
def tophat(
    qx: Array,
    qy: Array,
    qz: Array,
    abc: Array,
    N: Array,
    low: Array,
    size: Array,
    latt: Array,
    at: Array,
    metric: Array,
    fudge: float,
) -> None:
    """N² where fudge·w < 0.3969, else 0."""
    wide_vectors()
    _offset_squared(qx, qy, qz, abc, metric, low, size, latt, at)
    total = N[0] * N[1] * N[2]
    peak = total * total
    for j in range(LANES):
        latt[j] = peak if latt[j] * fudge < 0.3969 else 0.0
