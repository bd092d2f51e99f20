"""The four spot shapes against what they should scatter, whatever any other program does.

The mean of F_latt² over a reciprocal cell is the number of cells for a crystal that is what it
says; the other shapes were made to come near it.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.scene.test_physics import experiment
from tiledsim import build_scene
from tiledsim.kernels import get_backend
from tiledsim.reference.model import lattice_factor
from tiledsim.scene import Scene
from tiledsim.tile import Tile

MEANS = {"square": 1.000, "gauss": 0.984, "tophat": 1.046, "round": 0.895}
"""Mean of F_latt² over a reciprocal cell, in units of the number of cells (docs/physics.md).

That of `round` is for five cells: what its slow tails lose at the cell's faces grows less with
their number.
"""


def mean_square(scene: Scene) -> float:
    """Mean of F_latt² over a reciprocal cell, by the midpoints of a grid, by number of cells."""
    axes = [(np.arange(16 * n) + 0.5) / (16 * n) - 0.5 for n in scene.cell_counts]
    total = 0.0
    for h in axes[0]:
        k, l = np.meshgrid(axes[1], axes[2], indexing="ij")
        delta = np.stack([np.full_like(k, h), k, l], axis=-1)
        total += float((lattice_factor(scene, 0, delta)[1] ** 2).mean())
    return total / len(axes[0]) / float(np.prod(scene.cell_counts))


@pytest.mark.parametrize("shape", MEANS)
@pytest.mark.parametrize("cells", [(5, 5, 5), (8, 8, 8), (20, 4, 6)], ids=str)
def test_mean_square_over_a_reciprocal_cell(shape: str, cells: tuple[int, int, int]) -> None:
    scene = build_scene(experiment(crystal={"shape": shape, "cells": cells}))
    found = mean_square(scene)
    if shape == "round" and cells != (5, 5, 5):
        assert MEANS[shape] < found + 0.03 < 1.03
    else:
        assert found == pytest.approx(MEANS[shape], abs=0.02)


@pytest.mark.parametrize("cells", [5, 20])
def test_a_rocking_curve_of_any_shape_has_the_same_photons(cells: int) -> None:
    def photons(shape: str) -> float:
        scene = build_scene(
            experiment(
                crystal={"cell_A_deg": (70, 80, 90, 90, 90, 90), "cells": (cells,) * 3,
                         "shape": shape, "misset_deg": (11, 23, 47)},
                detector={"size_px": (60, 60), "pixel_mm": 1.5, "distance_mm": 100.0,
                          "beam_x_mm": -10.0},
                rotation={"range_deg": 30.0, "steps": 60 * cells // 5},
                sampling={"oversample": 2 * cells // 5 + 1},
            )
        )  # fmt: skip
        return float(get_backend("cpu").render(scene, Tile(0, 0, 0, 60, 0, 60)).sum())

    square = photons("square")
    for shape in ("gauss", "tophat"):
        assert photons(shape) / square == pytest.approx(1.0, abs=0.06)


def test_the_radius_of_nanobragg_depends_on_the_cell() -> None:
    """25 times too bright at N = 5, 0.9 % at N = 20: cell 70 80 90."""
    for cells, times in ((5, 25.0), (20, 0.009)):
        made = {}
        for quirks in ((), ("gauss_width",)):
            crystal = {"cell_A_deg": (70, 80, 90, 90, 90, 90), "cells": (cells,) * 3}
            scene = build_scene(
                experiment(crystal=crystal | {"shape": "gauss"}).replace(quirks=quirks)
            )
            made[quirks] = mean_square(scene)
        assert made["gauss_width",] / made[()] == pytest.approx(times, rel=0.15)


@pytest.mark.parametrize("shape", ["gauss", "round"])
@pytest.mark.parametrize("quirk", ["running_product", "gauss_width", "sinc3_cancellation"])
def test_kernel_and_reference_see_the_same_zeros(shape: str, quirk: str) -> None:
    from tests.unit.kernels.test_cpu_against_reference import assert_close, both

    made = experiment(
        crystal={"cells": (9, 8, 7), "shape": shape},
        sampling={"oversample_omega": True, "oversample": 1},
    ).replace(quirks=("running_product", quirk))
    scene = build_scene(made)
    assert scene.quirks == tuple(sorted({"running_product", quirk}))
    assert_close(*both(made))


def test_a_step_counts_as_long_as_its_lattice_factor_is_not_zero() -> None:
    """F_latt² underflows at an exponent of 745, F_latt itself at twice that."""
    from tiledsim.kernels.cpu.backend import parameters
    from tiledsim.kernels.cpu.lattice import gauss
    from tiledsim.kernels.cpu.parameters import BLOCK, DELTA_H, LANES, LATT

    scene = replace(build_scene(experiment(crystal={"shape": "gauss", "cells": (1, 1, 1)})))
    p = parameters(scene, 0, 0, interpolate=False)
    exponents = np.linspace(700, 1600, LANES)  # of F_latt²
    offset = np.sqrt(exponents * 0.63 / 2.0)
    assert (offset > 10).all()
    # One axis of length 1 m along x, and offsets far beyond ½: stretch the metric instead.
    metric = np.diag([offset.max() / 0.4, 1.0, 1.0])
    block = np.zeros(BLOCK)
    block[DELTA_H : DELTA_H + LANES] = offset / metric[0, 0]
    gauss(p.cell_counts, metric, 1.0, block, block.view(np.int64))
    latt = block[LATT : LATT + LANES]
    np.testing.assert_array_equal(latt == 0.0, exponents > 2 * 745.1332191019411)
