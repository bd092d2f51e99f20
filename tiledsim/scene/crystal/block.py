"""The size of a coherent block, as a tensor where its axes are not those of the cell."""

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Crystal
from tiledsim.vectors import Array

Counts = tuple[int, int, int]


def size_tensor(counts: Counts, cross: tuple[float, float, float]) -> Array:
    """Return the tensor N [3, 3] of a block, of which F_latt = det N·exp(−|N·δ|²/0.63).

    δ is the distance from a reflection in Miller indices; as diffBragg has it (D. Mendez et al.,
    IUCrJ 7, 1151 (2020)): [[Na, ab, ac], [ab, Nb, bc], [ac, bc, Nc]].
    """
    ab, bc, ac = cross
    tensor = np.diag(np.array(counts, dtype=np.float64))
    if any(cross):
        tensor += np.array([[0.0, ab, ac], [ab, 0.0, bc], [ac, bc, 0.0]])
    return tensor


def cells_in_block(counts: Counts, cross: tuple[float, float, float]) -> float:
    """Return the number of cells in a block, the determinant of its tensor."""
    if any(cross):
        return float(np.linalg.det(size_tensor(counts, cross)))
    return float(np.prod(np.array(counts, dtype=np.float64)))


def check_block(crystal: Crystal, counts: Counts, mode: str) -> None:
    """Raise ExperimentError for a size tensor that no block has."""
    if not any(crystal.cells_ab_bc_ac):
        return
    if mode == "c-parity":
        raise ExperimentError("crystal.cells_ab_bc_ac is not nanoBragg's; use mode 'spec'")
    smallest = float(np.linalg.eigvalsh(size_tensor(counts, crystal.cells_ab_bc_ac)).min())
    if smallest <= 0.0:
        raise ExperimentError(
            f"crystal.cells_ab_bc_ac = {list(crystal.cells_ab_bc_ac)} beside {list(counts)} cells "
            f"make a block of {smallest:.3g} cells along an axis; give smaller ones"
        )
