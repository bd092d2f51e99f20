"""A rotation series in one run, and keys of an experiment set on the command line."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.unit.command import refusal, tiledsim
from tiledsim import in_memory
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment, load
from tiledsim.scene.build import build_scene

SERIES = """
[beam]
wavelength_A = 1.1
[crystal]
cell_A_deg = [40, 50, 60, 90, 90, 90]
misset_deg = [10, 20, 30]
cells = [5, 5, 5]
[structure_factors]
default_F = 100
[detector]
pixel_mm = 1.0
size_px = [24, 20]
distance_mm = 60
[sampling]
oversample = 1
[rotation]
start_deg = 30
step_deg = 0.5
frames = 4
steps = 3
"""


def experiment(*changes: str) -> Experiment:
    return Experiment.from_toml(SERIES, Path("/"), changes)


def test_frames_are_the_exposures_one_by_one() -> None:
    series = in_memory.simulate(experiment())
    assert series.shape == (4, 1, 20, 24)
    for frame in range(4):
        alone = in_memory.simulate(
            experiment(
                "rotation.frames=",
                f"rotation.start_deg={30 + frame * 0.5}",
                "rotation.range_deg=0.5",
                "rotation.step_deg=",
            )
        )
        np.testing.assert_allclose(series[frame], alone[0], rtol=1e-9)
    assert np.abs(series[1] - series[0]).max() > 0.01 * series[0].max()


def test_a_frame_has_ten_steps_where_nobody_says_how_many() -> None:
    scene = build_scene(experiment("rotation.steps="))
    np.testing.assert_allclose(np.degrees(scene.phi), 30 + 0.05 * np.arange(10))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("rotation.step_deg=", "step_deg is not given"),
        ("rotation.step_deg=-1", "step_deg = -1"),
        ("rotation.range_deg=2", "frames and range_deg"),
        ("rotation.steps=0", "rotation.steps = 0"),
        ("shots.count=3", "rotation.frames and"),
        ("mode=c-parity", "phi_carryover"),
        ("rotation.frame=3", "did you mean 'rotation.frames'"),
        ("rotation.frames", "must be key=value"),
        ("=3", "must be key=value"),
        ("crystal.cells[7]=3", "no such key"),
        ("crystal.cells=[1,2", "not valid TOML"),
        ("beam.wavelength_A.x=3", "no such key"),
        ("detector..pixel_mm=3", "must be key=value"),
    ],
)
def test_what_makes_no_series_is_refused(change: str, said: str) -> None:
    with pytest.raises(ExperimentError, match=said) as raised:
        experiment(change)
    assert "\n" not in str(raised.value)


def test_changes_reach_lists_and_new_sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = experiment("crystal.cells[1]=9", "crystal.shape=gauss", "detector.mask_file=m.npy",
                       "sampling.oversample=auto", "crystal.mosaic.spread_deg=0.1")  # fmt: skip
    assert found.crystal.cells == (5, 9, 5)
    assert found.crystal.shape == "gauss"
    assert found.detector.mask_file == tmp_path / "m.npy"
    assert found.crystal.mosaic.spread_deg == 0.1


def test_a_series_is_one_store_with_its_angles(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    toml = tmp_path / "x.toml"
    toml.write_text(SERIES)
    store = tmp_path / "x.zarr"
    done = tiledsim("run", toml, "-o", store, "--set", "rotation.frames=3", "--quiet")
    assert done.returncode == 0, done.stderr
    image = xarray.open_zarr(store, consolidated=False)["image"]
    np.testing.assert_allclose(image.coords["angle_deg"], [30, 30.5, 31])
    expected = in_memory.simulate(load(toml, ["rotation.frames=3"]))
    np.testing.assert_allclose(image, expected, rtol=1e-6)
    again = tiledsim("run", toml, "-o", store, "--set", "rotation.frames=3", "--resume", "--quiet")
    assert again.returncode == 0, again.stderr
    more = tiledsim("run", toml, "-o", store, "--resume", "--quiet")  # the frame that is left
    assert more.returncode == 0, more.stderr
    image = xarray.open_zarr(store, consolidated=False)["image"]
    np.testing.assert_allclose(image.coords["angle_deg"], [30, 30.5, 31, 31.5])
    np.testing.assert_allclose(image, in_memory.simulate(load(toml)), rtol=1e-6)
    fewer = ("--set", "rotation.frames=2", "--resume", "--quiet")
    assert "rotation.frames" in refusal("run", toml, "-o", store, *fewer)
    flags = ("describe", "--set", "crystal.cells=[3,3,3]", "--json")
    words = ("-cell", "70", "80", "90", "90", "90", "90", "-default_F", "100", "-lambda", "1")
    assert tiledsim(*flags, "--", *words).returncode == 0
    assert math.isfinite(float(image.max()))
