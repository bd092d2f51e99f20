"""Panels whose pixels have other sizes, oblong ones too, as at the edges of chips."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gpu.shim_device import COMPILER, ShimDevice
from tests.unit.command import refusal
from tiledsim import build_scene, in_memory
from tiledsim.experiment import Experiment
from tiledsim.geometry_files.read import read_geometry_file
from tiledsim.geometry_files.write import described, geometry_text
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.reach.panels import meet_panels
from tiledsim.reference.model import render
from tiledsim.tile import Tile

FINE, EDGE = 0.2, (0.5, 0.2)
"""Pixels [mm] of a chip, and of the column at its edge, along fast and slow."""


def panel(x_mm: float, columns: int, **more: Any) -> dict[str, Any]:
    """A panel whose left edge is at x; all are 30 rows of 0.2 mm high."""
    return {"origin_mm": (x_mm, 3.0, -80.0), "fast_axis": (1, 0, 0), "slow_axis": (0, -1, 0),
            "size_px": (columns, 30)} | more  # fmt: skip


def chips(**parts: Any) -> Experiment:
    """Two chips of 12 columns, one wide column at the edge of each, and a coarse panel."""
    base: dict[str, Any] = {
        "beam": {"wavelength_A": 1.0, "direction": (0, 0, -1), "polarization_axis": (1, 0, 0),
                 "polarization": 0.7},
        "crystal": {"cell_A_deg": (30, 35, 40, 90, 95, 90), "misset_deg": (11, 22, 33),
                    "cells": (4, 4, 4)},
        "structure_factors": {"default_F": 100.0},
        "detector": {"convention": "custom", "pixel_mm": FINE, "size_px": (12, 30), "panels": (
            panel(4.0, 12), panel(6.4, 1, pixel_mm=EDGE), panel(6.9, 1, pixel_mm=EDGE),
            panel(7.4, 12), panel(10.0, 8, pixel_mm=0.4, size_px=(8, 15)),
        )},
        "sampling": {"oversample": 3},
    }  # fmt: skip
    for name, part in parts.items():
        base[name] = base.get(name, {}) | part
    return Experiment.model_validate(base)


@pytest.mark.parametrize("shape", ["square", "gauss"])
def test_kernel_reference_and_cuda_source_agree(shape: str) -> None:
    scene = build_scene(chips(crystal={"shape": shape}, background={"water_um": 5.0}))
    for number in range(5):
        tile = Tile(0, number, 0, 30, 0, 12)
        expected = render(scene, tile)
        got = get_backend("cpu").render(scene, tile)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12 * expected.max())
        if COMPILER is not None:
            shim = CudaBackend("float64", ShimDevice()).render(scene, tile)
            np.testing.assert_allclose(shim, expected, rtol=1e-9, atol=1e-11 * expected.max())


def test_a_wide_pixel_holds_what_narrow_ones_in_its_place_would() -> None:
    """0.5 mm are five columns of 0.1 mm, and so are the photons; likewise 0.4 mm squares."""
    even = {"pixel_mm": 0.1, "size_px": (50, 60)}
    narrow = chips(
        detector=even | {"panels": (
            panel(6.4, 5, size_px=(5, 60)), panel(10.0, 32, size_px=(32, 60)),
        )},
        crystal={"cells": (2, 2, 2)}, sampling={"oversample": 6},
    )  # fmt: skip
    fine = in_memory.simulate(narrow)[0]
    wide = in_memory.simulate(chips(crystal={"cells": (2, 2, 2)}, sampling={"oversample": 30}))[0]
    column = fine[0, :60, :5].reshape(30, 2, 5).sum(axis=(1, 2))
    np.testing.assert_allclose(wide[1, :, 0], column, rtol=1e-3, atol=1e-4 * column.max())
    coarse = fine[1, :60, :32].reshape(15, 4, 8, 4).sum(axis=(1, 3))
    np.testing.assert_allclose(wide[4, :15, :8], coarse, rtol=1e-3, atol=1e-4 * coarse.max())
    assert not wide[1, :, 1:].any()


def test_rays_meet_the_pixels_that_they_meet() -> None:
    scene = build_scene(chips())
    places = np.array([[6.65, -1.1, -80.0], [7.3, -2.9, -80.0], [10.0 + 3.5 * 0.4, 1.2, -80.0]])
    which, slow, fast = meet_panels(
        scene, places / np.linalg.norm(places, axis=1)[:, None], seen=True
    )
    assert which.tolist() == [1, 2, 4]
    np.testing.assert_allclose(fast, [0.5, 0.8, 3.5], atol=1e-9)
    np.testing.assert_allclose(slow, [4.1 / 0.2, 5.9 / 0.2, 1.8 / 0.4], atol=1e-9)


@pytest.mark.parametrize("to", ["expt", "geom", "toml"])
def test_files_hold_them(to: Any, tmp_path: Path) -> None:
    before = described(chips())
    path = tmp_path / f"x.{to}"
    path.write_text(geometry_text(before, to))
    if to == "toml":
        crystal = (
            "" if "[crystal]" in path.read_text() else "[crystal]\ncell_A_deg = [9,9,9,90,90,90]"
        )
        text = f"{path.read_text()}\n{crystal}\n[structure_factors]\ndefault_F = 1\n"
        again = described(Experiment.from_toml(text, tmp_path))
    else:
        again = read_geometry_file(path)
    for old, new in zip(before.panels, again.panels, strict=True):
        np.testing.assert_allclose(new.corners(), old.corners(), rtol=0, atol=1e-9)
        assert new.size_px == old.size_px
        assert new.pixel_mm == pytest.approx(old.pixel_mm, rel=1e-14)


def test_a_point_spread_needs_pixels_of_one_size(tmp_path: Path) -> None:
    noise = {"point_spread": {"kind": "gaussian", "fwhm_um": 100.0}}
    (tmp_path / "x.toml").write_text(chips(noise=noise).to_toml())
    assert "square pixels of one size" in refusal("describe", tmp_path / "x.toml")
