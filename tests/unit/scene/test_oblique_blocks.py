"""Gaussian blocks whose axes are not those of the cell: a size tensor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gpu.shim_device import COMPILER, ShimDevice
from tests.unit.command import refusal
from tests.unit.scene.test_real_crystal import experiment, image
from tiledsim import build_scene
from tiledsim.errors import ExperimentError
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.reference.model import lattice_factor, render
from tiledsim.tile import Tile

TENSOR = np.array([[8.0, 2.0, -1.0], [2.0, 9.0, 3.0], [-1.0, 3.0, 7.0]])


def oblique(**more: Any) -> dict[str, Any]:
    return {"cells": (8, 9, 7), "cells_ab_bc_ac": (2.0, 3.0, -1.0), "shape": "gauss"} | more


def test_the_formula_written_out(tmp_path: Path) -> None:
    """F_latt = det N·exp(−|N·δ|²/0.63), as diffBragg has it."""
    scene = build_scene(experiment(tmp_path, crystal=oblique(fudge=1.5)))
    delta = np.random.default_rng(3).uniform(-0.1, 0.1, (50, 3))
    expected = [np.linalg.det(TENSOR) * np.exp(-1.5 * (TENSOR @ d) @ (TENSOR @ d) / 0.63)
                for d in delta]  # fmt: skip
    np.testing.assert_allclose(lattice_factor(scene, 0, delta)[1], expected, rtol=1e-12)
    assert scene.cells_in_block == pytest.approx(np.linalg.det(TENSOR))


def test_kernels_and_reference_agree(tmp_path: Path) -> None:
    """Every pixel: all steps, the culled ones to their bound, and the CUDA source."""
    every = {"sampling": {"tolerance": 0.0, "tolerance_photons": 0.0}, "rotation": {"steps": 21}}
    scene = build_scene(experiment(tmp_path, crystal=oblique(), **every))
    tile = Tile(0, 0, 0, 64, 0, 64)
    expected = render(scene, tile)
    np.testing.assert_allclose(image(scene), expected, rtol=1e-9, atol=1e-14 * expected.max())
    culled = build_scene(experiment(tmp_path, crystal=oblique(), rotation={"steps": 21}))
    found, bound = get_backend("cpu").render_bounded(culled, tile)  # type: ignore[attr-defined]
    assert np.abs(found - expected).max() <= bound + 1e-9 * expected.max()
    if COMPILER is not None:
        shim = CudaBackend("float64", ShimDevice()).render(scene, tile)
        np.testing.assert_allclose(shim, expected, rtol=1e-9, atol=1e-11 * expected.max())


def test_photons_do_not_depend_on_the_blocks(tmp_path: Path) -> None:
    """Of a crystal of one volume: Darwin's formula knows no blocks."""
    plain, turned = (
        build_scene(experiment(tmp_path, crystal=made))
        for made in ({"cells": (8, 8, 8), "shape": "gauss"}, oblique())
    )
    assert image(turned).sum() == pytest.approx(image(plain).sum(), rel=0.01)


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cells along an axis"):
        build_scene(experiment(tmp_path, crystal=oblique(cells_ab_bc_ac=(50.0, 0.0, 0.0))))
    path = tmp_path / "x.toml"
    path.write_text(
        "[beam]\nwavelength_A = 1.0\n[structure_factors]\ndefault_F = 1\n[crystal]\n"
        "cell_A_deg = [50, 50, 50, 90, 90, 90]\ncells_ab_bc_ac = [1, 0, 0]\n"
    )
    assert "belongs to blocks of shape = 'gauss'" in refusal("describe", path)
