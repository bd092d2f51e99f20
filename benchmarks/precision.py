"""What mixed precision costs in accuracy, by the size of the crystal.

    python benchmarks/precision.py [--device gpu|shim] [--anchored] [--random N]

A crystal of N cells along each axis, 0.7 Å, 200 mosaic domains of 0.2° x 5 φ steps of 0.1°, on
256 x 256 pixels of 0.1 mm at 200 mm.  Compared with the CPU kernel of every step in float64:
"local": the largest error of a pixel over the maximum of the 9 x 9 pixels around it, where that is
above 1e-20 of the image's; "pixel": the largest relative error of the pixels above 1e-6 of the
image's maximum; "sum": that of the sum of all.  Without a GPU the kernel's text runs on this
processor, built by g++.  Images without a spot, as `gauss` gives for large crystals, are left out.
With --anchored the steps are without float64, as on cards that have few units for it; `round` is
the same with it.

With --random, N crystals of 1 to 50 cells with drawn cells, orientations, fudge factors and
mosaics, and the worst "pixel" of each shape.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tiledsim import Tile, build_scene
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.scene import Scene

SIDE = 256
SIZES = (5, 20, 50, 200, 1000, 5000)


def experiment(cells: int, shape: str) -> Experiment:
    """Describe the crystal on its detector."""
    return Experiment.model_validate(
        {
            "beam": {"wavelength_A": 0.7},
            "crystal": {"cell_A_deg": (50, 60, 70, 80, 95, 100), "cells": (cells,) * 3,
                        "shape": shape, "misset_deg": (11, 23, 47),
                        "mosaic": {"spread_deg": 0.2, "domains": 200}},
            "structure_factors": {"default_F": 100},
            "rotation": {"range_deg": 0.5, "steps": 5},
            "detector": {"size_px": (SIDE, SIDE), "pixel_mm": 0.1, "distance_mm": 200},
            "sampling": {"oversample": 1},
        }
    )  # fmt: skip


def drawn(rng: np.random.Generator, shape: str) -> Experiment:
    """Draw a small crystal on a small detector."""
    return Experiment.model_validate(
        {
            "beam": {"wavelength_A": rng.uniform(0.7, 3)},
            "crystal": {"cell_A_deg": (*rng.uniform(20, 120, 3), *rng.uniform(75, 105, 3)),
                        "misset_deg": rng.uniform(-180, 180, 3).tolist(),
                        "cells": rng.integers(1, 51, 3).tolist(), "shape": shape,
                        "fudge": rng.uniform(0.5, 2),
                        "mosaic": {"spread_deg": rng.uniform(0, 1),
                                   "domains": int(rng.integers(1, 3))}},
            "structure_factors": {"default_F": 100},
            "detector": {"size_px": (128, 64), "pixel_mm": 0.1,
                         "distance_mm": rng.uniform(50, 300)},
        }
    )  # fmt: skip


def every_step(scene: Scene) -> Scene:
    """Let the CPU kernel leave out no step."""
    return replace(scene, tolerance=0.0)


def pixel_error(image: np.ndarray, exact: np.ndarray) -> float:
    """Largest relative error of the pixels above 1e-6 of the maximum."""
    bright = exact > 1e-6 * exact.max()
    return float((np.abs(image - exact)[bright] / exact[bright]).max())


def random_crystals(backend: CudaBackend, count: int) -> None:
    """Print the worst pixel of each shape."""
    rng = np.random.default_rng(1)
    for shape in ("square", "round", "gauss"):
        worst, seen = 0.0, 0
        for _ in range(count):
            scene = every_step(build_scene(drawn(rng, shape)))
            tile = Tile(0, 0, 0, 64, 0, 128)
            exact = get_backend("cpu").render(scene, tile)
            if exact.max() >= 1.0:
                worst, seen = max(worst, pixel_error(backend.render(scene, tile), exact)), seen + 1
        print(f"{shape:8} {seen:6} crystals, worst pixel {worst:.1e}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=("gpu", "shim"), default="shim")
    parser.add_argument("--random", type=int, metavar="N")
    parser.add_argument("--anchored", action="store_true", help="no float64 in a step")
    options = parser.parse_args()
    if options.device == "gpu":
        backend = CudaBackend("mixed", anchored=options.anchored)
    else:
        from tests.gpu.shim_device import ShimDevice

        backend = CudaBackend("mixed", ShimDevice(), anchored=options.anchored)
    if options.random:
        random_crystals(backend, options.random)
        return
    print(f"{'shape':8} {'N':>6} {'local':>9} {'pixel':>9} {'sum':>9}")
    for shape in ("square", "round", "gauss"):
        for cells in SIZES:
            scene = every_step(build_scene(experiment(cells, shape)))
            tile = Tile(0, 0, 0, SIDE, 0, SIDE)
            image, exact = backend.render(scene, tile), get_backend("cpu").render(scene, tile)
            error = np.abs(image - exact)
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(exact, 4), (9, 9))
            around = windows.max(axis=(2, 3))
            if exact.max() < 1.0:
                continue
            lit = around > 1e-20 * exact.max()
            local, pixel = (error[lit] / around[lit]).max(), pixel_error(image, exact)
            total = abs(image.sum() / exact.sum() - 1)
            print(f"{shape:8} {cells:6} {local:9.1e} {pixel:9.1e} {total:9.1e}", flush=True)


if __name__ == "__main__":
    main()
