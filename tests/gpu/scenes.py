"""Small scenes for the tests of the CUDA backend, and how close to the CPU kernel it has to be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tiledsim import build_scene
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.reference.correction_ranges import tile_ranges
from tiledsim.scene import Scene
from tiledsim.tile import Tile


def whole(scene: Scene, shot: int = 0, panel: int = 0) -> Tile:
    return Tile(shot, panel, 0, scene.shape[2], 0, scene.shape[3])


def most_photons(scene: Scene, tile: Tile) -> float:
    """What a pixel would hold if every step met a reflection: F²·N²·scale·steps·Ω."""
    cells = float(np.prod(scene.cell_counts)) * max(1.0, scene.fudge)
    factor = max(float(np.abs(scene.F_table).max()), abs(scene.default_F))
    solid_angle = tile_ranges(scene, tile)["omega_max"]
    return (factor * cells) ** 2 * scene.scale * scene.steps * solid_angle


def every_step(scene: Scene, tile: Tile) -> np.ndarray:
    """The image of the CPU kernel, no step left out."""
    return get_backend("cpu").render(replace(scene, tolerance=0.0), tile)


def assert_as_the_cpu_kernel(image: np.ndarray, scene: Scene, tile: Tile, dtype: str) -> None:
    expected = every_step(scene, tile)
    error, largest = np.abs(image - expected), expected.max()
    if dtype == "float64":
        # A lattice factor is exact to some 1e-15 of N, so its square is to 1e-15·N times itself.
        possible = most_photons(scene, tile)
        bound = 1e-11 * largest + 1e-14 * np.sqrt(largest * possible) + 1e-28 * possible
        assert (error <= bound).all()
    else:
        seen = expected > 1e-6 * largest
        assert (error[seen] <= 1e-4 * expected[seen]).all()
        assert image.sum() == pytest.approx(expected.sum(), rel=1e-5)


def described(**parts: Any) -> Scene:
    """A small scene with what is given."""
    base: dict[str, Any] = {
        "beam": {"wavelength_A": 1.2},
        "crystal": {"cell_A_deg": (50, 60, 70, 80, 95, 100), "cells": (7, 8, 9)},
        "structure_factors": {"default_F": 100},
        "detector": {"size_px": (75, 61), "pixel_mm": 0.2, "distance_mm": 90},
    }
    for name, part in parts.items():
        base[name] = base.get(name, {}) | part if isinstance(part, dict) else part
    return build_scene(Experiment.model_validate(base))


def thousand_cells(shape: str, side: int) -> Scene:
    return described(
        beam={"wavelength_A": 0.7},
        crystal={"cells": (1000, 1000, 1000), "shape": shape, "misset_deg": (11, 23, 47),
                 "mosaic": {"spread_deg": 0.2, "domains": 50}},
        detector={"size_px": (side, side), "pixel_mm": 0.1, "distance_mm": 200},
        rotation={"range_deg": 0.5, "steps": 10},
        sampling={"oversample": 1},
    )  # fmt: skip


def assert_close_to_the_maximum_around(image: np.ndarray, expected: np.ndarray) -> None:
    """Every pixel within 1e-3 of the maximum around it, the sum within 1e-5."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(expected, 4), (9, 9)).max((2, 3))
    assert (np.abs(image - expected) <= 1e-3 * around).all()
    assert image.sum() == pytest.approx(expected.sum(), rel=1e-5)
