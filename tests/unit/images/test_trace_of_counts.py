"""The trace of a pixel with amorphous layers and noise, against the image itself.

Compared: layers with the image without noise to 1e-6 (float32), the steps with the stored number
exactly, for pixels in the middle, at an edge and in a gap.
"""

import math

import numpy as np
import pytest

from tests.distributed.conftest import make_experiment
from tiledsim import simulate, trace
from tiledsim.experiment import Experiment, Noise, PointSpread

NOISE = Noise(
    seed=5, readout_adu=2.0, adc_adu=10.0, calibration_percent=3.0, flicker_percent=5.0,
    gain_adu_per_photon=1.5, modules=(2, 1, 4),
)  # fmt: skip
SPREADS = {
    "none": PointSpread(),
    "lost": PointSpread(kind="fiber", fwhm_um=60.0, radius_px=4),
    "reflected": PointSpread(kind="gaussian", fwhm_um=90.0, edges="reflected"),
}


def with_layers(noise: Noise | None) -> Experiment:
    layers = [
        {"material": "air", "thickness_mm": 3e-5},  # so thin that spots and layers are alike
        {"material": "water", "thickness_mm": 1e-7},
    ]
    experiment = make_experiment(size_px=(30, 40), pixel_mm=0.1)
    beam = experiment.beam.model_copy(update={"fluence_photons_per_m2": 1e27})
    return experiment.replace(beam=beam, background={"layers": layers}, noise=noise)


@pytest.mark.parametrize("spread", SPREADS)
def test_the_steps_end_at_the_stored_number(spread: str) -> None:
    noise = NOISE.model_copy(update={"point_spread": SPREADS[spread]})
    experiment = with_layers(noise)
    counts, photons = simulate(experiment)[0, 0], simulate(with_layers(None))[0, 0]
    for slow, fast in ((20, 8), (0, 0), (39, 29), (7, 15)):
        found = trace(experiment, 0, slow, fast)
        layers = [found[f"background_layer_{n}"] for n in (0, 1)]
        assert min(layers) > 0
        assert found["background_I_pixel"] == pytest.approx(sum(layers))
        assert found["image_I_pixel"] == pytest.approx(photons[slow, fast], rel=1e-6)
        assert found["kernel_I_pixel"] + found["background_I_pixel"] == pytest.approx(
            found["image_I_pixel"], rel=1e-6
        )
        assert found["noise_expected"] == found["image_I_pixel"]
        assert found["image_counts"] == counts[slow, fast]
        if found["noise_state"] == 1:
            assert found["image_counts"] == 65535
        else:
            assert math.floor(found["noise_adu"] + 0.5) == found["image_counts"]
    assert trace(experiment, 0, 7, 15)["noise_state"] == 1


def test_a_trace_without_them_ends_as_before() -> None:
    found = trace(make_experiment(size_px=(30, 40)), 0, 20, 8)
    assert found.entries[-1].key == "kernel_rel_delta"
    assert not np.isnan(found["kernel_I_pixel"])
