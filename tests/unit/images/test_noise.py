"""The noise stage: deviates and counts.

Compared: the compiled deviates with NumPy's of the same formulas, bit for bit; their distribution
with Poisson's own probabilities; counts of any tiling with those of the whole, bit for bit.
"""

import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.distributed.conftest import make_experiment
from tiledsim import build_scene, simulate
from tiledsim.detector_model import deviates
from tiledsim.detector_model.counts import count_photons
from tiledsim.detector_model.model import CountModel, reach
from tiledsim.detector_model.modules import DECTRIS_LAYOUTS, gaps_of
from tiledsim.detector_model.point_spread import fiber_kernel, gaussian_kernel
from tiledsim.detector_model.rows import detect_rows
from tiledsim.detector_model.spreading import whole_weights
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment, Noise, PointSpread
from tiledsim.kernels import get_backend
from tiledsim.reference import deviates as reference
from tiledsim.scene.files import read_scene, write_scene
from tiledsim.tile import Tile

MEANS = (1e-6, 1e-3, 0.1, 1.0, 5.0, 9.999, 10.0, 11.0, 15.0, 30.0, 100.0, 1e4, 1e6, 1e9)
MODEL = CountModel(
    seed=7, poisson=True, flicker=0.0, calibration=0.0, calibration_seed=1, gain=1.0, adc=0.0,
    readout=0.0, top=2**31 - 1, dtype="int32", gap=-1, dead=0, reflected=False,
)  # fmt: skip


def draw(mean: float, n: int, seed: int, shot: int) -> np.ndarray:
    photons = np.full((1, n), mean, dtype=np.float32)
    out = np.empty((1, n))
    detect_rows(photons, 0, n, seed, shot, True, 1.0, 0.0, 0, out)
    return out[0]


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_philox(counter, key, words) -> None:
    """Those of Random123's kat_vectors."""
    assert deviates.philox(*counter, *key) == words
    assert tuple(reference.philox(np.array(counter)[:, None], key)[:, 0]) == words


def test_functions_are_accurate() -> None:
    rng = np.random.default_rng(1)
    for x in 10.0 ** rng.uniform(-300, 300, 500):
        assert deviates.ln(x) == pytest.approx(math.log(x), rel=4e-16)
    for x in rng.uniform(0, 10, 500):
        assert deviates.exp_minus(x) == pytest.approx(math.exp(-x), rel=2e-15)
    for u in [*rng.uniform(0, 1, 500), 1e-16, 1e-9, 1 - 1e-9, 0.5]:
        assert deviates.quantile(u) == pytest.approx(NormalDist().inv_cdf(u), rel=1e-14, abs=1e-16)
    for mean, k in ((3.0, 0), (3.0, 7), (250.0, 260), (250.0, 90)):
        exact = k * math.log(mean) - mean - math.lgamma(k + 1)
        assert deviates.ln_probability(float(k), mean) == pytest.approx(exact, abs=1e-12)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), shot=st.integers(0, 2**32 - 1), first=st.integers(0, 2**40))
def test_same_bits_as_numpy(seed: int, shot: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    means = (10.0 ** rng.uniform(-6, 16, (3, 150))).astype(np.float32)
    means[0, :3] = 0.0, np.nan, -1.0
    out = np.empty(means.shape)
    detect_rows(means, first, 1000, seed, shot, True, 1.0, 0.0, 0, out)
    pixels = first + np.arange(3)[:, None] * 1000 + np.arange(150)
    expected = reference.poisson(means.ravel(), pixels.ravel(), seed, shot)
    np.testing.assert_array_equal(out.ravel(), expected)
    normals = [deviates.normal(p, deviates.READOUT, seed, shot) for p in pixels[0]]
    u = reference.uniforms(pixels[0], 0, deviates.READOUT, seed, shot)[0]
    np.testing.assert_array_equal(normals, reference.quantile(u))


@pytest.mark.parametrize("mean", MEANS)
def test_poisson(mean: float) -> None:
    """Mean and variance within 4.5 sigma; χ² of 100 classes likewise (3e5 draws of each mean)."""
    n = 300_000
    mean = float(np.float32(mean))
    counts = draw(mean, n, seed=4, shot=MEANS.index(min(MEANS, key=lambda m: abs(m - mean))))
    assert (counts == np.floor(counts)).all()
    assert abs(counts.mean() - mean) < 4.5 * math.sqrt(mean / n)
    assert abs(counts.var() - mean) < 4.5 * math.sqrt((mean + 2.0 * mean**2) / n)
    spread = math.sqrt(mean)
    low, high = max(0, int(mean - 9 * spread - 20)), int(mean + 9 * spread + 40)
    k = np.arange(low, high + 1, dtype=float)
    p = np.exp(reference.ln_probability(k, np.full(k.shape, mean)))
    assert p.sum() == pytest.approx(1.0, abs=1e-9)
    cut = np.unique(np.searchsorted(np.cumsum(p), np.linspace(0.01, 0.99, 99)))
    edges = np.concatenate([[low], cut[cut < len(k) - 1] + low + 1, [high + 1]])
    expected = n * np.diff(np.concatenate([[0.0], np.cumsum(p)])[edges - low])
    found = np.histogram(counts, bins=edges - 0.5)[0]
    used = expected > 5
    chi = float(((found - expected)[used] ** 2 / expected[used]).sum())
    degrees = max(int(used.sum()) - 1, 1)
    assert chi < degrees + 4.5 * math.sqrt(2 * degrees) + 10


def test_streams_do_not_correlate() -> None:
    """Shots, seeds and neighbours: correlation within 5 sigma of none."""
    n = 100_000
    base = draw(20.0, n, 1, 0)
    for other in (draw(20.0, n, 1, 1), draw(20.0, n, 2, 0), np.roll(base, 1)):
        assert abs(np.corrcoef(base, other)[0, 1]) < 5 / math.sqrt(n)


@settings(max_examples=30)
@given(
    cuts=st.tuples(st.integers(1, 60), st.integers(1, 70)),
    spread=st.sampled_from(["none", "gaussian", "fiber", "uneven"]),
    poisson=st.booleans(),
    reflected=st.booleans(),
    panel=st.integers(0, 1),
)
def test_same_counts_for_any_tiling(
    cuts, spread: str, poisson: bool, reflected: bool, panel: int
) -> None:
    shape = (4, 2, 60, 70)
    rng = np.random.default_rng(5)
    photons = (10.0 ** rng.uniform(-3, 4, shape[2:])).astype(np.float32)
    state = rng.integers(0, 30, shape[1:]).astype(np.uint8) % 27
    state[state > 3] = 0
    weights = {
        "none": None,
        "gaussian": whole_weights(gaussian_kernel(2.0, 6)),
        "fiber": whole_weights(fiber_kernel(1.2, 6)),
        "uneven": whole_weights(rng.random((13, 13))),
    }[spread]
    halo = 0 if weights is None else 6
    model = MODEL._replace(
        readout=3.0, calibration=0.03, flicker=0.1, gain=0.7, adc=40.0, reflected=reflected,
        poisson=poisson,
    )  # fmt: skip

    def counted(tile: Tile) -> np.ndarray:
        seen = reach(tile, halo, *shape[2:])
        part = photons[seen.slow_start : seen.slow_stop, seen.fast_start : seen.fast_stop]
        return count_photons(model, part, tile, shape, state=state, spread=weights).pixels

    whole = counted(Tile(2, panel, 0, 60, 0, 70))
    for slow in range(0, 60, cuts[0]):
        for fast in range(0, 70, cuts[1]):
            tile = Tile(2, panel, slow, min(slow + cuts[0], 60), fast, min(fast + cuts[1], 70))
            expected = whole[slow : tile.slow_stop, fast : tile.fast_stop]
            np.testing.assert_array_equal(counted(tile), expected)


def test_bands_do_not_show() -> None:
    """More rows than are worked on at once: as tiles of one band each."""
    shape = (1, 1, 300, 40)
    photons = np.random.default_rng(1).uniform(0, 100, shape[2:]).astype(np.float32)
    weights = whole_weights(gaussian_kernel(2.0, 5))
    whole = count_photons(MODEL, photons, Tile(0, 0, 0, 300, 0, 40), shape, spread=weights)
    for start in range(0, 300, 50):
        tile = Tile(0, 0, start, start + 50, 0, 40)
        seen = reach(tile, 5, 300, 40)
        part = photons[seen.slow_start : seen.slow_stop]
        found = count_photons(MODEL, part, tile, shape, spread=weights).pixels
        np.testing.assert_array_equal(found, whole.pixels[start : start + 50])


def with_noise(experiment: Experiment, noise: Noise) -> Experiment:
    return experiment.replace(noise=noise)


def test_calibration_is_the_same_in_every_shot_and_flicker_is_not() -> None:
    shape = (3, 1, 100, 100)
    photons = np.full(shape[2:], 1e6, dtype=np.float32)
    tile = Tile(0, 0, 0, 100, 0, 100)
    steady = MODEL._replace(poisson=False, calibration=0.03)
    first = count_photons(steady, photons, tile, shape).pixels
    later = count_photons(steady._replace(seed=99), photons, replace(tile, shot=2), shape).pixels
    np.testing.assert_array_equal(first, later)
    assert first.std() / first.mean() == pytest.approx(0.03, rel=0.03)
    flickering = MODEL._replace(poisson=False, flicker=0.2)
    shots = [
        count_photons(flickering, photons, replace(tile, shot=shot), shape).pixels
        for shot in range(3)
    ]
    assert all((shot == shot[0, 0]).all() for shot in shots)
    assert len({int(shot[0, 0]) for shot in shots}) == 3


def test_readout_gain_and_limits() -> None:
    shape = (1, 1, 100, 100)
    tile = Tile(0, 0, 0, 100, 0, 100)
    model = MODEL._replace(poisson=False, gain=1.8, adc=40.0, readout=5.0)
    image = count_photons(model, np.full(shape[2:], 100.0, np.float32), tile, shape).pixels
    assert image.mean() == pytest.approx(220.0, abs=0.25)
    assert image.std() == pytest.approx(5.0, rel=0.05)
    dark = count_photons(model._replace(adc=0.0), np.zeros(shape[2:], np.float32), tile, shape)
    assert dark.pixels.min() == 0
    small = MODEL._replace(dtype="uint16", top=65535)
    bright = count_photons(small, np.full(shape[2:], 1e6, np.float32), tile, shape)
    assert (bright.pixels == 65535).all()
    assert bright.overloads == 10_000


@pytest.mark.parametrize("name", DECTRIS_LAYOUTS)
def test_named_layouts_are_filled_by_their_modules(name: str) -> None:
    known = DECTRIS_LAYOUTS[name]
    gaps = gaps_of(name, known.slow, known.fast)
    sizes = {"pilatus": 195 * 487, "eiger": 514 * 1030, "eiger2": 512 * 1028}
    good = known.modules.across * known.modules.down * sizes[name.split("_")[0]]
    assert np.count_nonzero(~gaps) == good


def test_bad_pixels_and_gaps(tmp_path: Path) -> None:
    hot, dead = np.zeros((2, 21, 20), dtype=bool)
    hot[3, 3] = dead[4, 4] = dead[10, 5] = True
    np.save(tmp_path / "hot.npy", hot)
    np.save(tmp_path / "dead.npy", dead)
    noise = Noise(
        modules=(2, 2, 2, 1), hot_file=tmp_path / "hot.npy", dead_file=tmp_path / "dead.npy",
        dead_value=7,
    )  # fmt: skip
    image = simulate(with_noise(make_experiment(size_px=(20, 21)), noise))[0, 0]
    assert image.dtype == np.uint16
    assert (image[10, :] == 65535).all()
    assert (image[:, 9:11] == 65535).all()
    assert image[3, 3] == 65534
    assert image[4, 4] == 7


def test_simulated_counts_are_those_of_the_stored_photons() -> None:
    experiment = make_experiment(size_px=(30, 40))
    noisy = simulate(with_noise(experiment, Noise(seed=3, image="int32")))[0, 0]
    scene = build_scene(experiment)
    tile = Tile(0, 0, 0, 40, 0, 30)
    photons = get_backend("cpu").start(scene, tile).result().pixels
    model = build_scene(with_noise(experiment, Noise(seed=3, image="int32"))).noise
    assert model is not None
    expected = count_photons(model, photons, tile, scene.shape).pixels
    np.testing.assert_array_equal(noisy, expected)


def test_scene_with_noise_survives_its_files(tmp_path: Path) -> None:
    noise = Noise(modules=(2, 1, 2), point_spread=PointSpread(kind="gaussian"))
    scene = build_scene(with_noise(make_experiment(size_px=(20, 20)), noise))
    write_scene(scene, tmp_path)
    again = read_scene(tmp_path, scene.hash)
    assert again.noise == scene.noise
    np.testing.assert_array_equal(again.spread, scene.spread)
    np.testing.assert_array_equal(again.pixel_state, scene.pixel_state)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"modules": (3, 1, 2)}, "3 modules across"),
        ({"modules": "eiger_4m"}, "2070 x 2167"),
        ({"point_spread": {"kind": "fiber", "fwhm_um": 300.0, "tail": 0.001}}, "pixels wide"),
        ({"bits": 20, "image": "uint16"}, "16 bits"),
        ({"saturation_adu": 70000}, "more than 16 bits"),
        ({"gap_value": -1}, "outside uint16"),
    ],
)
def test_contradictions_are_refused(fields, said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        build_scene(with_noise(make_experiment(size_px=(20, 20)), Noise(**fields)))


def test_infinite_photons_are_refused() -> None:
    photons = np.full((2, 2), np.inf, dtype=np.float32)
    with pytest.raises(FloatingPointError, match="finite"):
        count_photons(MODEL, photons, Tile(0, 0, 0, 2, 0, 2), (1, 1, 2, 2))
