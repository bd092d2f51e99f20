"""Mixed precision without float64 in a step: as close to float64 as with it, and the same bytes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gpu.scenes import (
    assert_as_the_cpu_kernel,
    assert_close_to_the_maximum_around,
    described,
    every_step,
    thousand_cells,
    whole,
)
from tests.gpu.shim_device import COMPILER, ShimDevice
from tests.parity.golden import CASES, Case
from tests.strategies import experiments
from tiledsim import build_scene, experiment_from_nanobragg
from tiledsim.experiment import Experiment
from tiledsim.kernels.cuda.anchors import LARGEST_CHANGE, anchors_of
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.kernels.cuda.source import specialise
from tiledsim.scene import Scene
from tiledsim.tile import Tile

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")


def anchored(**options: Any) -> CudaBackend:
    return CudaBackend("mixed", ShimDevice(), anchored=True, **options)


class Card(ShimDevice):
    """Says that it is a card."""

    def __init__(self, capability: str) -> None:
        super().__init__()
        self.capability = capability

    def describe(self) -> dict[str, str]:
        return {"device": "a card", "compute capability": self.capability}


@pytest.mark.parametrize(("capability", "slow"), [("8.9", True), ("7.5", True), ("9.0", False)])
def test_the_card_decides(capability: str, slow: bool) -> None:
    scene = described()
    for dtype in ("mixed", "float64"):
        backend = CudaBackend(dtype, Card(capability))
        backend.render(scene, whole(scene))
        assert ("anchored" in backend.describe()["kernel"]) == (slow and dtype == "mixed")


@pytest.mark.parametrize("case", CASES[::4], ids=str)
def test_golden(case: Case) -> None:
    scene = build_scene(experiment_from_nanobragg(case.argv, base=case.inputs))
    image = anchored().render(scene, whole(scene))
    assert_as_the_cpu_kernel(image, scene, whole(scene), "mixed")


@settings(max_examples=12)
@given(experiments(crystal={"cell_A_deg": (50, 60, 70, 80, 95, 100), "cells": (5, 4, 3)}))
def test_any_experiment_as_the_cpu_kernel(experiment: Experiment) -> None:
    scene = build_scene(experiment)
    if scene.crystal_shape == "tophat":
        scene = replace(scene, crystal_shape="gauss")
    assert_as_the_cpu_kernel(anchored().render(scene, whole(scene)), scene, whole(scene), "mixed")


@pytest.mark.parametrize("shape", ["square", "gauss"])
def test_a_thousand_cells(shape: str) -> None:
    """The stated error at a thousand cells is 2.9e-6 of the maximum around a pixel."""
    scene = thousand_cells(shape, 96)
    image, expected = (
        anchored().render(scene, whole(scene)),
        every_step(scene, whole(scene)),
    )
    assert_close_to_the_maximum_around(image, expected)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(expected, 4), (9, 9)).max((2, 3))
    assert (np.abs(image - expected) <= 2.9e-6 * around + 1e-20 * expected.max()).all()


def wide_spectrum() -> Scene:
    return described(
        beam={"dispersion_percent": 3.0, "dispersion_steps": 40, "hdiv_range_mrad": 3.0,
              "hdiv_steps": 2},
        crystal={"mosaic": {"spread_deg": 0.5, "domains": 3}},
    )  # fmt: skip


def test_a_spectrum() -> None:
    scene = wide_spectrum()
    special = specialise(scene, "mixed", interpolate=False, anchored=True)
    assert special.spectrum
    assert special.anchored
    assert_as_the_cpu_kernel(anchored().render(scene, whole(scene)), scene, whole(scene), "mixed")


@settings(max_examples=10)
@given(st.data())
def test_any_tile_in_any_bands_has_the_same_bytes(data: st.DataObject) -> None:
    scene = described(crystal={"misset_deg": (3, 5, 7)})
    image = anchored().render(scene, whole(scene))
    rows, cols = image.shape
    s0, f0 = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    s1, f1 = data.draw(st.integers(s0 + 1, rows)), data.draw(st.integers(f0 + 1, cols))
    tile = Tile(0, 0, s0, s1, f0, f1)
    made = anchored(band_bytes=data.draw(st.integers(1, 100_000))).render(scene, tile)
    assert made.tobytes() == np.ascontiguousarray(image[s0:s1, f0:f1]).tobytes()


@settings(max_examples=40)
@given(experiments())
def test_the_units_hold_every_change(experiment: Experiment) -> None:
    """What the host says of distances bounds what pixels have; products stay within 64 bits."""
    scene = build_scene(experiment)
    units = anchors_of(scene, 4, spectrum=False)
    if units is None:
        return
    longest = np.sqrt((np.asarray(scene.cells) ** 2).sum(axis=2)).max()
    step = 2.0**31 / units.step_scale
    assert longest * units.axis_scale < 2.0**31
    assert longest * step * units.index_scale <= 2.0**63
    apart = _largest_step(scene)
    assert apart * units.step_scale < 2.0**31
    assert apart * longest <= LARGEST_CHANGE
    assert apart * longest * units.index_scale + 0.5 * units.index_scale < 2.0**63


def _largest_step(scene: Scene) -> float:
    """Largest distance of scattering vectors of pixels 4 and 8 apart, of all panels [1/m]."""
    rows, cols = scene.shape[2:]
    largest = 0.0
    for panel in range(scene.shape[1]):
        slow, fast = np.meshgrid(np.arange(rows) + 0.5, np.arange(cols) + 0.5, indexing="ij")
        at = (
            scene.origin[panel]
            + scene.pixel_size * slow[..., None] * scene.slow[panel]
            + scene.pixel_size * fast[..., None] * scene.fast[panel]
        )
        if scene.curved:
            continue
        direction = at / np.linalg.norm(at, axis=2, keepdims=True)
        apart = np.linalg.norm(direction[4:, 8:] - direction[:-4, :-8], axis=2)
        largest = max(largest, float(apart.max(initial=0.0)))
    return largest / float(np.min(scene.wavelength))


def test_where_an_index_changes_too_much_it_is_formed_in_float64() -> None:
    near = described(
        detector={"distance_mm": 2.0}, crystal={"cell_A_deg": (500, 500, 500, 90, 90, 90)}
    )
    assert anchors_of(near, 4, spectrum=False) is None
    assert not specialise(near, "mixed", interpolate=False, anchored=True).anchored
    broad = described(beam={"dispersion_percent": 80.0, "dispersion_steps": 40})
    assert anchors_of(broad, 4, spectrum=True) is None
    single = described()
    assert anchors_of(single, 4, spectrum=True) is not None  # one wavelength: no change at all
