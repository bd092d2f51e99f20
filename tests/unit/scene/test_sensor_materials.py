"""Sensors of a material by name.

Compared: the attenuation with the photoelectric cross sections of Elam, Ravel and Sieber (2002) as
xraydb 4.5 has them, to 3.5 %; a named sensor's scene with that of the same length, exactly.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.conftest import make_experiment
from tiledsim import build_scene
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment
from tiledsim.scene import Scene

ELAM_PER_CM = {
    ("Si", 8000): 148.6, ("Si", 12000): 44.90, ("Si", 20000): 9.523,
    ("GaAs", 8000): 358.7, ("GaAs", 12000): 863.3, ("GaAs", 35000): 46.12,
    ("CdTe", 8000): 1438.9, ("CdTe", 25000): 62.89, ("CdTe", 50000): 59.91,
}  # fmt: skip


def scene_of(energy_eV: float, **sensor: Any) -> Scene:
    experiment = make_experiment(size_px=(20, 30), sensor=sensor)
    return build_scene(experiment.replace(beam={"energy_eV": energy_eV}))


@pytest.mark.parametrize(("material", "energy"), ELAM_PER_CM)
def test_attenuation(material: str, energy: float) -> None:
    scene = scene_of(energy, material=material, thickness_um=320.0)
    assert scene.attenuation / 100.0 == pytest.approx(ELAM_PER_CM[material, energy], rel=0.035)
    given = scene_of(energy, depth_um=1e6 / scene.attenuation, thickness_um=320.0)
    assert given.attenuation == pytest.approx(scene.attenuation, rel=1e-15)
    assert replace(given, attenuation=scene.attenuation).hash == scene.hash


def test_what_cannot_be() -> None:
    with pytest.raises(ExperimentError, match="material and depth_um are both given"):
        Experiment.from_toml(
            "[beam]\nwavelength_A = 1.0\n[crystal]\ncell_A_deg = [70, 80, 90]\n"
            "[structure_factors]\ndefault_F = 1.0\n[detector.sensor]\nmaterial = 'Si'\n"
            "thickness_um = 300.0\ndepth_um = 200.0\n", Path(),
        )  # fmt: skip
    with pytest.raises(ExperimentError, match="absorption of CdTe is known from 2000"):
        scene_of(1000.0, material="CdTe", thickness_um=300.0)
    assert not scene_of(12000.0, material="Si").absorbing
