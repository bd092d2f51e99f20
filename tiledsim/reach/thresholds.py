"""How small a term must be to be left out, and the error that can come of it.

A pixel is scale · Σ A·P·Ω·w·F²·F_latt² over its steps.  Where every step with F²·F_latt² ≤ τ is
left out, what is missing is not negative and at most scale·Ω·P·ΣA·Σw·τ.  τ is the same for a whole
panel: it knows nothing of tiles.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from tiledsim.reach.once import once
from tiledsim.scene import Scene
from tiledsim.scene.pixels import pixel_m
from tiledsim.tile import Tile
from tiledsim.vectors import Array

ROUNDING = 1e-12
"""By how much of it F may be larger when it is summed up in another order."""
SPHERE = 0.723601254558268
"""F_latt of `round` on a reflection, as a fraction of the number of cells."""


@dataclass(frozen=True)
class Threshold:
    """What may be left out on one panel."""

    tau: float
    """F²·F_latt² of a step that may be left out."""
    photons_per_omega: float
    """Bound of a pixel's error where every step is left out, over its solid angle."""
    strongest: float
    """F²·F_latt² on the strongest reflection."""

    def bound(self, omega: float) -> float:
        """Bound of the error of a pixel of that solid angle, photons."""
        return self.photons_per_omega * omega


def lattice_peak(scene: Scene) -> float:
    """F_latt² on a reflection."""
    cells = scene.cells_in_block
    return (cells * SPHERE) ** 2 if scene.crystal_shape == "round" else cells**2


def strongest_F(scene: Scene) -> float:
    """Return the largest |F| that a reflection can have."""
    if scene.uniform_F:
        return abs(scene.default_F)
    return scene.strongest_F if scene.F_complex is None else float(largest_F(scene).max())


@once
def largest_F(scene: Scene) -> Array:
    """Return F of each reflection [H+2, K+2, L+2], the largest where it follows the wavelength.

    |F| is convex in f′ and f″: where there are many wavelengths, it is bounded by its values at the
    corners of the box that holds theirs.
    """
    if scene.F_complex is None or scene.dispersion is None:
        return scene.F_table
    f = np.unique(scene.dispersion, axis=0)
    parts = f.view(np.float64)
    if 2 ** parts.shape[1] < len(f):
        ends = np.stack([parts.min(axis=0), parts.max(axis=0)], axis=1)
        f = np.array(list(itertools.product(*ends))).view(np.complex128)
    found = np.zeros(scene.F_table.shape)
    for each in f:
        F = scene.F_complex[..., 0] + scene.F_complex[..., 1:] @ each
        np.maximum(found, np.abs(F), out=found)
    found *= 1.0 + ROUNDING
    found.setflags(write=False)
    return found


def largest_omega(scene: Scene, tile: Tile) -> float:
    """Upper bound of the solid angle over a tile of a flat panel."""
    panel = tile.panel
    across, down = pixel_m(scene, panel)
    smallest = math.inf
    for layer in (0, scene.layers - 1):
        origin = scene.origin[panel] + layer * scene.layer_step * scene.normal[panel]
        near_f = -float(origin @ scene.fast[panel])
        near_f = min(max(near_f, tile.fast_start * across), tile.fast_stop * across)
        near_s = -float(origin @ scene.slow[panel])
        near_s = min(max(near_s, tile.slow_start * down), tile.slow_stop * down)
        nearest = origin + near_f * scene.fast[panel] + near_s * scene.slow[panel]
        smallest = min(smallest, float(nearest @ nearest))
    # Axes that are at right angles to 1e-3 only make the near point a little wrong.
    smallest *= 1.0 - 4e-3
    if scene.point_pixel:
        return 1.0 / smallest
    return (
        across * down * abs(float(scene.close_distance[panel])) / (smallest * math.sqrt(smallest))
    )


def whole_panel(scene: Scene, panel: int) -> Tile:
    """Return the tile that is all of a panel."""
    return Tile(0, panel, 0, scene.shape[2], 0, scene.shape[3])


def threshold(scene: Scene, panel: int) -> Threshold:
    """Return what the tolerances of a scene allow on a panel."""
    strongest = strongest_F(scene) ** 2 * lattice_peak(scene)
    polarized = max(1.0, 0.5 + 0.5 * abs(scene.polarization)) if scene.polarized else 1.0
    captured = 1.0 if scene.absorbing else float(scene.layers)
    # Of the terms of a pixel; the weights have the mean 1.
    unit = scene.scale * scene.steps * polarized * captured
    if scene.tolerance_photons == 0.0 or scene.tolerance == 0.0:
        return Threshold(0.0, 0.0, strongest)
    largest = unit * largest_omega(scene, whole_panel(scene, panel))
    tau = scene.tolerance * strongest
    if largest > 0.0:
        tau = min(tau, scene.tolerance_photons / largest)
    return Threshold(tau, unit * tau, strongest)
