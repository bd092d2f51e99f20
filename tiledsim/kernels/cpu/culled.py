"""Tiles of which only the steps that matter are computed."""

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels.cpu.candidates import Illumination
from tiledsim.kernels.cpu.events import Reach, reach_squared
from tiledsim.kernels.cpu.kernel import Parameters
from tiledsim.kernels.cpu.spot_sum import STRETCH
from tiledsim.reach.groups import bundle_sources, group_orientations
from tiledsim.reach.thresholds import Threshold, lattice_peak, strongest_F
from tiledsim.scene import Scene


def reach_of(scene: Scene, shot: int, p: Parameters, allowed: Threshold) -> Reach:
    """Work out what the event lists of a panel need, before any tile."""
    bundles, groups = bundle_sources(scene), group_orientations(scene)
    # `round` has no other metric than that of Miller indices.
    cells = np.diag(np.array(scene.cell_counts, dtype=np.float64))
    metric = cells if scene.crystal_shape == "round" else p.star * float(np.prod(p.cell_counts))
    star = np.ascontiguousarray(np.linalg.inv(p.orientations).transpose(0, 2, 1))
    turned = np.linalg.svd(np.linalg.inv(metric) @ star[0])[1]
    peak = lattice_peak(scene)
    mean = scene.incident.mean(axis=0)
    mean /= np.linalg.norm(mean)
    spread = float(np.linalg.norm(scene.incident - mean, axis=1).max())
    farthest = reach_squared(p.shape, p.fudge, strongest_F(scene) ** 2 * peak, allowed.tau)
    sigma = float(turned.max()) * (1.0 + 1e-9)
    direct = np.asarray(p.orientations).reshape(-1, 9)
    project = np.einsum("vu,mvi->mui", metric, p.orientations).reshape(-1, 9)
    step = p.pixel_size / p.oversample
    area = 1.0 if p.point_pixel else p.pixel_size * p.pixel_size * p.close_distance
    numbers = [step, area, p.layer_step, p.layer_step * p.attenuation]
    # δ_v = Σ u·(G⁻ᵀ) is within ½ where |u| is below half of the inverse's longest row.
    inverse = np.linalg.inv(metric)
    narrowest = 0.4999 / float(np.linalg.norm(inverse, axis=0).max())
    return Reach(
        panel=np.concatenate([p.origin, p.fast, p.slow, p.normal, numbers]),
        matrices=np.ascontiguousarray(np.hstack([direct, star.reshape(-1, 9), project])),
        metric=np.ascontiguousarray(metric),
        narrowest=narrowest,
        sigma=sigma,
        stretch=float(1.0 / turned.min()) * (1.0 + 1e-9),
        group_first=groups.first,
        group_tilt=groups.tilt,
        bundle_first=bundles.first,
        source=bundles.source,
        # Read in stretches, which may reach past the end.
        wave_number=np.concatenate([bundles.wave_number, np.full(STRETCH, 1e300)]),
        weight=np.concatenate([bundles.weight, np.zeros(STRETCH)]),
        light=Illumination(
            mean, spread, float(bundles.wave_number.min()), float(bundles.wave_number.max())
        ),
        peak=peak,
        radius=sigma * float(np.sqrt(max(farthest, 0.0))),
        tau=allowed.tau,
    )
