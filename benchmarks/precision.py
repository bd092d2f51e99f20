"""What mixed precision costs in accuracy, by the size of the crystal.

    python benchmarks/precision.py [--device gpu|shim]

A crystal of N cells along each axis, 0.7 Å, 200 mosaic domains of 0.2° x 5 φ steps of 0.1°, on
256 x 256 pixels of 0.1 mm at 200 mm.  Compared with the CPU kernel in float64: "local": the largest
error of a pixel over the maximum of the 9 x 9 pixels around it, where that is above 1e-20 of the
image's; "pixel": the largest relative error of the pixels above 1e-6 of the image's maximum; "sum":
that of the sum of all.  Without a GPU the kernel's text runs on this processor, built by g++.
Images
without a spot, as `gauss` gives for large crystals, are left out.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tiledsim import Tile, build_scene
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda import CudaBackend

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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=("gpu", "shim"), default="shim")
    options = parser.parse_args()
    if options.device == "gpu":
        backend = CudaBackend("mixed")
    else:
        from tests.gpu.shim_device import ShimDevice

        backend = CudaBackend("mixed", ShimDevice())
    print(f"{'shape':8} {'N':>6} {'local':>9} {'pixel':>9} {'sum':>9}")
    for shape in ("square", "round", "gauss"):
        for cells in SIZES:
            scene = build_scene(experiment(cells, shape))
            tile = Tile(0, 0, 0, SIDE, 0, SIDE)
            image, exact = backend.render(scene, tile), get_backend("cpu").render(scene, tile)
            error = np.abs(image - exact)
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(exact, 4), (9, 9))
            around = windows.max(axis=(2, 3))
            if exact.max() < 1.0:
                continue
            lit, bright = around > 1e-20 * exact.max(), exact > 1e-6 * exact.max()
            local = (error[lit] / around[lit]).max()
            pixel = (error[bright] / exact[bright]).max()
            total = abs(image.sum() / exact.sum() - 1)
            print(f"{shape:8} {cells:6} {local:9.1e} {pixel:9.1e} {total:9.1e}", flush=True)


if __name__ == "__main__":
    main()
