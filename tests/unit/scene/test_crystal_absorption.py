"""What a crystal lets out: closed forms, integrals done here, and the photons of an image."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gpu.shim_device import COMPILER, ShimDevice
from tests.unit.command import refusal
from tests.unit.scene.test_real_crystal import experiment, image
from tiledsim import build_scene, in_memory
from tiledsim.detector_model.stage import start_tile
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.reach.strongest import find_excited
from tiledsim.reference.trace import trace
from tiledsim.scene import Scene
from tiledsim.scene.crystal.absorption import CrystalAbsorption, slab, sphere, transmission
from tiledsim.scene.files import read_scene, write_scene
from tiledsim.tile import Tile


def crystal(**absorption: Any) -> dict[str, Any]:
    return {"absorption": {"shape": "slab", "length_mm": 0.2, "size_um": 100.0} | absorption}


@pytest.mark.parametrize("depth", [0.01, 0.3, 1.0, 4.0])
def test_a_sphere_as_the_international_tables_have_it(depth: float) -> None:
    """The closed forms for θ = 0 and θ = 90° of volume C, section 6.3.3."""
    straight = 1.5 / depth**3 * (0.5 - math.exp(-2 * depth) * (0.5 + depth + depth**2))
    back = 0.75 / depth * (0.5 - (1 - (1 + 4 * depth) * math.exp(-4 * depth)) / (16 * depth**2))
    np.testing.assert_allclose(sphere(depth, np.array([1.0, -1.0])), [straight, back], rtol=1e-10)


def test_a_sphere_between_by_points_thrown_at_it() -> None:
    rng = np.random.default_rng(5)
    points = rng.uniform(-1, 1, (400_000, 3))
    points = points[(points**2).sum(axis=1) < 1]
    absorption = CrystalAbsorption("sphere", 2.0, 1.0, 1.0)
    for angle in (20.0, 60.0, 110.0):
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        room = 1 - (points**2).sum(axis=1)
        along_in, along_out = points[:, 2], points @ [s, 0.0, c]
        path = along_in + np.sqrt(along_in**2 + room) - along_out + np.sqrt(along_out**2 + room)
        thrown = np.exp(-path)
        error = 5 * thrown.std() / math.sqrt(len(path))
        assert transmission(absorption, 1.0, np.array([c])) == pytest.approx(
            thrown.mean(), abs=error
        )


@pytest.mark.parametrize("angle", [0.0, 30.0, 75.0, 89.99, 90.0, 110.0, 180.0])
def test_a_slab_by_its_integral(angle: float) -> None:
    """The mean over the depth x of the way in and the way out, summed here."""
    depth, c = 0.7, math.cos(math.radians(angle))
    x = (np.arange(200_000) + 0.5) / 200_000
    with np.errstate(over="ignore"):
        out = (1 - x) / max(c, 1e-14) if c >= 0 else x / -c
        expected = np.exp(-depth * (x + out)).mean()
    assert slab(depth, np.array([c]))[0] == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_shorter_waves_are_absorbed_less() -> None:
    absorption = CrystalAbsorption("slab", 1e-4, 1e4, 1e-10)
    straight = np.array([1.0])
    assert transmission(absorption, 1e-10, straight)[0] == pytest.approx(math.exp(-1))
    assert transmission(absorption, 0.5e-10, straight)[0] == pytest.approx(math.exp(-1 / 8))


def stored(scene: Scene, backend: Any) -> np.ndarray:
    """A tile as a task keeps it."""
    return np.asarray(start_tile(backend, scene, Tile(0, 0, 0, 64, 0, 64)).result().pixels)


def test_an_image_is_dimmed_and_its_background_is_not(tmp_path: Path) -> None:
    """Every pixel by its own angle, in memory, in a task, with the CUDA source; not the layers."""
    layer = {"layers": [{"material": "water", "thickness_mm": 0.5}]}
    bare = build_scene(experiment(tmp_path, background=layer))
    scene = build_scene(experiment(tmp_path, background=layer, crystal=crystal()))
    spots = image(bare)
    layers = in_memory.simulate(bare)[0, 0] - spots
    assert layers.max() > 0
    # The panel is at x = 100 mm, its rows along −y, its columns along z, of 0.05 mm.
    y = 100 * math.tan(2 * math.asin(0.1)) + 1.6 - (np.arange(64)[:, None] + 0.5) * 0.05
    z = -1.6 + (np.arange(64) + 0.5) * 0.05
    cosine = 100 / np.sqrt(100**2 + y**2 + z**2)
    depth = 0.5
    more = depth * (1 / cosine - 1)
    expected = spots * math.exp(-depth) * (1 - np.exp(-more)) / more + layers
    np.testing.assert_allclose(in_memory.simulate(scene)[0, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(stored(scene, get_backend("cpu")), expected, rtol=1e-6)
    if COMPILER is not None:
        shim = stored(scene, CudaBackend("float64", ShimDevice()))
        np.testing.assert_allclose(shim, expected, rtol=1e-6)
    found = trace(scene, 0, 30, 31, backend="cpu")
    left = (expected - layers)[30, 31] / spots[30, 31]
    assert found["crystal_transmission"] == pytest.approx(left, rel=1e-9)


def test_the_estimate_knows_it(tmp_path: Path) -> None:
    plain, dim = (
        find_excited(build_scene(made), np.array([[0, 10, 0]]), np.array([100.0]), 2.0)
        for made in (experiment(tmp_path), experiment(tmp_path, crystal=crystal(shape="sphere")))
    )
    radius_in_lengths = 0.25
    left = sphere(radius_in_lengths, np.array([math.cos(2 * math.asin(0.1))]))[0]
    assert dim.strongest_photons / plain.strongest_photons == pytest.approx(left, rel=1e-5)


def test_the_crystal_gives_the_size_and_a_scene_is_read_back(tmp_path: Path) -> None:
    scene = build_scene(
        experiment(tmp_path, crystal={"absorption": {"shape": "sphere", "length_mm": 2.0}})
    )
    assert scene.absorption == CrystalAbsorption("sphere", 5e-6, 500.0, 1e-10)
    write_scene(scene, tmp_path)
    again = read_scene(tmp_path, scene.hash)
    assert again.absorption == scene.absorption


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crystal": {"size_um": None, **crystal(size_um=None)}}, "needs the crystal's size"),
        ({"crystal": crystal(length_mm=0.001)}, "let nothing out"),
        ({"crystal": {"size_um": None, **crystal()}, "mode": "c-parity"}, "not nanoBragg's"),
    ],
)
def test_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    mode = change.pop("mode", "spec")
    made = experiment(tmp_path, **change)
    (tmp_path / "x.toml").write_text(made.replace(mode=mode).to_toml())
    assert message in refusal("describe", tmp_path / "x.toml")
