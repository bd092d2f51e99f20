"""The CUDA backend on this processor: the kernels' own text, built by g++ and run block by block.

Compared: every pixel of all reference images with nanoBragg (float64), and of them and of drawn
experiments with the CPU kernel.  How closely: float64 1e-6 relative and 1e-11 of the image's
maximum; mixed 1e-4 relative above 1e-6 of the maximum, and 1e-5 of the sum, up to 50 cells.
"""

from dataclasses import replace

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
from tests.parity.test_golden import assert_parity
from tests.strategies import experiments, with_quirks
from tiledsim import build_scene, experiment_from_nanobragg
from tiledsim.errors import BackendError
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend, LostDeviceError
from tiledsim.kernels.cuda.device import DeviceError
from tiledsim.kernels.cuda.params import parameter_layout
from tiledsim.kernels.cuda.source import render_source, specialise
from tiledsim.pixel_statistics import columns_inside, combine_rows, reduce_rows
from tiledsim.quirks import ALL_QUIRKS
from tiledsim.tile import Tile

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")


@pytest.fixture(scope="module", params=["float64", "mixed"])
def backend(request: pytest.FixtureRequest) -> CudaBackend:
    return CudaBackend(request.param, ShimDevice())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_golden(backend: CudaBackend, case: Case) -> None:
    scene = build_scene(experiment_from_nanobragg(case.argv, base=case.inputs))
    image = backend.render(scene, whole(scene))
    if backend.dtype == "float64":
        assert_parity(image, case.image())
    assert_as_the_cpu_kernel(image, scene, whole(scene), backend.dtype)


def without_steps(experiment: Experiment) -> Experiment:
    """A top hat's edge may be moved by rounding."""
    if experiment.crystal.shape != "tophat":
        return experiment
    crystal = experiment.crystal.model_copy(update={"shape": "square"})
    return experiment.replace(crystal=crystal)


@settings(max_examples=25)
@given(experiments())
def test_spec_as_the_cpu_kernel(experiment: Experiment) -> None:
    scene = build_scene(without_steps(experiment))
    image = CudaBackend("float64", ShimDevice()).render(scene, whole(scene))
    assert_as_the_cpu_kernel(image, scene, whole(scene), "float64")


@settings(max_examples=12)
@given(
    experiments(crystal={"cell_A_deg": (50, 60, 70, 80, 95, 100), "cells": (5, 4, 3)}),
    st.sets(st.sampled_from(ALL_QUIRKS)),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from(["float64", "mixed"]),
)
def test_any_set_of_quirks_as_the_cpu_kernel(
    experiment: Experiment, quirks: set[str], oversampled: tuple[bool, bool, bool], dtype: str
) -> None:
    scene = build_scene(with_quirks(experiment, quirks, oversampled))
    image = CudaBackend(dtype, ShimDevice()).render(scene, whole(scene))
    assert_as_the_cpu_kernel(image, scene, whole(scene), dtype)


@pytest.mark.parametrize("shape", ["square", "round", "gauss"])
def test_mixed_holds_a_thousand_cells(shape: str) -> None:
    scene = thousand_cells(shape, 96)
    image = CudaBackend("mixed", ShimDevice()).render(scene, whole(scene))
    assert_close_to_the_maximum_around(image, every_step(scene, whole(scene)))


def test_a_spectrum_is_projected_once_a_direction() -> None:
    scene = described(
        beam={"dispersion_percent": 3.0, "dispersion_steps": 40, "hdiv_range_mrad": 3.0,
              "hdiv_steps": 2},
        crystal={"mosaic": {"spread_deg": 0.5, "domains": 3}},
    )  # fmt: skip
    assert specialise(scene, "mixed", interpolate=False).spectrum
    for dtype in ("float64", "mixed"):
        image = CudaBackend(dtype, ShimDevice()).render(scene, whole(scene))
        assert_as_the_cpu_kernel(image, scene, whole(scene), dtype)


@settings(max_examples=25)
@given(st.data(), st.sampled_from(["float64", "mixed"]))
def test_any_tile_in_any_bands_has_the_same_bytes(data: st.DataObject, dtype: str) -> None:
    scene = described(crystal={"misset_deg": (3, 5, 7)})
    image = CudaBackend(dtype, ShimDevice()).render(scene, whole(scene))
    rows, cols = image.shape
    s0, f0 = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    s1, f1 = data.draw(st.integers(s0 + 1, rows)), data.draw(st.integers(f0 + 1, cols))
    backend = CudaBackend(dtype, ShimDevice(), band_bytes=data.draw(st.integers(1, 100_000)))
    tile = Tile(0, 0, s0, s1, f0, f1)
    cut = np.ascontiguousarray(image[s0:s1, f0:f1])
    assert backend.render(scene, tile).tobytes() == cut.tobytes()
    stored = backend.start(scene, tile).result()
    assert stored.pixels.tobytes() == cut.astype(np.float32).tobytes()


@pytest.mark.parametrize("roi", [(0, 74, 0, 60), (5, 40, 17, 30), (3, 3, 60, 60)])
def test_statistics_are_those_of_the_stored_pixels(roi: tuple[int, int, int, int]) -> None:
    scene = replace(described(), roi=roi)
    for tile in (whole(scene), Tile(0, 0, 8, 33, 2, 70), Tile(0, 0, 58, 61, 0, 5)):
        made = CudaBackend("float64", ShimDevice()).start(scene, tile).result()
        reduced = reduce_rows(made.pixels, *columns_inside(tile, scene.roi))
        found = made.statistics(tile, scene.roi)
        expected = combine_rows(reduced, tile, scene.roi)
        assert found.inside == expected.inside
        assert found.maximum == expected.maximum
        assert (found.maximum_slow, found.maximum_fast) == (
            expected.maximum_slow,
            expected.maximum_fast,
        )
        for name in ("total", "total_sqr", "spread"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-13)


def test_what_float32_cannot_hold_is_found_in_the_statistics() -> None:
    scene = replace(described(), fluence=1e70)
    made = CudaBackend("float64", ShimDevice()).start(scene, whole(scene)).result()
    with pytest.raises(FloatingPointError, match="not a finite number"):
        made.statistics(whole(scene), scene.roi)


def test_numbers_below_the_normal_ones_are_kept() -> None:
    bright = described()
    faint = replace(bright, fluence=bright.fluence * 1e-44)
    for scene in (bright, faint):
        tile = whole(scene)
        made = CudaBackend("float64", ShimDevice()).start(scene, tile).result()
        expected = get_backend("cpu").start(scene, tile).result()
        assert np.allclose(made.pixels, expected.pixels, rtol=1e-6, atol=2e-45)
        assert (made.pixels > 0).any()


def test_tiles_in_flight_do_not_disturb_each_other() -> None:
    scene = described()
    backend = CudaBackend("float64", ShimDevice(), band_bytes=20_000)
    tiles = [Tile(0, 0, s, min(s + 20, 61), 0, 75) for s in range(0, 61, 20)]
    waiting = [backend.start(scene, tile) for tile in tiles]
    image = backend.render(scene, whole(scene)).astype(np.float32)
    for tile, pending in zip(tiles, waiting, strict=True):
        assert (pending.result().pixels == image[tile.slow_start : tile.slow_stop]).all()


def test_the_layout_of_the_parameters_is_checked_by_the_compiler() -> None:
    scene = described()
    special = specialise(scene, "float64", interpolate=False)
    layout = parameter_layout(special.mixed)
    fields = list(layout.descr)
    swapped = np.dtype([fields[1], fields[0], *fields[2:]])
    ShimDevice().build(render_source(special, layout), "render")
    with pytest.raises(DeviceError, match="layout of"):
        ShimDevice().build(render_source(special, swapped), "render")


class BrokenDevice(ShimDevice):
    """Fails at the first wait as told."""

    def __init__(self, error: DeviceError) -> None:
        super().__init__()
        self.error = error

    def wait(self, *marks: float) -> None:
        if marks:
            raise self.error


def test_an_error_names_kernel_specialisation_grid_and_tile() -> None:
    scene = described()
    backend = CudaBackend("mixed", BrokenDevice(DeviceError("cudaErrorInvalidValue: no")))
    with pytest.raises(BackendError) as caught:
        backend.start(scene, Tile(0, 0, 8, 40, 0, 75)).result()
    for part in ("'render'", "mixed square uniform", "slow 8:40", "grid of", "InvalidValue"):
        assert part in str(caught.value)
    assert not isinstance(caught.value, LostDeviceError)


def test_a_lost_device_ends_the_process() -> None:
    scene = described()
    device = BrokenDevice(DeviceError("cudaErrorIllegalAddress: gone", lost=True))
    with pytest.raises(LostDeviceError, match="cannot use its GPU any more") as caught:
        CudaBackend("float64", device).render(scene, whole(scene))
    assert caught.value.ends_the_process


def test_what_the_arithmetic_cannot_hold_is_refused() -> None:
    scene = described(crystal={"cells": (10**6, 10**6, 10**6)})
    with pytest.raises(BackendError, match="use float64"):
        CudaBackend("mixed", ShimDevice()).render(scene, whole(scene))
    huge = replace(described(), wavelength=np.array([1e-16]))
    with pytest.raises(BackendError, match="too large"):
        CudaBackend("mixed", ShimDevice()).render(huge, whole(huge))
