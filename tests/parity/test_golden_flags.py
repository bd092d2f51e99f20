"""240 random command lines, each with nanoBragg's image of it.

Compared: every pixel in c-parity, from the CPU kernel, and of every eighth from the reference.  How
closely: as in test_golden.py.
"""

import json
import shlex
from functools import lru_cache

import numpy as np
import pytest

from tests.parity.golden import SHARED
from tests.parity.test_golden import assert_parity
from tiledsim import build_scene, experiment_from_nanobragg
from tiledsim.kernels import get_backend
from tiledsim.reference.model import render
from tiledsim.scene import Scene
from tiledsim.tile import Tile

FOLDER = SHARED / "golden-flags"


def _flags() -> dict[str, str]:
    listing = FOLDER / "cases.json"
    if not listing.is_file():
        return {}
    return {case["name"]: case["flags"] for case in json.loads(listing.read_text())}


FLAGS = _flags()
pytestmark = pytest.mark.skipif(not FLAGS, reason="../shared/golden-flags is not beside it")


@lru_cache(maxsize=1)
def images() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "images.npz") as kept:
        return {name: kept[name].astype(np.float64) for name in kept.files}


def scene_of(name: str) -> Scene:
    return build_scene(experiment_from_nanobragg(shlex.split(FLAGS[name]), base=FOLDER / "inputs"))


def golden(name: str, scene: Scene) -> np.ndarray:
    return images()[name].reshape(scene.shape[2:])


def whole(scene: Scene) -> Tile:
    return Tile(0, 0, 0, scene.shape[2], 0, scene.shape[3])


@pytest.mark.parametrize("name", FLAGS)
def test_cpu_kernel(name: str) -> None:
    scene = scene_of(name)
    assert_parity(get_backend("cpu").render(scene, whole(scene)), golden(name, scene))


@pytest.mark.parametrize("name", list(FLAGS)[::8])
def test_reference(name: str) -> None:
    scene = scene_of(name)
    assert_parity(render(scene, whole(scene)), golden(name, scene))
