"""Predicted reflections are where the image has its spots, and as bright."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.command import tiledsim
from tiledsim import Experiment, build_scene, simulate, spots


def _experiment(**changes: Any) -> Experiment:
    parts: dict[str, Any] = {
        "beam": {"wavelength_A": 1.0, "flux_photons_per_s": 1e16, "polarization": 0.6},
        "crystal": {
            "cell_A_deg": (30, 40, 50, 80, 95, 105),
            "misset_deg": (10, 20, 30),
            "cells": (25, 20, 15),
            "shape": "gauss",
            "mosaic": {"spread_deg": 0.6, "domains": 8},
        },
        "structure_factors": {"default_F": 100},
        "detector": {"size_px": (150, 150), "distance_mm": 60, "pixel_mm": 0.15},
        "sampling": {"oversample": 3, "tolerance": 0},
    }
    return Experiment(**{name: parts.get(name, {}) | changes.get(name, {}) for name in parts})


@pytest.mark.parametrize("shape", ["gauss", "tophat"])
@pytest.mark.parametrize("beam", [{}, {"dispersion_percent": 2, "dispersion_steps": 5}])
def test_a_spot_has_its_photons_where_it_is_said_to_be(shape: str, beam: dict[str, Any]) -> None:
    base = _experiment()
    experiment = base.replace(
        crystal=base.crystal.model_copy(update={"shape": shape}),
        beam=base.beam.model_copy(update=beam),
        # The edge of a top hat is sharp, and many of its spots are slivers.
        sampling=base.sampling.model_copy(update={"oversample": 12 if shape == "tophat" else 3}),
    )
    image = simulate(experiment, backend="cpu")[0, 0]
    found = spots(experiment)
    chosen = found[found["photons"] > 0.02 * found["photons"].max()]
    compared = 0
    slow, fast = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    for row in chosen:
        others = found[(found[["h", "k", "l"]] != row[["h", "k", "l"]])]
        away = np.hypot(others["fast_px"] - row["fast_px"], others["slow_px"] - row["slow_px"])
        edge = min(row["fast_px"], 150 - row["fast_px"], row["slow_px"], 150 - row["slow_px"])
        if away.min() < 14 or edge < 8:
            continue
        if np.hypot(row["fast_px"] - 75.5, row["slow_px"] - 75.5) < 20:
            continue
        near = np.hypot(fast - row["fast_px"], slow - row["slow_px"]) < 7
        box = np.where(near, image, 0.0)
        assert box.sum() == pytest.approx(row["photons"], rel=0.08 if shape == "tophat" else 0.002)
        assert (box * fast).sum() / box.sum() == pytest.approx(row["fast_px"], abs=0.25)
        assert (box * slow).sum() / box.sum() == pytest.approx(row["slow_px"], abs=0.25)
        compared += 1
    assert compared >= 3
    # All but the reflection 0 0 0, which is the beam itself.
    beside = image[np.hypot(fast - 75.5, slow - 75.5) > 10].sum()
    assert found["photons"].sum() == pytest.approx(beside, rel=0.01)


def test_shots_and_panels_have_rows_of_their_own() -> None:
    base = _experiment()
    panels = [
        {"origin_mm": (60.0, -3.0, z), "fast_axis": (0, 0, 1), "slow_axis": (0, 1, 0)}
        for z in (-9.0, 3.0)
    ]
    experiment = Experiment(
        beam=base.beam,
        crystal=base.crystal,
        structure_factors=base.structure_factors,
        detector={"size_px": (40, 40), "pixel_mm": 0.15, "panels": panels},
        shots={"count": 2, "orientation": "random"},
    )
    found = spots(experiment)
    assert set(found["shot"]) == set(found["panel"]) == {0, 1}
    order = np.lexsort([found[name] for name in ("l", "k", "h", "panel", "shot")])
    assert np.array_equal(order, np.arange(len(found)))


def test_blocks_of_a_crystal_multiply_its_photons() -> None:
    one = _experiment()
    scene = build_scene(one)
    block_um3 = abs(np.linalg.det(scene.cells[0])) * 25 * 20 * 15 * 1e18
    many = _experiment(crystal={"volume_um3": 20.0 * block_um3})
    np.testing.assert_allclose(spots(many)["photons"], 20.0 * spots(one)["photons"], rtol=1e-9)
    np.testing.assert_allclose(simulate(many), 20.0 * simulate(one), rtol=1e-6)


def test_shots_of_a_campaign_have_the_spots_of_their_own_experiments() -> None:
    columns: dict[str, Any] = {
        "fluence_photons_per_m2": {"list": (1e20, 5e20, 2e20)},
        "distance_mm": {"list": (60.0, 55.0, 70.0)},
        "wavelength_A": {"list": (1.0, 1.05, 0.9)},
        "cell_b_A": {"list": (40.0, 41.0, 39.0)},
    }
    found = spots(_experiment().replace(shots={"count": 3, "columns": columns}))
    for shot in range(3):
        fluence, distance, wavelength, b = (c["list"][shot] for c in columns.values())
        own = spots(_experiment(
            beam={"wavelength_A": wavelength, "fluence_photons_per_m2": fluence,
                  "flux_photons_per_s": None},
            detector={"distance_mm": distance},
            crystal={"cell_A_deg": (30, b, 50, 80, 95, 105)},
        ))  # fmt: skip
        mine = found[found["shot"] == shot]
        assert len(own) > 10
        assert mine[["panel", "h", "k", "l"]].tolist() == own[["panel", "h", "k", "l"]].tolist()
        for name in ("fast_px", "slow_px", "two_theta_deg", "wavelength_A", "photons"):
            np.testing.assert_allclose(mine[name], own[name], rtol=1e-7, atol=1e-9)


def test_the_command_writes_the_same_table(tmp_path: Path) -> None:
    shots = {"count": 2, "orientation": "random",
             "columns": {"fluence_photons_per_m2": {"list": (1e20, 3e20)}}}  # fmt: skip
    experiment = _experiment(sampling={"tolerance": 0}).replace(shots=shots)
    path = tmp_path / "experiment.toml"
    path.write_text(experiment.to_toml())
    done = tiledsim("spots", str(path), "--csv", str(tmp_path / "spots.csv"))
    assert done.returncode == 0, done.stderr
    with (tmp_path / "spots.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = spots(experiment)
    assert {row["shot"] for row in rows} == {"0", "1"}
    assert [int(row["h"]) for row in rows] == found["h"].tolist()
    assert [float(row["photons"]) for row in rows] == found["photons"].tolist()
    shown = tiledsim("spots", str(path), "--min-photons", "1e9")
    assert shown.returncode == 0
    assert "two_theta_deg" in shown.stdout


def test_a_curved_detector_is_refused_in_one_line(tmp_path: Path) -> None:
    base = _experiment()
    curved = base.replace(detector=base.detector.model_copy(update={"curved": True}))
    path = tmp_path / "experiment.toml"
    path.write_text(curved.to_toml())
    done = tiledsim("spots", str(path))
    assert done.returncode == 2
    assert "curved" in done.stderr
