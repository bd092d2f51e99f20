"""What the amorphous background costs a pixel, beside a step of the CPU kernel, in CPU time.

python benchmarks/background.py
"""

import time
from typing import Any

from tiledsim.detector_model.shot_background import background
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.scene.build import build_scene
from tiledsim.tile import Tile


def experiment(pixels: int, **sections: Any) -> Experiment:
    """One crystal that hardly scatters, and what ``sections`` add."""
    fields: dict[str, Any] = {
        "beam": {"wavelength_A": 1.0, "flux_photons_per_s": 1e12, "polarization": 0.9},
        "crystal": {"cell_A_deg": [50, 50, 50, 90, 90, 90], "cells": [5, 5, 5]},
        "structure_factors": {"default_F": 1.0},
        "detector": {"size_px": [pixels, pixels], "pixel_mm": 0.172, "distance_mm": 150.0},
        "sampling": {"oversample": 1},
    }
    for name, section in sections.items():
        fields[name] = {**fields.get(name, {}), **section}
    return Experiment(**fields)


def main() -> None:
    """Measure and print."""
    for material in ("air", "helium", "water"):
        layers = [{"material": material, "thickness_mm": 10.0}]
        scene = build_scene(experiment(1024, background={"layers": layers}))
        tile = Tile(0, 0, 0, 1024, 0, 1024)
        background(scene, tile)  # compiles
        started = time.process_time()
        background(scene, tile)
        print(f"{material}: {(time.process_time() - started) / 1024**2 * 1e9:.1f} ns a pixel")
    scene = build_scene(experiment(512, crystal={"mosaic": {"spread_deg": 1.0, "domains": 20}}))
    kernel, tile = get_backend("cpu", "float64"), Tile(0, 0, 0, 512, 0, 512)
    kernel.render(scene, tile)
    started = time.process_time()
    kernel.render(scene, tile)
    spent = time.process_time() - started
    print(f"kernel: {spent / 512**2 / scene.steps_per_pixel * 1e9:.1f} ns a step")


if __name__ == "__main__":
    main()
