"""Every reference image of nanoBragg.c, on every pixel, from the CPU kernel and from reference.py.

Compared: the whole float image in c-parity.  How closely: 1e-6 relative, with an absolute floor of
1e-12 of the image's maximum.  Not promised: bytes; the sums are added in another order.
"""

import json

import numpy as np
import pytest

from tests.parity.golden import CASES, SHARED, Case
from tiledsim import experiment_from_nanobragg, simulate
from tiledsim.reference.model import render
from tiledsim.scene.build import build_scene
from tiledsim.tile import Tile


def assert_parity(image: np.ndarray, golden: np.ndarray) -> None:
    assert image.shape == golden.shape
    error = np.abs(image.astype(np.float32).astype(np.float64) - golden)
    allowed = 1e-6 * np.abs(golden) + 1e-12 * np.abs(golden).max()
    worst = np.unravel_index((error - allowed).argmax(), error.shape)
    assert (error <= allowed).all(), f"pixel {worst}: {image[worst]!r}, nanoBragg {golden[worst]!r}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cpu_kernel(case: Case) -> None:
    experiment = experiment_from_nanobragg(case.argv, base=case.inputs)
    assert_parity(simulate(experiment, backend="cpu")[0, 0], case.image())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference(case: Case) -> None:
    scene = build_scene(experiment_from_nanobragg(case.argv, base=case.inputs))
    _, _, slow, fast = scene.shape
    assert_parity(render(scene, Tile(0, 0, 0, slow, 0, fast)), case.image())


def test_the_comparison_can_fail() -> None:
    image = np.ones((2, 2))
    with pytest.raises(AssertionError):
        assert_parity(image * (1 + 3e-6), image)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the reference results are not beside the checkout")
def test_pilatus6m() -> None:
    folder = SHARED / "pilatus6m"
    argv = (folder / "command.txt").read_text().split()[1:]
    experiment = experiment_from_nanobragg(argv, base=folder)
    image = simulate(experiment, backend="cpu")[0, 0].astype(np.float32)
    about = json.loads((folder / "reference.json").read_text())
    reference = np.load(folder / "reference.npz")
    for name, (top, bottom, left, right) in about["crops"].items():
        assert_parity(image[top:bottom, left:right], reference[name])
    assert np.allclose(image.sum(1, dtype=np.float64), reference["row_sums"], rtol=1e-6, atol=0)
    assert np.allclose(image.sum(0, dtype=np.float64), reference["column_sums"], rtol=1e-6, atol=0)
    assert image.sum(dtype=np.float64) == pytest.approx(about["sum"], rel=1e-6)
    assert image.max() == pytest.approx(about["max"], rel=1e-6)
    assert list(np.unravel_index(image.argmax(), image.shape)) == about["argmax"]
