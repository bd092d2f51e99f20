"""Amplitudes from intensities, negative ones too, after French and Wilson.

S. French and K. Wilson, Acta Cryst. A34, 517 (1978): a measured intensity I ± σ and the Wilson
distribution of true intensities J ≥ 0 of mean Σ give the posterior mean of F = √J.  Their tables
are replaced by the integrals themselves, in x = √J, where the integrand is smooth.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from tiledsim.structure_factors.table import Bool, Int
from tiledsim.vectors import Array

if TYPE_CHECKING:
    import gemmi

PER_SHELL: Final = 60
"""Reflections in a resolution shell, at least."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


def french_wilson(
    intensity: Array, sigma: Array, centric: Bool, epsilon: Array, inverse_d_squared: Array
) -> Array:
    """Return posterior mean amplitudes [n]; NaN where an intensity is.

    Parameters
    ----------
    intensity, sigma
        I and σ(I) [n], on any scale.  Where σ is missing or not above 0, F = √max(I, 0).
    centric
        Whether each reflection is centric.
    epsilon
        Multiplicity of each reflection's mean intensity by symmetry, centring left out.
    inverse_d_squared
        1/d² [n] in Å⁻², for the shells in which the mean intensity is taken.
    """
    F = np.sqrt(np.clip(intensity, 0.0, None))
    measured = np.isfinite(intensity) & np.isfinite(sigma) & (sigma > 0.0)
    if not measured.any():
        return np.asarray(F)
    I, s = intensity[measured], sigma[measured]
    mean = _shell_means(I / epsilon[measured], inverse_d_squared[measured]) * epsilon[measured]
    acentric = ~centric[measured]
    # Both posteriors are normal in J, cut at 0; the centric prior adds a factor J^(−½).
    shift = np.where(acentric, s / mean, s / (2.0 * mean))
    F[measured] = np.sqrt(s) * _mean_root(I / s - shift, acentric)
    return np.asarray(F)


def _shell_means(intensity: Array, inverse_d_squared: Array) -> Array:
    """Mean intensity at each reflection, linear in 1/d² between shells."""
    order = np.argsort(inverse_d_squared, kind="stable")
    shells = np.array_split(order, max(1, len(order) // PER_SHELL))
    where = np.array([inverse_d_squared[shell].mean() for shell in shells])
    means = np.array([intensity[shell].mean() for shell in shells])
    positive = means > 0.0
    if not positive.any():  # nothing but noise: a prior of its own size
        return np.full(len(intensity), float(np.abs(intensity).mean()) or 1.0)
    return np.asarray(np.interp(inverse_d_squared, where[positive], means[positive]))


def _mean_root(h: Array, acentric: Bool) -> Array:
    """Mean of √J for the density exp(−(J − h)²/2) on J ≥ 0, times J^(−½) where centric."""
    result = np.empty(len(h))
    for start in range(0, len(h), 20_000):
        part = slice(start, start + 20_000)
        top = h[part, None]
        # Beyond these limits the density is below 1e-17 of its peak.
        low = np.clip(top - 9.0, 0.0, None)
        high = np.where(top > 0.0, top + 9.0, np.minimum(9.0, 40.0 / np.maximum(-top, 1e-9)))
        a, b = np.sqrt(low), np.sqrt(high)
        x = a + (b - a) * (_NODES + 1.0) / 2.0
        peak = np.clip(top, 0.0, None)
        density = _WEIGHTS * np.exp(((peak - top) ** 2 - (x**2 - top) ** 2) / 2.0)
        density = np.where(acentric[part, None], density * x, density)
        result[part] = (density * x).sum(axis=1) / density.sum(axis=1)
    return result


def symmetry_of(ops: "gemmi.GroupOps", hkl: Int) -> tuple[Bool, Array]:
    """Return whether reflections [n, 3] are centric, and their ε."""
    indices = hkl.astype(np.int32)
    centric = np.asarray(ops.centric_flag_array(indices), dtype=np.bool_)
    epsilon = np.asarray(ops.epsilon_factor_without_centering_array(indices), dtype=np.float64)
    return centric, epsilon
