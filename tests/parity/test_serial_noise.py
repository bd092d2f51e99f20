"""Noise of the mode c-parity on stored photons: nanoBragg's and noisify's noise images, to the bit.

Compared: every pixel of the programs' noise images with what is drawn of their float images.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.distributed.conftest import make_experiment
from tests.parity.golden import SHARED
from tiledsim import build_scene
from tiledsim.detector_model.serial.stage import draw_shot
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Noise, PointSpread
from tiledsim.kernels.rendered import Rendered
from tiledsim.scene import Scene
from tiledsim.scene.detector.noise import build_noise
from tiledsim.tile import Tile

golden = pytest.mark.skipif(
    not (SHARED / "golden-2" / "cases.json").exists(), reason="needs ../shared/golden-2"
)
NANOBRAGG = {
    "nan_roi_noise": {"seed": 31, "adc_adu": 15.7},
    "nan_mask_noise": {"seed": 33, "adc_adu": 40.0},
    "noise_scale_adc": {"seed": 2468, "adc_adu": 12.0},
}
NOISIFY = {
    "nf_flicker_readout": {
        "seed": 42, "calibration_seed": 7, "flicker_percent": 2.0, "calibration_percent": 5.0,
        "readout_adu": 3.0, "gain_adu_per_photon": 1.7, "adc_adu": 10.0,
    },
    "nf_readout_only": {"seed": 43, "readout_adu": 2.5, "adc_adu": 20.0},
    "nf_psf_fiber": {
        "seed": 45, "gain_adu_per_photon": 2.0, "adc_adu": 30.0,
        "point_spread": PointSpread(kind="fiber", fwhm_um=60.0),
    },
}  # fmt: skip


@dataclass
class Held:
    """Photons of a shot [slow, fast] in place of a store."""

    photons: np.ndarray

    def start(self, scene: Scene, tile: Tile, /) -> "Held":
        return self

    def result(self) -> Rendered:
        return Rendered(self.photons, np.zeros(0, dtype=np.void), 0.0)


def drawn(photons: np.ndarray, noise: Noise, **detector: Any) -> np.ndarray:
    slow, fast = photons.shape
    experiment = make_experiment(size_px=(fast, slow), pixel_mm=0.1, **detector)
    scene = build_scene(experiment.replace(noise=Noise()))
    parts = build_noise(noise, experiment.detector)
    object.__setattr__(scene, "noise", parts.model)
    return draw_shot(Held(photons.astype(np.float32)), scene, 0)[0]


def smv_pixels(path: Path, shape: tuple[int, int]) -> np.ndarray:
    return np.frombuffer(path.read_bytes()[512:], "<u2").reshape(shape)


@golden
@pytest.mark.parametrize("name", NANOBRAGG)
def test_of_nanobragg(name: str) -> None:
    folder = SHARED / ("golden" if name == "noise_scale_adc" else "golden-2")
    image = np.load(folder / f"{name}.npz")["image"]
    roi = {"roi": (10, 60, 5, 70)} if "roi" in name else {}
    counts = drawn(image, Noise(mode="c-parity", **NANOBRAGG[name]), **roi)
    np.testing.assert_array_equal(counts, smv_pixels(folder / f"{name}.noise.img", image.shape))


@golden
@pytest.mark.parametrize("name", NOISIFY)
def test_of_noisify(name: str) -> None:
    folder = SHARED / "golden-2"
    (case,) = (c for c in json.loads((folder / "cases.json").read_text()) if c["name"] == name)
    image = np.load(folder / "inputs" / case["input"])["image"]
    words = case["flags"].split()
    if "-scale" in words:
        image = image.astype(np.float64) * float(words[words.index("-scale") + 1])
    counts = drawn(image, Noise(mode="c-parity", **NOISIFY[name]))
    np.testing.assert_array_equal(counts, smv_pixels(folder / f"{name}.noise.img", image.shape))


def test_values_of_32_bits_wrap_as_those_of_noisify() -> None:
    noise = Noise(mode="c-parity", bits=32, readout_adu=50.0)
    counts = drawn(np.zeros((40, 50)), noise)
    assert counts.dtype == np.uint32
    assert (counts > 2**31).any()  # below zero


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"modules": (2, 1, 2)}, "modules: noisify"),
        ({"poisson": False}, "poisson: noisify"),
        ({"point_spread": {"kind": "fiber", "edges": "reflected"}}, "point_spread.edges: noisify"),
        ({"bits": 14}, "bits = 14"),
        ({"image": "int32"}, "image = 'int32'"),
    ],
)
def test_what_noisify_has_not_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        build_noise(Noise(mode="c-parity", **fields), make_experiment().detector)


def test_a_run_does_not_take_other_noise_silently() -> None:
    experiment = make_experiment(size_px=(20, 20)).replace(mode="c-parity", noise=Noise(seed=5))
    with pytest.raises(ExperimentError, match="serial generator"):
        build_scene(experiment)
    with pytest.raises(ExperimentError, match="serial generator"):
        build_scene(experiment.replace(mode="spec", noise=Noise(mode="c-parity")))
    chosen = build_scene(experiment.replace(noise=Noise(mode="spec"))).noise
    assert chosen is not None
    assert not chosen.serial
