"""Tiles go through a GPU in bands of rows: so many bytes and seconds, fewer if memory is short."""

import itertools
from typing import Any

import pytest

from tests.gpu.scenes import described, whole
from tests.gpu.shim_device import COMPILER, ShimDevice
from tiledsim.errors import BackendError
from tiledsim.kernels.cuda import bands
from tiledsim.kernels.cuda.backend import CudaBackend, device_bytes
from tiledsim.kernels.cuda.bands import band_rows
from tiledsim.kernels.cuda.device import DeviceError
from tiledsim.tile import Tile

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")


def test_memory_is_what_was_said_and_a_tile_that_does_not_fit_is_split() -> None:
    scene = described(detector={"size_px": (250, 200)})
    tile = whole(scene)
    said = device_bytes(scene, tile, "float64")
    roomy = ShimDevice()
    expected = CudaBackend("float64", roomy).render(scene, tile)
    assert roomy.most_bytes <= said
    tight = ShimDevice(memory=said // 4)
    backend = CudaBackend("float64", tight)
    assert backend.render(scene, tile).tobytes() == expected.tobytes()
    assert tight.most_bytes <= said // 4
    assert tight.launches > roomy.launches
    with pytest.raises(BackendError, match="too little device memory even for the smallest band"):
        CudaBackend("float64", ShimDevice(memory=10_000)).render(scene, tile)


def test_a_band_is_bounded_in_time_too() -> None:
    scene = described(detector={"size_px": (64, 256)})
    tile, steps = whole(scene), 64 * scene.steps_per_pixel
    assert band_rows(scene, tile, band_steps=40 * steps) == 40
    assert band_rows(scene, tile, band_steps=1.0) == 8  # a row of patches is the least
    assert band_rows(scene, tile) == 256


class TimedDevice(ShimDevice):
    """A device of a stated speed, and what it was asked to do at once."""

    def __init__(self, steps_per_second: float, steps_per_row: int) -> None:
        super().__init__()
        self.row_seconds = steps_per_row / steps_per_second
        self.clock = 0.0
        self.bands: list[int] = []

    def download(self, buffer: Any, array: Any, lane: int) -> None:
        self.bands.append(len(array))
        self.clock += self.row_seconds * len(array)
        super().download(buffer, array, lane)

    def mark(self, lane: int) -> float:
        return self.clock


@pytest.mark.parametrize("speed", [1e5, 1e6, 1e8])
def test_a_timed_kernel_runs_for_a_fifth_of_a_second(
    speed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = described(detector={"size_px": (64, 256)})
    steps = 64 * scene.steps_per_pixel
    monkeypatch.setattr(bands, "FIRST_BAND_STEPS", 16 * steps)
    device = TimedDevice(speed, steps)
    backend = CudaBackend("float64", device)
    expected = backend.render(scene, whole(scene))
    assert device.bands == [16] * 16
    device.bands.clear()
    assert backend.render(scene, whole(scene)).tobytes() == expected.tobytes()
    longest = max(device.bands) * device.row_seconds
    assert longest <= 0.2 or max(device.bands) == 8
    assert longest > 0.1 or max(device.bands) in (8, 256) or 0.2 / device.row_seconds < 16


def test_tiles_side_by_side_are_not_taken_for_fast_ones() -> None:
    scene = described(detector={"size_px": (64, 64)})
    device = TimedDevice(1.0, 1)
    times = itertools.chain((0.0, 1.0, 0.0, 1.000001), itertools.repeat(2.0))
    device.mark = lambda lane: next(times)  # type: ignore[method-assign]
    backend = CudaBackend("float64", device)
    for pending in [backend.start(scene, whole(scene)) for _ in range(2)]:
        pending.result()
    device.bands.clear()
    backend.render(scene, whole(scene))
    assert device.bands == [8] * 8  # a fifth of the 64 rows that took a second


def test_memory_that_was_short_once_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "FIRST_BAND_STEPS", 10**18)  # bands are bounded by memory alone
    monkeypatch.setattr(bands, "BAND_SECONDS", 1e9)
    scene = described(detector={"size_px": (200, 128)})
    tile = whole(scene)
    device = ShimDevice()
    backend = CudaBackend("float64", device)
    expected = backend.render(scene, tile)
    backend.release()
    device.memory = 200_000
    assert backend.render(scene, tile).tobytes() == expected.tobytes()
    device.launches = 0
    backend.render(scene, tile)
    narrow = device.launches
    assert narrow > 1
    device.memory, device.launches = None, 0
    for part in (Tile(0, 0, 0, 8, 0, 8), tile):
        assert backend.render(scene, part).shape == (part.rows, part.cols)
    assert device.launches < narrow
    device.memory = 200_000
    backend.render(scene, tile)
    backend.release()
    device.memory, device.launches = None, 0
    backend.render(scene, tile)
    assert device.launches == 1


def test_a_shortage_between_two_lanes_leaves_none_half_made() -> None:
    scene = described()
    backend = CudaBackend("float64", device := ShimDevice())
    small, large = Tile(0, 0, 0, 8, 0, 32), whole(scene)
    expected = backend.render(scene, small)
    take, count = device.allocate, 0

    def six(nbytes: int) -> Any:
        nonlocal count
        count += 1
        if count > 6:
            raise DeviceError("out of memory", memory=True)
        return take(nbytes)

    device.allocate = six  # type: ignore[method-assign]
    with pytest.raises(BackendError, match="too little device memory"):
        backend.render(scene, large)
    device.allocate = take  # type: ignore[method-assign]
    assert backend.render(scene, small).tobytes() == expected.tobytes()


def test_all_memory_is_given_back() -> None:
    device = ShimDevice()
    backend = CudaBackend("float64", device)
    scene = described()
    image = backend.render(scene, whole(scene))
    assert device.free_bytes() < 2**62
    backend.release()
    assert device.free_bytes() == 2**62
    assert backend.render(scene, whole(scene)).tobytes() == image.tobytes()
