"""Crystals of many blocks in absolute photons, against the formulas of textbooks."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.command import refusal
from tiledsim import build_scene
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Beam, Crystal, Experiment
from tiledsim.kernels import get_backend
from tiledsim.reach.choice import choose
from tiledsim.reach.strongest import find_excited
from tiledsim.reference.model import render
from tiledsim.scene import Scene
from tiledsim.scene.crystal.lattice import cell_of
from tiledsim.scene.crystal.real_crystal import lit_volume_um3
from tiledsim.scene.resolved import crystals, resolved_arrays
from tiledsim.tile import Tile
from tiledsim.units import THOMSON_RADIUS_SQUARED_M2

THETA_DEG = math.degrees(math.asin(0.1))
"""Bragg angle of (0 10 0) of a cubic cell of 50 Å at 1 Å."""

SPOT_MM = 100 * math.tan(math.radians(2 * THETA_DEG))
"""Where it meets a detector 100 mm behind the sample."""


def experiment(folder: Path, **parts: Any) -> Experiment:
    (folder / "one.hkl").write_text("0 10 0 100\n")
    base: dict[str, Any] = {
        "beam": {"wavelength_A": 1.0, "fluence_photons_per_m2": 1e22},
        "crystal": {"cell_A_deg": (50, 50, 50, 90, 90, 90), "cells": (8, 8, 8), "size_um": 5.0},
        "structure_factors": {"file": folder / "one.hkl"},
        "detector": {"size_px": (64, 64), "pixel_mm": 0.05, "convention": "custom",
                     "panels": [{"origin_mm": (100, SPOT_MM + 1.6, -1.6), "fast_axis": (0, 0, 1),
                                 "slow_axis": (0, -1, 0)}]},
        "rotation": {"start_deg": THETA_DEG - 4, "range_deg": 8, "steps": 161},
        "sampling": {"oversample": 1},
    }  # fmt: skip
    for name, part in parts.items():
        base[name] = base.get(name, {}) | part
    return Experiment.model_validate(base)


def image(scene: Scene) -> np.ndarray:
    return get_backend("cpu").render(scene, Tile(0, 0, 0, scene.shape[2], 0, scene.shape[3]))


@pytest.mark.parametrize("cells", [(8, 8, 8), (12, 10, 9)])
def test_rotated_crystals_give_darwins_photons(cells: tuple[int, int, int], tmp_path: Path) -> None:
    """Φ·r_e²·P·λ³·F²·V_crystal/(V_cell²·sin 2θ·Δφ), whatever the blocks (Darwin 1914, 1922).

    Φ is spread over the angle Δφ; the reflection lies in the equator, where the Lorentz factor is
    1/sin 2θ.
    """
    scene = build_scene(experiment(tmp_path, crystal={"cells": cells}))
    two_theta = math.radians(2 * THETA_DEG)
    P = 0.5 * (1 + math.cos(two_theta) ** 2)
    expected = (
        1e22 * THOMSON_RADIUS_SQUARED_M2 * P * 1e-30 * 100.0**2 * (5e-6) ** 3
        / (50e-10**3) ** 2 / math.sin(two_theta) / math.radians(8)
    )  # fmt: skip
    assert image(scene).sum() == pytest.approx(expected, rel=0.02)


def test_the_estimate_of_describe(tmp_path: Path) -> None:
    """The strongest spot, estimated without rendering, is the rendered one's sum to a tenth."""
    scene = build_scene(experiment(tmp_path))
    found = find_excited(scene, np.array([[0, 10, 0]]), np.array([100.0]), 2.0)
    assert found.strongest_hkl == (0, 10, 0)
    assert (found.count, found.on_detector) == (1, 1)
    assert found.strongest_photons == pytest.approx(image(scene).sum(), rel=0.1)


def test_lit_volume() -> None:
    """Top hat: what is inside; Gaussian: its integral over the crystal, done numerically here."""
    crystal = Crystal(size_um=(50.0, 30.0, 80.0), block_um=1.0)
    flat = Beam(wavelength_A=1.0, beamsize_mm=0.04)
    assert lit_volume_um3(crystal, flat) == pytest.approx(50 * 30 * 40)
    round_ = Beam(wavelength_A=1.0, beamsize_mm=0.04, profile="gaussian")
    integral = 50.0
    for side in (30.0, 80.0):
        x = (np.arange(20_000) + 0.5) / 20_000 * side - side / 2
        integral *= np.exp(-4 * math.log(2) * x**2 / 40**2).mean() * side
    assert lit_volume_um3(crystal, round_) == pytest.approx(integral, rel=1e-6)
    cube = Crystal(volume_um3=27.0, block_um=1.0)
    assert lit_volume_um3(cube, flat) == pytest.approx(27.0)


def test_a_gaussian_beam_holds_its_flux() -> None:
    """Peak fluence times the profile's integral is flux times exposure."""
    beam = Beam(wavelength_A=1.0, beamsize_mm=0.02, profile="gaussian", flux_photons_per_s=1e12,
                exposure_s=0.1)  # fmt: skip
    wide = Crystal(size_um=(1.0, 1e4, 1e4), block_um=1.0)
    area_m2 = (lit_volume_um3(wide, beam) or 0.0) * 1e-12
    assert beam.fluence * area_m2 == pytest.approx(1e11)


def test_blocks_scale_the_image_and_not_the_water(tmp_path: Path) -> None:
    one = build_scene(experiment(tmp_path, crystal={"size_um": None}))
    many = build_scene(experiment(tmp_path))
    assert one.blocks == 1.0
    assert many.blocks == pytest.approx(125 * 1e12 / (8**3 * 50**3))
    np.testing.assert_allclose(image(many), image(one) * many.blocks, rtol=1e-12)
    assert many.scale_factors()["mosaic_blocks"] == many.blocks
    assert "mosaic_blocks" not in one.scale_factors()
    water = {
        "background": {"water_um": 10.0},
        "structure_factors": {"file": None, "default_F": 1e-9},
    }
    wet = [
        image(build_scene(experiment(tmp_path, crystal={"size_um": size}, **water)))
        for size in (None, 5.0)
    ]
    np.testing.assert_allclose(wet[1], wet[0], rtol=1e-9)


def test_block_um_counts_cells(tmp_path: Path) -> None:
    crystal = {"cells": (1, 1, 1), "block_um": (0.05, 0.1, 0.0001)}
    assert build_scene(experiment(tmp_path, crystal=crystal)).cell_counts == (10, 20, 1)


def test_three_mosaic_widths(tmp_path: Path) -> None:
    """Rotation vectors about a, b* and a × b* have the widths given, in any orientation."""
    widths = (0.1, 0.2, 0.4)
    made = experiment(
        tmp_path,
        crystal={"cell_A_deg": (50, 60, 70, 80, 95, 100), "misset_deg": (10, 20, 30),
                 "mosaic": {"spread_abc_deg": widths, "domains": 4000}},
        rotation={"range_deg": 0, "steps": 1},
        shots={"count": 2, "orientation": "random"},
    )  # fmt: skip
    scene = build_scene(made)
    for shot in (0, 1):
        table, rest = scene.orientation_table(shot), scene.cells[shot]
        # A domain is a rotated cell: its lengths and angles are those of the crystal.
        np.testing.assert_allclose(cell_of(table[7] * 1e10), cell_of(rest * 1e10), rtol=1e-9)
        turn = (np.linalg.inv(rest) @ table).transpose(0, 2, 1)  # rows v → v·Rᵀ
        vectors = 0.5 * np.stack(
            [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0],
             turn[:, 1, 0] - turn[:, 0, 1]], axis=1,
        )  # fmt: skip
        b_star = np.cross(rest[2], rest[0])
        axes = np.array([rest[0], b_star, np.cross(rest[0], b_star)])
        axes /= np.linalg.norm(axes, axis=1)[:, None]
        found = np.degrees(vectors @ axes.T)
        np.testing.assert_allclose(found.std(axis=0), widths, rtol=0.05)
        np.testing.assert_allclose(np.corrcoef(found.T), np.eye(3), atol=0.06)
    fewer = made.replace(
        crystal=made.crystal.model_copy(
            update={"mosaic": made.crystal.mosaic.model_copy(update={"domains": 10})}
        )
    )
    np.testing.assert_array_equal(
        build_scene(fewer).orientation_table(1), scene.orientation_table(1)[:10]
    )


def test_three_widths_in_reference_and_kernel(tmp_path: Path) -> None:
    mosaic = {"spread_abc_deg": (0.1, 0.5, 1.0), "domains": 5}
    scene = build_scene(experiment(tmp_path, crystal={"mosaic": mosaic}, rotation={"steps": 5}))
    tile = Tile(0, 0, 0, 64, 0, 64)
    np.testing.assert_allclose(image(scene), render(scene, tile), rtol=1e-9, atol=1e-20)


@pytest.mark.parametrize("widths", [(0.3, 0.3, 0.3), (2.0, 1.0, 4.0)])
def test_three_widths_in_lists_of_reflections(
    widths: tuple[float, float, float], tmp_path: Path
) -> None:
    """No reflection is left out that a domain alone brings to the sphere."""
    crystal = {"cell_A_deg": (50, 60, 70, 80, 95, 100), "cells": (60, 60, 60), "shape": "gauss",
               "size_um": 50, "misset_deg": (10, 20, 30),
               "mosaic": {"spread_abc_deg": widths, "domains": 12}}  # fmt: skip
    scene = build_scene(experiment(
        tmp_path, crystal=crystal, rotation={"start_deg": 0, "range_deg": 1, "steps": 3},
        structure_factors={"file": None, "default_F": 100.0},
        sampling={"tolerance": 1e-5, "tolerance_photons": 1e15},
        detector={"pixel_mm": 0.8, "panels": [{"origin_mm": (100, 25.6, -25.6),
                                               "fast_axis": (0, 0, 1), "slow_axis": (0, -1, 0)}]},
    ))  # fmt: skip
    assert choose(scene, "cpu").method == "events"
    tile = Tile(0, 0, 0, 64, 0, 64)
    expected = render(scene, tile)
    found, bound = get_backend("cpu").render_bounded(scene, tile)  # type: ignore[attr-defined]
    assert np.abs(found - expected).max() <= bound + 1e-9 * expected.max()
    assert bound < 0.1 * expected.max()


def test_debye_waller(tmp_path: Path) -> None:
    """F² falls by exp(−2B(sin θ/λ)²)."""
    cold, hot = (build_scene(experiment(tmp_path, crystal={"B_A2": B})) for B in (0.0, 25.0))
    ratio = hot.F_table[1, 1, 1] / cold.F_table[1, 1, 1]
    assert ratio**2 == pytest.approx(math.exp(-2 * 25 * 0.1**2))
    with pytest.raises(ExperimentError, match="B_A2 weakens"):
        build_scene(experiment(tmp_path, crystal={"B_A2": 1.0},
                               structure_factors={"file": None, "default_F": 1.0}))  # fmt: skip


@pytest.mark.parametrize(
    ("crystal", "message"),
    [
        ("size_um = 5\nvolume_um3 = 5\ncells = [5, 5, 5]", "size_um and volume_um3"),
        ("size_um = 5", "needs the mosaic blocks' size"),
        ("size_um = 5\nsize_mm = [1, 1, 1]", "excludes size_um"),
        ("block_um = 5\ncells = [5, 5, 5]", "block_um and cells"),
        ("size_um = 0.01\ncells = [50, 50, 50]", "less than one mosaic block"),
        ("size_um = -1\ncells = [5, 5, 5]", "crystal.size_um"),
        ("mosaic = { spread_deg = 1, spread_abc_deg = [1, 1, 1] }", "excludes spread_deg"),
    ],
)  # fmt: skip
def test_refused(crystal: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        "[beam]\nwavelength_A = 1.0\n[structure_factors]\ndefault_F = 1\n"
        f"[crystal]\ncell_A_deg = [50, 50, 50, 90, 90, 90]\n{crystal}\n"
    )
    assert message in refusal("describe", path)


def test_the_stored_geometry_makes_every_domain(tmp_path: Path) -> None:
    made = experiment(tmp_path, crystal={
        "mosaic": {"spread_abc_deg": (0.1, 0.4, 0.2), "domains": 5}}, rotation={"steps": 3},
    )  # fmt: skip
    scene = build_scene(made)
    found = {name: named.values for name, named in resolved_arrays(made, scene).items()}
    cells = found["domain_mix"] @ crystals(scene).values[0]
    domains = cells @ found["orientation"].transpose(0, 2, 1)
    np.testing.assert_allclose(domains, scene.orientation_table(0) * 1e10, atol=1e-9)
