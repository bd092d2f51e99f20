"""Squared lattice factors of a block of pixels for one orientation, and where F is in its table.

One function a crystal shape, each a loop without a branch or a call left in it, so that it becomes
vector instructions.  ``w`` is what is known of the block,
:data:`~tiledsim.kernels.cpu.parameters.BLOCK`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit, piece
from tiledsim.kernels.cpu.parameters import (
    AT,
    DELTA_H,
    DELTA_K,
    DELTA_L,
    GAUSS,
    LANES,
    LATT,
    POWER,
    QX,
    QY,
    QZ,
    ROUND,
    SQUARE,
    Array,
    H,
    K,
    L,
    Parameters,
)
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


@piece
def project(abc: Array, w: Array) -> None:
    """Components of what :func:`~tiledsim.kernels.cpu.rays.aim` gave along the cell's edges."""
    ax, ay, az = abc[0, 0], abc[0, 1], abc[0, 2]
    bx, by, bz = abc[1, 0], abc[1, 1], abc[1, 2]
    cx, cy, cz = abc[2, 0], abc[2, 1], abc[2, 2]
    for j in range(LANES):
        qx, qy, qz = w[QX + j], w[QY + j], w[QZ + j]
        w[H + j] = ax * qx + ay * qy + az * qz
        w[K + j] = bx * qx + by * qy + bz * qz
        w[L + j] = cx * qx + cy * qy + cz * qz


@piece
def nearest(low: Array, size: Array, per_wavelength: float, w: Array) -> None:
    """Distances from the nearest reflections, and where those are, clamped to the table's border.

    ``low`` is the reflection of the table's element 0.
    """
    low_h, low_k, low_l = low[0], low[1], low[2]
    size_h, size_k, size_l = size[0], size[1], size[2]
    for j in range(LANES):
        h, k, l = w[H + j] * per_wavelength, w[K + j] * per_wavelength, w[L + j] * per_wavelength
        h0, k0, l0 = np.ceil(h - 0.5), np.ceil(k - 0.5), np.ceil(l - 0.5)
        w[DELTA_H + j] = h - h0
        w[DELTA_K + j] = k - k0
        w[DELTA_L + j] = l - l0
        u = min(max(h0 - low_h, 0.0), size_h - 1.0)
        v = min(max(k0 - low_k, 0.0), size_k - 1.0)
        w[AT + j] = (u * size_k + v) * size_l + min(max(l0 - low_l, 0.0), size_l - 1.0)


@piece
def square(N: Array, w: Array) -> None:
    """Π (sin πNh/sin πh)²."""
    na, nb, nc = N[0], N[1], N[2]
    for j in range(LANES):
        dh, dk, dl = w[DELTA_H + j], w[DELTA_K + j], w[DELTA_L + j]
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
        w[LATT + j] = ratio * ratio


@piece
def round_(N: Array, fudge: float, vanishes_below: float, w: Array) -> None:
    """(N·0.7236·sinc3(π·sqrt(fudge·Σ(Nδ)²)))², with the sign of the argument's turns left out."""
    na, nb, nc = N[0], N[1], N[2]
    peak = (na * nb * nc) ** 2 * SPHERE_SQUARED
    for j in range(LANES):
        uh, uk, ul = na * w[DELTA_H + j], nb * w[DELTA_K + j], nc * w[DELTA_L + j]
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
        w[LATT + j] = peak * (value * value)


@piece
def _offset_squared(metric: Array, w: Array) -> None:
    """|δ·G|², G the ``metric`` [3, 3], in the place of F_latt²."""
    s00, s01, s02 = metric[0, 0], metric[0, 1], metric[0, 2]
    s10, s11, s12 = metric[1, 0], metric[1, 1], metric[1, 2]
    s20, s21, s22 = metric[2, 0], metric[2, 1], metric[2, 2]
    for j in range(LANES):
        dh, dk, dl = w[DELTA_H + j], w[DELTA_K + j], w[DELTA_L + j]
        x = dh * s00 + dk * s10 + dl * s20
        y = dh * s01 + dk * s11 + dl * s21
        z = dh * s02 + dk * s12 + dl * s22
        w[LATT + j] = x * x + y * y + z * z


@piece
def gauss(N: Array, metric: Array, fudge: float, w: Array, bits: NDArray[np.int64]) -> None:
    """(N·exp(−fudge·w/0.63))².  ``bits`` is all of ``w``, as whole numbers."""
    _offset_squared(metric, w)
    total = N[0] * N[1] * N[2]
    peak = total * total
    steepness = 2.0 * fudge / 0.63
    for j in range(LANES):
        exponent = steepness * w[LATT + j]
        y = min(exponent, FAINTEST)
        turns = _whole(-y * LOG2_E)
        r = -y - turns * LN2_HIGH - turns * LN2_LOW
        p = ((((((E11 * r + E10) * r + E9) * r + E8) * r + E7) * r + E6) * r + E5) * r + E4
        p = (((p * r + E3) * r + E2) * r + E1) * r + E0
        w[LATT + j] = 0.0 if exponent > 2.0 * EXP_UNDERFLOW else p * peak
        # Whole in the last bits of the fraction, from where it is moved to the exponent.
        w[POWER + j] = turns + (ROUNDER + 1023.0)
    for j in range(LANES):
        bits[POWER + j] <<= 52
    for j in range(LANES):
        w[LATT + j] *= w[POWER + j]


@piece
def tophat(N: Array, metric: Array, fudge: float, w: Array) -> None:
    """N² where fudge·w < 0.3969, else 0."""
    _offset_squared(metric, w)
    total = N[0] * N[1] * N[2]
    peak = total * total
    for j in range(LANES):
        w[LATT + j] = peak if w[LATT + j] * fudge < 0.3969 else 0.0


@piece
def lattice_squared(
    p: Parameters, per_wavelength: float, w: Array, bits: NDArray[np.int64]
) -> None:
    """F_latt² for the projected scattering vectors times ``per_wavelength``."""
    nearest(p.low, p.size, per_wavelength, w)
    if p.shape == SQUARE:
        square(p.cell_counts, w)
    elif p.shape == ROUND:
        round_(p.cell_counts, p.fudge, p.vanishes_below, w)
    elif p.shape == GAUSS:
        gauss(p.cell_counts, p.metric, p.fudge, w, bits)
    else:
        tophat(p.cell_counts, p.metric, p.fudge, w)
