"""A crystal of many mosaic blocks: how many the beam lights, how they are turned, how they shake.

Blocks scatter independently, so an image is that of one block times the number of blocks, each
weighted with its share of the beam's peak fluence.
"""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Beam, Crystal, Mosaic
from tiledsim.quirks import Quirk
from tiledsim.scene.crystal.block import cells_in_block
from tiledsim.scene.crystal.lattice import Lattice
from tiledsim.structure_factors.table import FTable
from tiledsim.vectors import Array, axis_rotation


def crystal_sides_um(crystal: Crystal) -> tuple[float, float, float] | None:
    """Sides [µm] along the beam and, across it, along and off the polarization axis; or None."""
    if crystal.volume_um3 is not None:
        side = crystal.volume_um3 ** (1.0 / 3.0)
        return side, side, side
    if isinstance(crystal.size_um, tuple):
        return crystal.size_um
    return None if crystal.size_um is None else (crystal.size_um,) * 3


def lit_volume_um3(crystal: Crystal, beam: Beam) -> float | None:
    """Volume [µm³] of the crystal, its parts weighted with fluence over peak fluence.

    A ``tophat`` beam is a square of ``beamsize_mm``; a ``gaussian`` one has that full width at half
    maximum in both directions.  The crystal is centred in the beam.  None where no size is given.
    """
    sides = crystal_sides_um(crystal)
    if sides is None:
        return None
    width = beam.beamsize_mm * 1000.0
    across = 1.0
    for side in sides[1:]:
        if beam.profile == "gaussian":
            root = math.sqrt(math.log(2.0))
            whole = width * math.sqrt(math.pi) / (2.0 * root)
            across *= whole * math.erf(root * side / width)
        else:
            across *= min(side, width)
    return sides[0] * across


def lit_blocks(
    crystal: Crystal,
    beam: Beam,
    lattice: Lattice,
    cells: tuple[int, int, int],
    quirks: frozenset[Quirk],
) -> float:
    """Number of mosaic blocks in the beam; 1 where the crystal's size is not given.

    Raises ExperimentError for a crystal smaller than one of its blocks.
    """
    volume = lit_volume_um3(crystal, beam)
    if volume is None:
        return 1.0
    if "water_twice" in quirks:
        raise ExperimentError(
            "crystal.size_um and volume_um3 do not go with the quirk water_twice, which adds the "
            "background in units of one block; use mode 'spec'"
        )
    block = cells_in_block(cells, crystal.cells_ab_bc_ac) * lattice.volume_A3 * 1e-12
    if volume < block:
        raise ExperimentError(
            f"the crystal in the beam has {volume:.4g} µm³, less than one mosaic block of "
            f"{block:.4g} µm³; give a larger crystal.size_um or a smaller block_um (or cells)"
        )
    return volume / block


def block_cells(crystal: Crystal, lattice: Lattice) -> tuple[int, int, int] | None:
    """Cells along a, b, c of a block of ``block_um``, rounded; None where that is not given."""
    if crystal.block_um is None:
        return None
    sides = crystal.block_um if isinstance(crystal.block_um, tuple) else (crystal.block_um,) * 3
    a, b, c = (
        max(1, round(side * 1e4 / length))
        for side, length in zip(sides, lattice.cell[:3], strict=True)
    )
    return a, b, c


def anisotropic_domains(mosaic: Mosaic, lattice: Lattice) -> Array | None:
    """Rotations [D, 3, 3] of domains with three widths, as mixtures of a, b, c; or None.

    The rotation vector of a domain has independent Gaussian components of the standard deviations
    ``spread_abc_deg`` about a, b* and a × b*, axes that turn with the crystal.  A mixture K takes
    the rows a, b, c of a direct matrix to those of the domain, whatever the crystal's orientation.
    Deviates come from Philox keyed by the seed, through the normal distribution's inverse: domain n
    is the same whatever their number is.
    """
    if mosaic.spread_abc_deg is None:
        return None
    count = 10 if mosaic.domains is None else mosaic.domains
    uniform = np.random.Generator(np.random.Philox(key=abs(mosaic.seed))).random((count, 3))
    normal = np.vectorize(NormalDist().inv_cdf)(np.clip(uniform, 2.0**-54, 1.0 - 2.0**-53))
    a, b_star = lattice.direct[0], lattice.reciprocal[1]
    axes = np.stack([a, b_star, np.cross(a, b_star)])
    axes /= np.linalg.norm(axes, axis=1)[:, None]
    vectors = normal * np.radians(mosaic.spread_abc_deg) @ axes
    angles = np.linalg.norm(vectors, axis=1)
    turns = np.array([
        axis_rotation(vector / angle, float(angle)) if angle > 0.0 else np.eye(3)
        for vector, angle in zip(vectors, angles, strict=True)
    ])  # fmt: skip
    return np.asarray(lattice.direct @ turns.transpose(0, 2, 1) @ np.linalg.inv(lattice.direct))


def shaken(factors: FTable, lattice: Lattice, B_A2: float) -> FTable:
    """Multiply a table's F by exp(−B·s²/4), s = 1/d; ``default_F`` beyond it stays.

    Raises ExperimentError where there is no table.
    """
    if B_A2 == 0.0:
        return factors
    if factors.entries == 0:
        raise ExperimentError(
            "crystal.B_A2 weakens reflections that a file holds; one default_F for all has no file"
        )
    weaker = weakening(factors.padded.shape, factors.lowest, lattice.reciprocal, B_A2)
    weaker[absent(factors)] = 1.0
    dispersion = factors.dispersion
    if dispersion is not None:
        dispersion = replace(
            dispersion, base=dispersion.base * weaker, partial=dispersion.partial * weaker
        )
    return replace(factors, padded=factors.padded * weaker, dispersion=dispersion)


def weakening(
    shape: tuple[int, ...], lowest: tuple[int, int, int], reciprocal: Array, B_A2: float
) -> Array:
    """Return exp(−B·s²/4) for a table of F with a border [H+2, K+2, L+2], s = 1/d."""
    h, k, l = (np.arange(n) + low - 1.0 for n, low in zip(shape, lowest, strict=True))
    plane = k[:, None, None] * reciprocal[1] + l[:, None] * reciprocal[2]
    # s² = h²·a*² + 2h·(a*·p) + p² with p = k·b* + l·c*, plane by plane: a plane stays in the cache.
    squared = -0.25 * B_A2 * (plane**2).sum(axis=-1)
    along = -0.5 * B_A2 * (plane @ reciprocal[0])
    steps = -0.25 * B_A2 * h * h * float(reciprocal[0] @ reciprocal[0])
    weaker = np.empty(shape)
    for i, number in enumerate(h):
        here = np.multiply(along, number, out=weaker[i])
        here += squared
        here += steps[i]
        np.exp(here, out=here)
    return weaker


def absent(factors: FTable) -> NDArray[np.bool_]:
    """Return where a table has ``default_F`` because nothing was read, its border included."""
    outside = np.ones(factors.padded.shape, dtype=np.bool_)
    outside[1:-1, 1:-1, 1:-1] = False if factors.present is None else ~factors.present
    return outside
