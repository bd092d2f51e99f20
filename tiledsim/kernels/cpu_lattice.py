"""Squared lattice factors of a block of pixels for one orientation, and where F is in its table.

One function a crystal shape, each a loop without a branch or a call left in it, so that it becomes
vector instructions.  ``qx qy qz`` [LANES] are the components of the scattering vectors and ``abc``
[3, 3] the direct vectors of the orientation.  Written are ``latt`` [LANES], F_latt², and ``at``
[LANES], the flat index of the nearest reflection in the bordered table: a whole number kept as
float64, because that converts in vector code on any machine.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels.jit import jit
from tiledsim.kernels.polynomials import COSPI, EXP, SINC3, SINPI

Array = NDArray[np.float64]

LANES = 64
"""Pixels along the fast axis that are computed together."""

S0, S1, S2, S3, S4, S5, S6, S7 = SINPI
C0, C1, C2, C3, C4, C5, C6, C7, C8, C9 = COSPI
E0, E1, E2, E3, E4, E5, E6, E7, E8, E9, E10, E11 = EXP
T0, T1, T2, T3, T4 = SINC3
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
LOG2_E = 1.44269504088896338700
SPHERE_SQUARED = 0.723601254558268**2


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
def _dot(x: float, y: float, z: float, abc: Array, v: int) -> float:
    return abc[v, 0] * x + abc[v, 1] * y + abc[v, 2] * z


@jit
def _place(h0: float, k0: float, l0: float, low: Array, size: Array) -> float:
    """Flat index of a reflection, clamped to the border; ``low`` is the reflection of element 0."""
    i = min(max(h0 - low[0], 0.0), size[0] - 1.0)
    j = min(max(k0 - low[1], 0.0), size[1] - 1.0)
    k = min(max(l0 - low[2], 0.0), size[2] - 1.0)
    return (i * size[1] + j) * size[2] + k


@jit
def square(
    qx: Array, qy: Array, qz: Array, abc: Array, N: Array, low: Array, size: Array,
    latt: Array, at: Array,
) -> None:
    """Π (sin πNh/sin πh)²."""
    na, nb, nc = N[0], N[1], N[2]
    for j in range(LANES):
        h = _dot(qx[j], qy[j], qz[j], abc, 0)
        k = _dot(qx[j], qy[j], qz[j], abc, 1)
        l = _dot(qx[j], qy[j], qz[j], abc, 2)
        h0, k0, l0 = math.ceil(h - 0.5), math.ceil(k - 0.5), math.ceil(l - 0.5)
        dh, dk, dl = h - h0, k - k0, l - l0
        # sin πNh and sin πNδ differ by a sign only, and so do Nδ and its distance to a whole number.
        uh, uk, ul = na * dh, nb * dk, nc * dl
        uh, uk, ul = uh - np.rint(uh), uk - np.rint(uk), ul - np.rint(ul)
        # On a reflection itself the ratio is N: both polynomials are π there.
        vh, vk, vl = (na if dh == 0.0 else uh), (nb if dk == 0.0 else uk), (nc if dl == 0.0 else ul)
        wh, wk, wl = (1.0 if dh == 0.0 else dh), (1.0 if dk == 0.0 else dk), (1.0 if dl == 0.0 else dl)
        top = vh * _sinpi_over_x(uh) * (vk * _sinpi_over_x(uk)) * (vl * _sinpi_over_x(ul))
        bottom = wh * _sinpi_over_x(dh) * (wk * _sinpi_over_x(dk)) * (wl * _sinpi_over_x(dl))
        ratio = top / bottom
        latt[j] = ratio * ratio
        at[j] = _place(h0, k0, l0, low, size)


@jit
def round_(
    qx: Array, qy: Array, qz: Array, abc: Array, N: Array, low: Array, size: Array,
    latt: Array, at: Array, fudge: float,
) -> None:
    """(N·0.7236·sinc3(π·sqrt(fudge·Σ(Nδ)²)))², with the sign of the argument's turns left out."""
    peak = (N[0] * N[1] * N[2]) ** 2 * SPHERE_SQUARED
    for j in range(LANES):
        h = _dot(qx[j], qy[j], qz[j], abc, 0)
        k = _dot(qx[j], qy[j], qz[j], abc, 1)
        l = _dot(qx[j], qy[j], qz[j], abc, 2)
        h0, k0, l0 = math.ceil(h - 0.5), math.ceil(k - 0.5), math.ceil(l - 0.5)
        uh, uk, ul = N[0] * (h - h0), N[1] * (k - k0), N[2] * (l - l0)
        turns = math.sqrt(fudge * (uh * uh + uk * uk + ul * ul))
        f = turns - np.rint(turns)
        x = math.pi * turns
        z = x * x
        small = x < 0.3
        series = (((T4 * z + T3) * z + T2) * z + T1) * z + T0
        y = 1.0 if small else x
        full = 3.0 * (f * _sinpi_over_x(f) / y - _cospi(f)) / (y * y)
        value = series if small else full
        latt[j] = peak * (value * value)
        at[j] = _place(h0, k0, l0, low, size)


@jit
def _offset_squared(
    qx: Array, qy: Array, qz: Array, abc: Array, star: Array, low: Array, size: Array,
    latt: Array, at: Array,
) -> None:
    """|δ_h a* + δ_k b* + δ_l c*|² in Å⁻², into ``latt``."""
    for j in range(LANES):
        h = _dot(qx[j], qy[j], qz[j], abc, 0)
        k = _dot(qx[j], qy[j], qz[j], abc, 1)
        l = _dot(qx[j], qy[j], qz[j], abc, 2)
        h0, k0, l0 = math.ceil(h - 0.5), math.ceil(k - 0.5), math.ceil(l - 0.5)
        dh, dk, dl = h - h0, k - k0, l - l0
        x = dh * star[0, 0] + dk * star[1, 0] + dl * star[2, 0]
        y = dh * star[0, 1] + dk * star[1, 1] + dl * star[2, 1]
        z = dh * star[0, 2] + dk * star[1, 2] + dl * star[2, 2]
        latt[j] = x * x + y * y + z * z
        at[j] = _place(h0, k0, l0, low, size)


@jit
def gauss(
    qx: Array, qy: Array, qz: Array, abc: Array, N: Array, low: Array, size: Array,
    latt: Array, at: Array, star: Array, fudge: float, bits: NDArray[np.int64], power: Array,
) -> None:
    """(N·exp(−fudge·w/0.63))².  ``bits`` and ``power`` [LANES] are one memory, seen as both types."""
    _offset_squared(qx, qy, qz, abc, star, low, size, latt, at)
    total = N[0] * N[1] * N[2]
    peak = total * total
    steepness = 2.0 * fudge * total * total / 0.63
    for j in range(LANES):
        y = min(steepness * latt[j], 800.0)
        turns = np.rint(-y * LOG2_E)
        r = -y - turns * LN2_HIGH - turns * LN2_LOW
        p = ((((((E11 * r + E10) * r + E9) * r + E8) * r + E7) * r + E6) * r + E5) * r + E4
        p = (((p * r + E3) * r + E2) * r + E1) * r + E0
        latt[j] = 0.0 if y > 700.0 else p * peak
        bits[j] = (np.int64(max(turns, -1020.0)) + 1023) << 52
    for j in range(LANES):
        latt[j] *= power[j]


@jit
def tophat(
    qx: Array, qy: Array, qz: Array, abc: Array, N: Array, low: Array, size: Array,
    latt: Array, at: Array, star: Array, fudge: float,
) -> None:
    """N² where fudge·w < 0.3969, else 0."""
    _offset_squared(qx, qy, qz, abc, star, low, size, latt, at)
    total = N[0] * N[1] * N[2]
    peak = total * total
    for j in range(LANES):
        latt[j] = peak if latt[j] * total * total * fudge < 0.3969 else 0.0
