"""The CUDA backend on a real GPU: right, bounded, and the same bytes for any number of workers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.gpu.scenes import (
    assert_as_the_cpu_kernel,
    assert_close_to_the_maximum_around,
    described,
    thousand_cells,
    whole,
)
from tests.parity.golden import CASES, Case
from tests.parity.test_golden import assert_parity
from tiledsim import build_scene, experiment_from_nanobragg
from tiledsim.errors import BackendError
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend, device_bytes
from tiledsim.kernels.cuda.device import CupyDevice
from tiledsim.kernels.devices import cuda_status, visible_devices
from tiledsim.pixel_statistics import columns_inside, combine_rows, reduce_rows
from tiledsim.reference.model import render
from tiledsim.scheduler import run
from tiledsim.tile import Tile

USABLE, WHY = cuda_status()
REQUIRED = os.environ.get("TILEDSIM_REQUIRE_GPU", "") not in ("", "0")
"""On a machine with a card: nothing is skipped then, and what is missing fails."""
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (USABLE or REQUIRED), reason=f"no CUDA device: {WHY}"),
]


@pytest.fixture(autouse=True, scope="module")
def card() -> None:
    if not USABLE:
        pytest.fail(f"TILEDSIM_REQUIRE_GPU is set and there is no CUDA device: {WHY}")


@pytest.fixture(scope="module", params=["float64", "mixed"])
def backend(request: pytest.FixtureRequest) -> CudaBackend:
    return CudaBackend(request.param)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_golden(backend: CudaBackend, case: Case) -> None:
    scene = build_scene(experiment_from_nanobragg(case.argv, base=case.inputs))
    image = backend.render(scene, whole(scene))
    if backend.dtype == "float64":
        assert_parity(image, case.image())
        reference = render(scene, whole(scene))
        assert (np.abs(image - reference) <= 1e-6 * reference + 1e-12 * reference.max()).all()
    assert_as_the_cpu_kernel(image, scene, whole(scene), backend.dtype)


@pytest.mark.parametrize("shape", ["square", "round", "gauss"])
def test_mixed_holds_a_thousand_cells(shape: str) -> None:
    scene = thousand_cells(shape, 512)
    image = CudaBackend("mixed").render(scene, whole(scene))
    expected = CudaBackend("float64").render(scene, whole(scene))
    assert_close_to_the_maximum_around(image, expected)


def test_stored_tiles_and_their_statistics(backend: CudaBackend) -> None:
    scene = described(detector={"size_px": (1000, 900)})
    tiles = [Tile(0, 0, s, min(s + 256, 900), 0, 1000) for s in range(0, 900, 256)]
    image = backend.render(scene, whole(scene)).astype(np.float32)
    for tile, pending in zip(tiles, [backend.start(scene, t) for t in tiles], strict=True):
        made = pending.result()
        assert (made.pixels == image[tile.slow_start : tile.slow_stop]).all()
        rows = reduce_rows(made.pixels, *columns_inside(tile, scene.roi))
        found, expected = made.statistics(tile, scene.roi), combine_rows(rows, tile, scene.roi)
        assert found.total == pytest.approx(expected.total, rel=1e-13)
        assert found.spread == pytest.approx(expected.spread, rel=1e-12)
        assert found.maximum == expected.maximum
        assert made.seconds > 0


def test_memory_is_bounded_and_given_back() -> None:
    import cupy

    scene = described(detector={"size_px": (4000, 4000)})
    device, pool = CupyDevice(), cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.used_bytes()
    backend = CudaBackend("float64", device)
    backend.render(scene, whole(scene))
    said = device_bytes(scene, whole(scene), "float64")
    assert pool.used_bytes() - before <= said + 20 * 512  # the pool rounds up to 512
    del backend
    assert pool.used_bytes() == before


def test_a_tile_that_does_not_fit_is_split() -> None:
    import cupy

    scene = described(detector={"size_px": (3000, 3000)})
    expected = CudaBackend("float64").render(scene, whole(scene))
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.used_bytes() + device_bytes(scene, whole(scene), "float64") // 4)
    try:
        image = CudaBackend("float64").render(scene, whole(scene))
    finally:
        pool.set_limit(size=0)
    assert image.tobytes() == expected.tobytes()


def test_a_kernel_that_does_not_compile_is_named() -> None:
    backend = CudaBackend("float64")
    build = backend._device.build
    backend._device.build = lambda source, name: build(source + "nonsense", name)  # type: ignore[method-assign]
    with pytest.raises(BackendError, match=r"'render' \(float64 square.*does not compile"):
        backend.render(described(), Tile(0, 0, 0, 8, 0, 8))


def images_of(folder: Path) -> dict[str, bytes]:
    root = folder / "image"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    from tiledsim.experiment import load

    experiment = load(Path(__file__).parents[2] / "examples" / "quickstart.toml")
    gpu = visible_devices()[0]
    results = []
    for workers in (1, 2, 4):
        store = tmp_path / f"{workers}.zarr"
        summary = run(experiment, store, gpus=",".join([gpu] * workers) + ",")
        results.append((images_of(store), summary.images))
    if len(visible_devices()) > 1:
        summary = run(experiment, tmp_path / "all.zarr", gpus="all")
        results.append((images_of(tmp_path / "all.zarr"), summary.images))
    assert all(result == results[0] for result in results)


def test_an_illegal_address_ends_the_process() -> None:
    """In a process of its own: the context is lost with such an error."""
    code = """
import sys
from tests.gpu.scenes import described, whole
from tiledsim.kernels.cuda import backend as cuda
real = cuda.pack
def wrong(scene, special, tile, part, addresses, units):
    return real(scene, special, tile, part, addresses | {"image": 8}, units)
cuda.pack = wrong
scene = described()
try:
    cuda.CudaBackend("float64").render(scene, whole(scene))
except cuda.LostDeviceError as error:
    print(error)
    sys.exit(77)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    assert done.returncode == 77, done.stderr
    assert "cannot use its GPU any more" in done.stdout


def test_the_backend_of_this_process_says_what_it_runs_on() -> None:
    about = get_backend("cuda").describe()
    for name in ("device", "driver", "cupy", "memory", "compute capability"):
        assert about[name]
