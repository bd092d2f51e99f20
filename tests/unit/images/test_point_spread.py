"""The point spread: its kernels, light that is spread to the bit, edges, and bad files."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.distributed.conftest import make_experiment
from tests.unit.images.test_noise import MODEL
from tiledsim import build_scene
from tiledsim.detector_model.counts import count_photons
from tiledsim.detector_model.point_spread import fiber_kernel, gaussian_kernel, radius_of_tail
from tiledsim.detector_model.spreading import side_of_block, spread_light, whole_weights
from tiledsim.errors import InputFileError
from tiledsim.experiment import Noise, PointSpread
from tiledsim.tile import Tile


@pytest.mark.parametrize("make", [gaussian_kernel, fiber_kernel])
def test_point_spread(make) -> None:
    """The kernel's own shape is what a single bright pixel becomes; nothing is lost inside."""
    kernel = make(1.7, 9)
    assert kernel.sum() < 1.0
    weights = whole_weights(kernel)
    photons = np.zeros((50, 60), dtype=np.float32)
    photons[20, 30] = 2.0**30
    model = MODEL._replace(poisson=False, gain=1.0, dtype="uint32", top=2**32 - 1)
    shape = (1, 1, 50, 60)
    image = count_photons(model, photons, Tile(0, 0, 0, 50, 0, 60), shape, spread=weights).pixels
    expected = np.zeros(image.shape)
    expected[11:30, 21:40] = kernel / kernel.sum() * 2.0**30
    assert np.abs(image - expected).max() <= 0.5 + 1e-6
    assert math.fsum(weights.ravel()) == 1.0
    off = np.abs(weights - kernel / kernel.sum())
    off[9, 9] = 0.0  # has what rounding leaves
    assert off.max() <= 2.0**-41


def exactly_spread(light: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sum in whole numbers of any length."""
    radius = len(weights) // 2
    rows, cols = (n - 2 * radius for n in light.shape)
    units, values = (weights * 2.0**40).astype(np.int64), light.astype(np.int64).astype(object)
    out = np.zeros((rows, cols), dtype=object)
    for i in range(len(weights)):
        for j in range(len(weights)):
            down, across = 2 * radius - i, 2 * radius - j
            out += int(units[i, j]) * values[down : down + rows, across : across + cols]
    return out


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), kind=st.sampled_from(["fiber", "flat", "random"]),
       brightest=st.sampled_from([3.0, 1e5, 2.0**20 - 1, 2.0**31]))  # fmt: skip
def test_light_is_spread_exactly(seed: int, kind: str, brightest: float) -> None:
    """As in whole numbers; the sum is rounded once, at most once more where it exceeds 2^60."""
    rng = np.random.default_rng(seed)
    kernels = {"fiber": fiber_kernel(1.1, 4), "flat": np.ones((9, 9)), "random": rng.random((9, 9))}
    weights = whole_weights(kernels[kind])
    light = np.floor(brightest ** rng.uniform(0, 1, (38, 48)))
    if seed % 2:
        light[:] = brightest
    made = [spread_light(light, weights, side, 0) for side in (64, 128, 256)]
    assert made[0].tobytes() == made[1].tobytes() == made[2].tobytes()
    exact = exactly_spread(light, weights)
    if brightest < 2.0**20:
        np.testing.assert_array_equal(made[0], [[float(x) / 2**40 for x in row] for row in exact])
    difference = [
        abs(int(m * 2.0**40) - x) / x for m, x in zip(made[0].flat, exact.flat, strict=True)
    ]
    assert max(difference) < 5e-16


def test_light_is_split_where_a_transform_would_not_be_exact() -> None:
    weights = whole_weights(np.ones((3, 3)))
    light = np.full((1026, 1026), 2.0**20 - 1)
    spread = spread_light(light, weights, 2048, 0)
    assert (spread == 2.0**20 - 1).all()


@pytest.mark.parametrize("kernel", [gaussian_kernel(1.5, 5), fiber_kernel(1.5, 5)])
def test_no_light_is_lost(kernel: np.ndarray) -> None:
    light = np.zeros((90, 90))
    light[20:70, 20:70] = np.random.default_rng(1).poisson(30.0, (50, 50))
    spread = spread_light(light, whole_weights(kernel), 64, 0)
    assert math.fsum(spread.ravel()) == light.sum()


def test_blocks_are_no_larger_than_they_need_be() -> None:
    assert side_of_block(20, 4096, 4096) == 256
    assert side_of_block(1, 10, 10) == 64
    assert side_of_block(512, 4096, 4096) <= 4096


def test_asymmetric_kernel_points_the_right_way(tmp_path: Path) -> None:
    kernel = np.zeros((3, 5))
    kernel[1, 2], kernel[1, 4], kernel[0, 2] = 0.5, 0.3, 0.2
    np.save(tmp_path / "k.npy", kernel)
    noise = Noise(poisson=False, point_spread=PointSpread(kernel_file=tmp_path / "k.npy"))
    scene = build_scene(make_experiment(size_px=(20, 20)).replace(noise=noise))
    photons = np.zeros((20, 20), dtype=np.float32)
    photons[10, 10] = 1000.0
    assert scene.noise is not None
    assert scene.halo == 2
    tile = Tile(0, 0, 0, 20, 0, 20)
    image = count_photons(scene.noise, photons, tile, scene.shape, spread=scene.spread).pixels
    assert image[10, 10] == 500
    assert image[10, 12] == 300
    assert image[9, 10] == 200
    assert image.sum() == 1000


@pytest.mark.parametrize(("edges", "kept"), [("lost", 0.75), ("reflected", 1.0)])
def test_edges(edges: str, kept: float, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "k.txt", [[0, 1, 0], [1, 4, 1], [0, 1, 0]])
    spread = PointSpread(kernel_file=tmp_path / "k.txt", edges=edges)
    noise = Noise(poisson=False, point_spread=spread)
    scene = build_scene(make_experiment(size_px=(8, 8)).replace(noise=noise))
    photons = np.zeros((8, 8), dtype=np.float32)
    photons[0, 7] = 800.0
    assert scene.noise is not None
    tile = Tile(0, 0, 0, 8, 0, 8)
    image = count_photons(scene.noise, photons, tile, scene.shape, spread=scene.spread).pixels
    assert image.sum() == 800 * kept


def test_radius_leaves_out_no_more_than_the_tail() -> None:
    for kind, kernel in (("gaussian", gaussian_kernel), ("fiber", fiber_kernel)):
        for tail in (0.1, 0.02):
            radius = radius_of_tail(kind, 2.0, tail)
            assert 1.0 - kernel(2.0, radius).sum() <= tail


@pytest.mark.parametrize(
    ("text", "said"),
    [("1 2\n3 4", "odd numbers"), ("a b c", "cannot be read"), ("1 -1 1", "at least 0"),
     ("nan", "finite"), ("0", "not all 0")],
)  # fmt: skip
def test_bad_kernels_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "k.txt").write_text(text)
    noise = Noise(point_spread=PointSpread(kernel_file=tmp_path / "k.txt"))
    with pytest.raises(InputFileError, match=said):
        build_scene(make_experiment(size_px=(20, 20)).replace(noise=noise))
