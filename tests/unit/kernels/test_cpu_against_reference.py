"""The CPU kernel against the reference on randomly drawn experiments."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import experiments, with_quirks
from tiledsim import build_scene, simulate
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.quirks import ALL_QUIRKS
from tiledsim.reference.model import render
from tiledsim.tile import Tile

SMALLEST_FLOAT32 = 1e-45
"""Below it an image is stored as 0: the far tail of a Gaussian is nobody's number."""


def assert_close(image: np.ndarray, reference: np.ndarray) -> None:
    floor = max(1e-12 * reference.max(), SMALLEST_FLOAT32)
    np.testing.assert_allclose(image, reference, rtol=1e-9, atol=floor)


def both(experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    scene = build_scene(experiment)
    _, _, slow, fast = scene.shape
    tile = Tile(0, 0, 0, slow, 0, fast)
    return get_backend("cpu").render(scene, tile), render(scene, tile)


@settings(max_examples=100)
@given(experiments())
def test_spec(experiment: Experiment) -> None:
    if experiment.crystal.shape == "tophat":  # a step function: rounding may move its edge
        experiment = experiment.replace(
            crystal=experiment.crystal.model_copy(update={"shape": "gauss"})
        )
    assert_close(*both(experiment))


@settings(max_examples=50)
@given(
    experiments(crystal={"cell_A_deg": (50, 60, 70, 80, 95, 100), "cells": (5, 4, 3)}),
    st.sets(st.sampled_from(ALL_QUIRKS)),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_any_set_of_quirks(
    experiment: Experiment, quirks: set[str], oversampled: tuple[bool, bool, bool]
) -> None:
    drawn = with_quirks(experiment, quirks, oversampled)
    assert_close(*both(drawn))


@settings(max_examples=40)
@given(experiments(), st.data())
def test_any_tile_is_cut_from_the_same_image(experiment: Experiment, data: st.DataObject) -> None:
    whole = simulate(experiment, backend="cpu")[0, 0]
    slow, fast = whole.shape
    s0 = data.draw(st.integers(0, slow - 1))
    f0 = data.draw(st.integers(0, fast - 1))
    s1 = data.draw(st.integers(s0 + 1, slow))
    f1 = data.draw(st.integers(f0 + 1, fast))
    tile = get_backend("cpu").render(build_scene(experiment), Tile(0, 0, s0, s1, f0, f1))
    assert tile.tobytes() == np.ascontiguousarray(whole[s0:s1, f0:f1]).tobytes()


def test_water_alone_where_the_resolution_cut_leaves_nothing() -> None:
    experiment = Experiment.model_validate(
        {
            "mode": "c-parity",
            "beam": {"wavelength_A": 1, "polarization_correction": False},
            "crystal": {"cell_A_deg": (50, 60, 70, 80, 95, 100)},
            "structure_factors": {"default_F": 10},
            "detector": {"size_px": (9, 7), "distance_mm": 50},
            "background": {"water_um": 30},
            "sampling": {"dmin_A": 1e4},
        }
    )
    image, reference = both(experiment)
    assert (image > 0).all()
    assert_close(image, reference)
