"""Several crystals in one shot: their images add up."""

from typing import Any

import numpy as np
import pytest

from tests.unit.experiment.test_campaign import campaign
from tiledsim import build_scene, simulate
from tiledsim.campaign.columns import TURN
from tiledsim.campaign.orientations import lattice_turns
from tiledsim.errors import ExperimentError
from tiledsim.scene.crystal.random import quaternion_rotations

SPUN: dict[str, Any] = {
    "crystal": {"mosaic": {"spread_deg": 0.4, "domains": 3}},
    "rotation": {"range_deg": 0.6, "step_deg": 0.3},
}
SHOTS: dict[str, dict[str, Any]] = {
    "random": {"orientation": "random"},
    "about_axis": {"orientation": "about_axis", "axis": (1, 2, 3), "range_deg": (0, 90)},
    "spread": {"orientation": "spread", "spread_deg": 20.0},
    "same": {},
}


@pytest.mark.parametrize("drawn", SHOTS)
def test_the_image_is_the_sum_of_those_of_its_crystals(drawn: str) -> None:
    parts = SPUN if drawn == "random" else {}
    given = {"lattices": {"list": (1, 3)}, "fluence_photons_per_m2": {"list": (1e28, 3e28)}}
    many = campaign(given, shots={"count": 2} | SHOTS[drawn], **parts)
    scene = build_scene(many)
    assert scene.lattices is not None
    assert scene.shot_values is not None
    turns = lattice_turns(scene.lattices, 1, 2)
    if drawn != "same":
        own = scene.shot_values[1, [scene.shot_names.index(name) for name in TURN]]
        turns = np.vstack([own, turns])
    else:
        turns = np.vstack([[1.0, 0.0, 0.0, 0.0], turns])
    matrices = quaternion_rotations(turns)
    columns = {f"U_{i + 1}{j + 1}": {"list": tuple(map(float, matrices[:, i, j]))}
               for i in range(3) for j in range(3)}  # fmt: skip
    columns["fluence_photons_per_m2"] = {"list": (3e28,) * 3}
    alone = simulate(campaign(columns, shots={"count": 3}, **parts))
    assert len({image.tobytes() for image in alone}) == 3
    images = simulate(many)
    np.testing.assert_allclose(images[1], alone.sum(axis=0), rtol=1e-6, atol=1e-12)
    del given["lattices"]
    plain = simulate(campaign(given, shots={"count": 2} | SHOTS[drawn], **parts))
    assert (images[0] == plain[0]).all()


def test_water_is_that_of_one_drop_however_many_crystals() -> None:
    parts = {"structure_factors": {"default_F": 1e-9}, "background": {"water_um": 40.0}}
    one, three = simulate(campaign({"lattices": {"list": (1, 3)}}, shots={"count": 2}, **parts))
    np.testing.assert_allclose(one, three, rtol=1e-6)


def test_numbers_of_crystals_that_make_no_sense() -> None:
    for value, match in ((0, "lattices in row 0 is 0"), (1.5, "1.5: must be a whole number")):
        with pytest.raises(ExperimentError, match=match):
            build_scene(campaign({"lattices": {"list": (value,), "repeat": True}}))
