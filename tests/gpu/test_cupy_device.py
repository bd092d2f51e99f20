"""The device that CuPy gives, with a CuPy that does its work on this processor."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.gpu import fake_cupy
from tests.gpu.scenes import described, whole
from tests.gpu.shim_device import COMPILER
from tiledsim.errors import BackendError
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend, LostDeviceError
from tiledsim.kernels.cuda.device import CupyDevice, DeviceError
from tiledsim.tile import Tile

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")


@pytest.fixture(autouse=True)
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy.make())
    yield
    fake_cupy.failing.clear()


@pytest.mark.parametrize("dtype", ["float64", "mixed"])
def test_tiles_come_back_right(dtype: str) -> None:
    mask = np.ones((61, 75), dtype=bool)
    mask[20:30, 40:] = False
    scene = replace(described(), mask=mask)
    backend = CudaBackend(dtype, CupyDevice(), band_bytes=30_000)
    tiles = [Tile(0, 0, s, min(s + 25, 61), 0, 75) for s in range(0, 61, 25)]
    expected = get_backend("cpu").render(scene, whole(scene))
    for tile, pending in zip(tiles, [backend.start(scene, tile) for tile in tiles], strict=True):
        made = pending.result()
        part = expected[tile.slow_start : tile.slow_stop]
        assert np.abs(made.pixels - part).max() <= 1e-6 * expected.max()
        assert made.rows["total"] == pytest.approx(made.pixels.sum(axis=1, dtype=float), rel=1e-12)
        assert made.seconds >= 0
    image = backend.render(scene, whole(scene))
    assert np.abs(image - expected).max() <= 1e-6 * expected.max()
    assert (image[~mask] == 0).all()
    backend.release()


def test_the_card_is_described() -> None:
    about = CudaBackend("float64", CupyDevice()).describe()
    assert about == {"device": "a card", "compute capability": "9.0", "memory": "128.0 GiB",
                     "driver": "13.2", "cuda": "13.0", "cupy": "14.2.0"}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        ("cudaErrorIllegalAddress: an illegal address", LostDeviceError, "cannot use its GPU"),
        ("cudaErrorInvalidValue: invalid argument", BackendError, "invalid argument"),
    ],
)
def test_errors_of_cuda_are_told_apart(said: str, kind: type[Exception], text: str) -> None:
    backend = CudaBackend("float64", CupyDevice())
    fake_cupy.failing.append(said)
    with pytest.raises(kind, match=text) as caught:
        backend.render(described(), Tile(0, 0, 0, 8, 0, 8))
    assert type(caught.value) is kind


def test_a_kernel_that_does_not_compile() -> None:
    device = CupyDevice()
    with pytest.raises(DeviceError, match="does not compile: expected a declaration"):
        device.build("nonsense", "render")


def test_a_cupy_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match=r"CuPy cannot be imported .*pip install"):
        CupyDevice()


def test_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, "getDeviceCount", lambda: 0)
    with pytest.raises(BackendError, match="the GPU cannot be used: CUDA sees no device"):
        CudaBackend("float64")


def test_a_driver_that_is_older_than_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = sys.modules["cupy"].cuda.runtime
    monkeypatch.setattr(runtime, "driverGetVersion", lambda: 12040)
    with pytest.raises(BackendError, match=r"for CUDA 12.4, .*for 13.0; .*tiledsim\[cuda12\]"):
        CudaBackend("float64")
    monkeypatch.setattr(runtime, "driverGetVersion", lambda: 11080)
    with pytest.raises(BackendError, match=r"for CUDA 11.8, .*; install a newer driver"):
        CudaBackend("float64")


def test_a_full_cache_of_kernels_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy, tried = sys.modules["cupy"], []

    def kernel(*arguments: object, **options: object) -> object:
        tried.append(os.environ.get("CUPY_CACHE_IN_MEMORY"))
        if tried[-1] is None:
            raise OSError(28, "No space left on device")
        return fake_cupy.RawKernel(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY", raising=False)
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "")  # put back at the end
    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY")
    monkeypatch.setattr(cupy, "RawKernel", kernel)
    CudaBackend("float64", CupyDevice())
    assert tried == [None, "1"]


def test_a_compiler_that_is_missing_shows_when_the_backend_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kernel(*_: object, **__: object) -> object:
        raise RuntimeError("libnvrtc.so.13 is not found")

    monkeypatch.setattr(sys.modules["cupy"], "RawKernel", kernel)
    with pytest.raises(BackendError, match=r"NVRTC cannot be loaded .*pip install"):
        CudaBackend("float64")


@pytest.mark.parametrize("error", [MemoryError, fake_cupy.OutOfMemoryError])
def test_page_locked_memory_that_is_short_is_not_the_cards(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def none(nbytes: int) -> bytearray:
        raise error("no more")

    expected = CudaBackend("float64", CupyDevice()).render(described(), whole(described()))
    monkeypatch.setattr(sys.modules["cupy"].cuda, "alloc_pinned_memory", none)
    image = CudaBackend("float64", CupyDevice()).render(described(), whole(described()))
    assert image.tobytes() == expected.tobytes()


def test_an_allocator_of_another_library_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(nbytes: int) -> None:
        raise MemoryError("std::bad_alloc: out_of_memory")

    monkeypatch.setattr(sys.modules["cupy"].cuda, "alloc", none)
    with pytest.raises(BackendError, match="too little device memory"):
        CudaBackend("float64", CupyDevice()).render(described(), Tile(0, 0, 0, 8, 0, 8))
