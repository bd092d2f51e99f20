"""Which reflections diffract in an image, and what the strongest comes to, without rendering it.

A reflection whose point lies ζ [1/m] from the Ewald sphere receives, integrated over its spot,
r_e²·Φ·P·F²·λ²·N·V*·g(ζ) photons, since ∫F_latt² d³q = N·V* for N cells; V* = 1/V.  Here g is a
Gaussian of area 1 with the height of a block's own profile at ζ = 0, which is its thickness.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.reach.panels import meet_panels
from tiledsim.scene import Scene
from tiledsim.scene.transmission import let_out
from tiledsim.units import ANGSTROM, THOMSON_RADIUS_SQUARED_M2
from tiledsim.vectors import Array

MOST_EVALUATIONS: Final = 20_000_000
"""Reflections × sources × orientations that are looked at; above, an even selection of the last."""
_AT_ONCE: Final = 1_000_000


@dataclass(frozen=True)
class Excited:
    """Reflections in diffracting position in the first image."""

    count: int
    """Those within half a spot's width of the Ewald sphere for some source and orientation."""
    on_detector: int
    """Those of them whose ray meets a panel."""
    strongest_hkl: tuple[int, int, int] | None
    strongest_photons: float
    """Expected in the whole spot; mosaic domains and wavelengths included."""
    sampled: bool
    """Whether only a selection of sources and orientations was looked at."""


def find_excited(scene: Scene, hkl: NDArray[np.int64], F: Array, dmin_A: float) -> Excited:
    """Look for reflections [n, 3] with amplitudes F [n] in the first shot of a scene."""
    stars = scene.reciprocal_A[0] * ANGSTROM
    length = np.sqrt(((hkl @ stars) ** 2).sum(axis=1))
    keep = (length > 0.0) & (length <= ANGSTROM / dmin_A) & (F != 0.0)
    hkl, F = hkl[keep], F[keep]
    if not len(hkl):
        return Excited(0, 0, None, 0.0, False)
    cells = scene.cells_in_block
    volume = float(abs(np.linalg.det(scene.cells[0])))
    thickness = (cells * volume) ** (1.0 / 3.0)
    pairs = scene.orientations * scene.sources
    stride = max(1, -(-len(hkl) * pairs // MOST_EVALUATIONS))
    chosen = range(0, pairs, stride)
    near = np.zeros(len(hkl), dtype=np.bool_)
    seen = np.zeros(len(hkl), dtype=np.bool_)
    photons = np.zeros(len(hkl))
    table = scene.orientation_table(0)
    for pair in chosen:
        m, s = divmod(pair, scene.sources)
        q = hkl @ np.linalg.inv(table[m]).T
        wavelength = float(scene.wavelength[s])
        out = q + scene.incident[s] / wavelength
        size = np.sqrt((out**2).sum(axis=1))
        zeta = size - 1.0 / wavelength
        inside = np.abs(zeta) <= 0.5 / thickness
        near |= inside
        close = np.flatnonzero(np.abs(zeta) <= 3.0 / thickness)
        direction = out[close] / size[close, None]
        meets = meet_panels(scene, direction, seen=True)[0] >= 0
        close, direction = close[meets], direction[meets]
        seen[close] |= inside[close]
        profile = thickness * np.exp(-np.pi * (zeta[close] * thickness) ** 2)
        photons[close] += (
            scene.weight[s] * wavelength**2 * profile * _unpolarized(direction, scene, s)
            * let_out(scene, direction)
        )  # fmt: skip
    constant = (
        THOMSON_RADIUS_SQUARED_M2 * scene.fluence * scene.blocks * cells / volume / len(chosen)
    )
    photons *= constant * F**2
    best = int(photons.argmax())
    h, k, l = (int(index) for index in hkl[best])
    strongest = (h, k, l) if photons[best] > 0.0 else None
    return Excited(int(near.sum()), int(seen.sum()), strongest, float(photons[best]), stride > 1)


def _unpolarized(direction: Array, scene: Scene, source: int) -> Array:
    """Polarization factor of an unpolarized beam; 1 where the correction is off."""
    if not scene.polarized:
        return np.ones(len(direction))
    cosine = direction @ scene.incident[source]
    return np.asarray(0.5 * (1.0 + cosine**2))
