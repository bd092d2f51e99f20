"""What leaving out the steps that cannot matter gains, in turn with the kernel that does them all.

    python benchmarks/cull.py [--rounds 3] [--only WORD] [--draws 1000]

One core, float64, processor time of the thread, the least of some rounds; each case is rendered
whole by both in each round, but for those marked "extrapolated", of which the plain kernel renders
a strip.  ``--draws`` checks the bound on that many random scenes instead.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tiledsim import Tile, build_scene, experiment_from_nanobragg
from tiledsim.kernels import get_backend
from tiledsim.kernels.cpu.culled import choice_of

CELL = (
    "-cell 70 80 90 75 85 95 -misset 10 20 30 -lambda 1.0 -distance 100 -pixel 0.1 -oversample 1 "
    "-default_F 100 -N 20 -mosaic 0.5"
)
DOMAINS = f"{CELL} -mosaic_domains 100 -detpixels 400"
SPECTRUM = f"{CELL} -mosaic_domains 25 -dispersion 5 -dispsteps 100 -detpixels"
NO_LIMIT = 1e300


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    name: str
    flags: str
    photons: float
    relative: float
    goal: float
    strip: int = 0
    """Rows that the plain kernel renders where all would take too long."""


CASES = [
    Case("400², 100 domains, gauss, 1e-3", f"{DOMAINS} -gauss_xtal", NO_LIMIT, 1e-3, 25),
    Case("400², 100 domains, gauss, 1e-6", f"{DOMAINS} -gauss_xtal", NO_LIMIT, 1e-6, 15),
    Case("949², 100 λ × 25, gauss, 1e-3", f"{SPECTRUM} 949 -gauss_xtal", NO_LIMIT, 1e-3, 100, 95),
    Case("949², 100 λ × 25, gauss, 1e-6", f"{SPECTRUM} 949 -gauss_xtal", NO_LIMIT, 1e-6, 40, 95),
    Case("3000², 100 λ × 25, gauss, 1e-6", f"{SPECTRUM} 3000 -gauss_xtal", NO_LIMIT, 1e-6, 100, 30),
    Case("400², 100 domains, tophat", f"{DOMAINS} -tophat_spots", NO_LIMIT, 1e-6, 25),
    Case("400², 100 domains, round, 1e-3", f"{DOMAINS} -round_xtal", NO_LIMIT, 1e-3, 1),
    Case("400², 1 step, gauss, default tolerances",
         f"{CELL} -mosaic_domains 1 -detpixels 400 -gauss_xtal", 1e-3, 1e-6, 0.97),
    Case("400², gauss, N = 3 (nothing to gain)", f"{DOMAINS} -gauss_xtal -N 3", 1e-3, 1e-6, 0.97),
    Case("400², 100 domains, square, default tolerances", DOMAINS, 1e-3, 1e-6, 0.97),
]  # fmt: skip


def least(rounds: int, *measured: Callable[[], object]) -> list[float]:
    """Least processor time of each function, which take turns."""
    times = [[math.inf] for _ in measured]
    for _ in range(rounds):
        for taken, function in zip(times, measured, strict=True):
            start = time.thread_time()
            function()
            taken.append(time.thread_time() - start)
    return [min(taken) for taken in times]


def run(case: Case, rounds: int) -> str:
    """Render a case both ways."""
    experiment = experiment_from_nanobragg(case.flags.split(), mode="spec")
    scene = replace(
        build_scene(experiment), tolerance_photons=case.photons, tolerance=case.relative
    )
    plain = replace(scene, tolerance=0.0)
    backend = get_backend("cpu")
    _, _, slow, fast = scene.shape
    whole = Tile(0, 0, 0, slow, 0, fast)
    middle = (slow - case.strip) // 2 if case.strip else 0
    strip = Tile(0, 0, middle, middle + case.strip, 0, fast) if case.strip else whole
    backend.render(plain, Tile(0, 0, 0, 1, 0, 1))
    backend.render(replace(scene), Tile(0, 0, 0, 1, 0, 1))
    found: dict[str, np.ndarray] = {}

    def listed() -> None:
        # A scene that nothing is known of: what is worked out once counts too.
        found["image"], found["bound"] = backend.render_bounded(replace(scene), whole)

    def every_step() -> None:
        found["exact"] = backend.render(plain, strip)

    ours, theirs = least(rounds, listed, every_step)
    theirs *= whole.pixels / strip.pixels
    part = found["image"][strip.slow_start : strip.slow_stop]
    error = float((found["exact"] - part).max())
    held = error <= float(found["bound"]) + 1e-9 * float(found["exact"].max())
    chosen = choice_of(scene)
    return (
        f"{case.name:48} {chosen.method:10} {theirs:9.4f} {ours:9.4f} {theirs / ours:7.1f} "
        f"{case.goal:6.4g} {error / float(found['exact'].max()):9.1e} {held}"
        f"{' extrapolated' if case.strip else ''}"
    )


def draw(count: int) -> None:
    """Check the bound of every pixel on random scenes of all shapes; raises where it is broken."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from hypothesis import HealthCheck, settings

    from tests.unit.kernels import test_culling

    settings.register_profile(
        "many", deadline=None, max_examples=count, suppress_health_check=list(HealthCheck)
    )
    check = test_culling.test_every_pixel_is_within_the_bound_and_no_tile_shows
    settings(settings.get_profile("many"))(check)()
    print(f"{count} random scenes: every pixel within its bound, no tile shows")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--draws", type=int, default=0)
    options = parser.parse_args()
    if options.draws:
        draw(options.draws)
        return
    print(
        f"{'case':48} {'way':10} {'all, s':>9} {'ours, s':>9} {'gain':>7} {'goal':>6} "
        "error/max held"
    )
    for case in CASES:
        if options.only in case.name:
            print(run(case, options.rounds), flush=True)


if __name__ == "__main__":
    main()
