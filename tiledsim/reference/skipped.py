"""Which steps of a pixel the CPU kernel leaves out, and what that can cost."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels.cpu.culled import choice_of
from tiledsim.kernels.cpu.spot_sum import SHAPES, reach_squared
from tiledsim.reach.thresholds import lattice_peak, threshold
from tiledsim.reference.model import Evaluation
from tiledsim.scene import Scene


@dataclass(frozen=True)
class Skipped:
    """Steps that are left out of one pixel."""

    steps: NDArray[np.bool_]
    """Whether each is [T, U, S, M]: layers, subpixels, sources, orientations."""
    photons: float
    """What they would have added."""
    bound: float
    """The most that they could have [photons]."""


def skipped_steps(scene: Scene, shot: int, panel: int, found: Evaluation) -> Skipped | None:
    """Return what the CPU kernel leaves out of an evaluated pixel (n = 1).

    None where it evaluates every step.
    """
    if choice_of(scene).method == "every step":
        return None
    rays, steps = found.rays, found.steps
    allowed = threshold(scene, panel)
    shape = SHAPES[scene.crystal_shape]
    cells = np.diag(np.array(scene.cell_counts, dtype=np.float64))
    metric = cells if scene.crystal_shape == "round" else scene.offset_metric(shot)
    offset = (steps.hkl[0] - steps.nearest[0]) @ metric
    F, which = np.unique(steps.F_cell[0], return_inverse=True)
    peak = lattice_peak(scene)
    limits = np.array(
        [reach_squared(shape, scene.fudge, float(f * f) * peak, allowed.tau) for f in F]
    )
    left_out = (offset * offset).sum(axis=-1) > limits[which].reshape(steps.F_cell.shape[1:])
    factor = rays.capture[0, ..., None] * rays.omega[0, ..., None] * rays.polarization[0]
    weights = (factor * scene.weight * rays.kept[0])[..., None]
    terms = (steps.F_cell[0] * steps.F_latt[0]) ** 2 * weights
    exact = scene.crystal_shape == "tophat"
    return Skipped(
        left_out,
        scene.scale * float(terms[left_out].sum()),
        0.0 if exact else allowed.bound(float(rays.omega[0].max())),
    )
