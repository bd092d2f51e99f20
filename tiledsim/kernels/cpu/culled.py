"""Tiles of which only the steps that matter are computed."""

from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels.cpu.candidates import Illumination
from tiledsim.kernels.cpu.events import Reach, render_events
from tiledsim.kernels.cpu.kernel import render
from tiledsim.kernels.cpu.parameters import Parameters
from tiledsim.kernels.cpu.spot_sum import STRETCH, reach_squared
from tiledsim.reach.choice import choose
from tiledsim.reach.groups import bundle_sources, group_orientations
from tiledsim.reach.once import once
from tiledsim.reach.thresholds import (
    Threshold,
    largest_F,
    largest_omega,
    lattice_peak,
    strongest_F,
    threshold,
)
from tiledsim.scene import Scene
from tiledsim.tile import Tile

PANELS_KEPT = 16
"""Panels of shots whose lists' beginnings are kept for the next tile, of each scene."""


choice_of = once(choose)
"""How a scene is rendered; decided once."""


@once
def _panels(scene: Scene) -> OrderedDict[tuple[int, int], tuple[Threshold, Reach]]:
    return OrderedDict()


_LOCK = Lock()


def prepared(scene: Scene, tile: Tile, p: Parameters) -> tuple[Threshold, Reach]:
    """Return what the lists of a tile's panel need; worked out once, if it is used soon again."""
    key = tile.shot, tile.panel
    with _LOCK:
        known = _panels(scene)
        if key not in known:
            allowed = threshold(scene, tile.panel)
            known[key] = allowed, reach_of(scene, tile.shot, p, allowed)
        known.move_to_end(key)
        while len(known) > PANELS_KEPT:
            known.popitem(last=False)
        return known[key]


def render_listed(
    scene: Scene,
    tile: Tile,
    p: Parameters,
    rendered: NDArray[np.bool_],
    image: NDArray[np.float64],
) -> float:
    """Render ``image`` [rows, cols] in photons where ``rendered``; return its error's bound."""
    allowed, reach = prepared(scene, tile, p)
    if p.water_own != 0.0:
        none = p._replace(orientations=np.empty((0, 3, 3)))
        render(none, tile.slow_start, tile.fast_start, rendered, image)
    else:
        image[:] = 0.0
    counts = np.zeros(3, dtype=np.int64)
    if rendered.all():
        render_events(p, reach, tile.slow_start, tile.fast_start, image, counts)
    elif rendered.any():
        rows, cols = np.flatnonzero(rendered.any(axis=1)), np.flatnonzero(rendered.any(axis=0))
        part = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
        inside = image[part].copy()
        start = tile.slow_start + part[0].start, tile.fast_start + part[1].start
        render_events(p, reach, *start, inside, counts)
        image[part] = np.where(rendered[part], inside, 0.0)
    return 0.0 if scene.crystal_shape == "tophat" else allowed.bound(largest_omega(scene, tile))


def reach_of(scene: Scene, shot: int, p: Parameters, allowed: Threshold) -> Reach:
    """Work out what the event lists of a panel need, before any tile."""
    bundles, groups = bundle_sources(scene), group_orientations(scene)
    # `round` has no other metric than that of Miller indices.
    cells = np.diag(np.array(scene.cell_counts, dtype=np.float64))
    metric = cells if scene.crystal_shape == "round" else p.metric
    star = np.ascontiguousarray(np.linalg.inv(p.orientations).transpose(0, 2, 1))
    turned = np.linalg.svd(np.linalg.inv(metric) @ star[0])[1]
    peak = lattice_peak(scene)
    mean = np.asarray(scene.incident).mean(axis=0)
    mean /= np.linalg.norm(mean)
    spread = float(np.linalg.norm(scene.incident - mean, axis=1).max())
    strongest = strongest_F(scene) ** 2 * peak
    farthest = reach_squared(p.shape, p.fudge, strongest, allowed.tau)
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
        F=p.F if scene.F_complex is None else largest_F(scene).reshape(-1),
        dispersion=np.ascontiguousarray(p.dispersion[bundles.source]),
        light=Illumination(
            mean, spread, float(bundles.wave_number.min()), float(bundles.wave_number.max())
        ),
        peak=peak,
        radius=sigma * float(np.sqrt(max(farthest, 0.0))),
        tau=allowed.tau,
    )
