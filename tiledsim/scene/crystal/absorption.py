"""What a crystal lets out of the photons that it scatters: a slab across the beam, or a sphere.

The transmission is the mean over the crystal of exp(−μ·path), the way in and the way out together.
It depends on the angle 2θ to the beam alone.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Crystal
from tiledsim.scene.crystal.real_crystal import crystal_sides_um
from tiledsim.units import MM, UM
from tiledsim.vectors import Array

LARGEST_DEPTH: Final = 20.0
"""μ·size above which nothing but a surface would scatter."""
_NODES: Final = 40
_DEGREE: Final = 48


class CrystalAbsorption(NamedTuple):
    """How a crystal absorbs; SI units."""

    shape: str
    """slab or sphere."""
    size: float
    """Thickness, or diameter."""
    attenuation: float
    """μ at ``wavelength``; elsewhere it goes with λ³ (Bragg and Pierce, 1914)."""
    wavelength: float


def crystal_absorption(
    crystal: Crystal, wavelength_m: float, mode: str, *, curved: bool
) -> CrystalAbsorption | None:
    """Return how an experiment's crystal absorbs; None where it does not.

    Raises ExperimentError where its size is not given, and for one that lets nothing out.
    """
    asked = crystal.absorption
    if asked is None:
        return None
    if mode == "c-parity":
        raise ExperimentError("crystal.absorption is not nanoBragg's; use mode 'spec'")
    if curved:
        raise ExperimentError("crystal.absorption needs flat panels; set detector.curved = false")
    sides = crystal_sides_um(crystal)
    size = asked.size_um or (None if sides is None else sides[0])
    if size is None:
        raise ExperimentError("crystal.absorption needs the crystal's size: give its size_um, or "
                              "crystal.size_um")  # fmt: skip
    found = CrystalAbsorption(asked.shape, size / UM, MM / asked.length_mm, wavelength_m)
    depth = found.size * found.attenuation
    if depth > LARGEST_DEPTH:
        raise ExperimentError(
            f"crystal.absorption: {size:g} µm are {depth:.3g} times length_mm = "
            f"{asked.length_mm:g}; more than {LARGEST_DEPTH:g} let nothing out"
        )
    return found


def transmission(absorption: CrystalAbsorption, wavelength_m: float, cos_2theta: Array) -> Array:
    """Return the share of the scattered photons that leave the crystal, of the shape of cos 2θ."""
    depth = absorption.size * absorption.attenuation
    depth *= (wavelength_m / absorption.wavelength) ** 3
    if absorption.shape == "slab":
        return slab(depth, cos_2theta)
    return np.asarray(np.polynomial.chebyshev.chebval(cos_2theta, _sphere_series(depth / 2.0)))


def slab(depth: float, cos_2theta: Array) -> Array:
    """Transmission of a slab across the beam; ``depth`` is μ times its thickness T.

    The mean over x of exp(−μx) and of the way out: (T − x)/cos 2θ forwards, x/|cos 2θ| backwards.
    """
    c = np.where(np.abs(cos_2theta) < 1e-12, 1e-12, cos_2theta)
    more = np.where(c > 0.0, depth * (1.0 - c) / c, depth * (1.0 - 1.0 / c))
    tiny = np.abs(more) < 1e-12
    mean = np.where(tiny, 1.0, -np.expm1(-more) / np.where(tiny, 1.0, more))
    return np.asarray(np.where(c > 0.0, np.exp(-depth), 1.0) * mean)


def sphere(depth: float, cos_2theta: Array) -> Array:
    """Transmission [n] of a sphere; ``depth`` is μ times its radius.

    The integral of International Tables for Crystallography C, section 6.3.3, over the volume: half
    the chord of a ray by Gauss' rule, the place on it, and the turn about the beam.
    """
    x, w = np.polynomial.legendre.leggauss(_NODES)
    half = ((x + 1.0) / 2.0)[:, None, None]
    height = half * x[:, None]
    turn = (np.arange(_NODES) + 0.5) * np.pi / _NODES  # the other half mirrors this one
    side = np.sqrt(1.0 - half**2) * np.cos(turn)
    weights = 1.5 * (w / 2.0)[:, None, None] * half**2 * w[:, None] / len(turn)
    way_in = height + half
    inside = half**2 - height**2
    found = []
    for c in np.atleast_1d(cos_2theta):
        along = height * c + side * np.sqrt(max(0.0, 1.0 - float(c) ** 2))
        way_out = -along + np.sqrt(along**2 + inside)
        found.append(float((weights * np.exp(-depth * (way_in + way_out))).sum()))
    return np.array(found)


@lru_cache(maxsize=64)
def _sphere_series(depth: float) -> Array:
    """Chebyshev coefficients of a sphere's transmission as a function of cos 2θ."""
    nodes = np.polynomial.chebyshev.chebpts1(_DEGREE + 1)
    series = np.polynomial.chebyshev.chebfit(nodes, sphere(depth, nodes), _DEGREE)
    return np.asarray(series, dtype=np.float64)
