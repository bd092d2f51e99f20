"""Whether every step is evaluated or only those that matter: what is possible, and what pays."""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tiledsim.reach.groups import bundle_sources, group_orientations
from tiledsim.reach.thresholds import (
    largest_F,
    largest_omega,
    lattice_peak,
    strongest_F,
    threshold,
    whole_panel,
)
from tiledsim.scene import Scene

Method = Literal["every step", "events"]

STEP_NS: Final = {"square": 4.3, "round": 7.8, "gauss": 6.2, "tophat": 3.8}
"""A step of the plain kernel.  These numbers are rough, and of one machine: only ratios count."""
TEST_NS: Final = 10.0
"""A reflection held against one orientation and direction."""
SPOT_NS: Final = 120.0
"""A spot looked for on the panel."""
LONE_NS: Final = 60.0
"""A step of a spot that has one wavelength there, with its subpixel's geometry."""
MANY_NS: Final = 35.0
"""A step of a spot that has several."""
SQUARE: Final = 1e-3
"""Cosine between the sides of a pixel up to which lists know where a spot is."""
WORTH: Final = 0.8
"""What the lists may cost of the plain kernel: estimates are not exact, and the plain kernel is."""


@dataclass(frozen=True)
class Choice:
    """How a scene is rendered on the CPU."""

    method: Method
    why: str
    fraction: float
    """Expected share of the steps that are evaluated."""
    share: float = 1.0
    """Expected share of the time that every step would take."""

    def line(self) -> str:
        """Say it in words."""
        if self.method == "every step":
            return f"every step is evaluated: {self.why}"
        return f"{self.method}, about {100.0 * self.fraction:.2g} % of the steps: {self.why}"


def _all(why: str) -> Choice:
    return Choice("every step", why, 1.0)


def choose(scene: Scene, backend: str = "cpu") -> Choice:
    """Decide how a scene is rendered, and say why."""
    if scene.tolerance_photons == 0.0 or scene.tolerance == 0.0:
        return _all("the tolerance is 0")
    if backend != "cpu":
        return _all(f"the {backend} kernel knows no other way")
    hindrance = _hindrance(scene)
    if hindrance:
        return _all(hindrance)
    estimates = [_events(scene, panel) for panel in range(scene.shape[1])]
    weights = [estimate.steps for estimate in estimates]
    cost = float(np.average([estimate.ratio for estimate in estimates], weights=weights))
    fraction = float(np.average([estimate.fraction for estimate in estimates], weights=weights))
    if any(estimate.too_wide for estimate in estimates):
        return _all("a reflection reaches too far across reciprocal space")
    if cost > WORTH:
        return _all(
            f"{100.0 * fraction:.2g} % of them matter, and to find those would take "
            f"{cost:.2g} times as long"
        )
    return Choice("events", "reflections are listed where they can be seen", fraction, cost)


def _hindrance(scene: Scene) -> str:
    """Say what of a scene the lists do not know; empty where nothing is."""
    own = (scene.thick_correction, scene.polar_correction, scene.omega_correction)
    cases = {
        "square spots have tails that no list ends": scene.crystal_shape == "square",
        "structure factors are interpolated": scene.interpolate,
        "the detector is curved": scene.curved,
        "a correction is not applied to each term (quirk)": any(c != "own" for c in own),
        "the first evaluation differs (quirk phi_carryover)": scene.first_rotations is not None,
        "water starts the sum (quirk water_twice)": scene.water_twice and scene.water > 0.0,
        "pixels are not squares of one size": scene.pixel_sides is not None
        or bool((np.abs((scene.fast * scene.slow).sum(axis=1)) > SQUARE).any()),
        "a panel is seen from behind": bool((scene.close_distance <= 0.0).any()),
    }
    return next((why for why, true in cases.items() if true), "")


@dataclass(frozen=True)
class _Estimate:
    steps: int
    fraction: float
    ratio: float
    too_wide: bool


def _events(scene: Scene, panel: int) -> _Estimate:
    """Estimate what lists cost on a panel, over the cost of every step."""
    allowed = threshold(scene, panel)
    steps = scene.shape[2] * scene.shape[3] * scene.steps_per_pixel
    if allowed.strongest <= allowed.tau and scene.crystal_shape != "tophat":
        return _Estimate(steps, 0.0, 0.0, False)
    cells = np.diag(np.array(scene.cell_counts, dtype=np.float64))
    metric = cells if scene.crystal_shape == "round" else scene.offset_metric(0)
    inside = _ball(scene, allowed.tau)
    fraction = min(1.0, float(inside.mean()) / abs(float(np.linalg.det(metric))))
    star = np.linalg.inv(np.asarray(scene.cells[0])).T
    sigma = float(np.linalg.svd(np.linalg.inv(metric) @ star)[1].max())
    farthest = sigma * (float(inside.max()) * 3.0 / (4.0 * math.pi)) ** (1.0 / 3.0)

    bundles, groups = bundle_sources(scene), group_orientations(scene)
    low, high = float(bundles.wave_number.min()), float(bundles.wave_number.max())
    k = 0.5 * (low + high)
    tile = whole_panel(scene, panel)
    solid = min(4.0 * math.pi, tile.pixels * largest_omega(scene, tile))
    if scene.point_pixel:
        solid = min(4.0 * math.pi, solid * scene.pixel_size**2)
    chord2 = min(4.0, solid / math.pi * 2.0)
    volume = abs(float(np.linalg.det(np.asarray(scene.cells[0]))))
    directions = len(bundles.first) - 1
    shell = volume * solid * k * k
    swept = (high - low) * 0.5 * chord2
    tilts = float((np.diff(groups.first) * groups.tilt).sum())
    members = scene.orientations * directions
    subpixels = scene.layers
    tests = shell * (
        members * (2.0 * farthest + swept) + 2.0 * k * math.sqrt(chord2) * tilts * directions
    )
    spots = shell * members * (2.0 * farthest + swept) * subpixels
    lone = len(bundles.wave_number) == directions
    cost = tests * TEST_NS + spots * SPOT_NS + fraction * steps * (LONE_NS if lone else MANY_NS)
    return _Estimate(
        steps, fraction, cost / (steps * STEP_NS[scene.crystal_shape]), farthest > 0.3 * low
    )


def _ball(scene: Scene, tau: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Volume of \\|u\\| ≤ reach for a sample of the reflections."""
    from tiledsim.kernels.cpu.spot_sum import SHAPES, reach_squared

    shape = SHAPES[scene.crystal_shape]
    if scene.uniform_F:
        F = np.array([scene.default_F])
    else:
        flat = largest_F(scene).reshape(-1)
        F = np.append(flat[:: max(1, flat.size // 2000)], strongest_F(scene))
    peak = lattice_peak(scene)
    reach = [reach_squared(shape, scene.fudge, float(f * f) * peak, tau) for f in F]
    return np.asarray(4.0 / 3.0 * math.pi * np.maximum(reach, 0.0) ** 1.5)
