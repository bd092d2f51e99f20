"""What the tests leave out, on a card: ``python benchmarks/card/checks.py [--shim] WHAT…``.

facts       driver against runtime, multiprocessors, whether kernels are ended after seconds
attributes  registers, local bytes and blocks a multiprocessor of the timed kernels, as loaded
sanitizer   where compute-sanitizer is
sanitize    golden cases, small ragged tiles, raw cudaMalloc (no pool): for compute-sanitizer
same        the same bytes: five times, any tile size, tiles in flight, four threads
streams     random tiles, shots and scenes with little memory, against the same pixels alone
hog         takes all memory but 900 MiB, for a minute
heavy       Gsteps/s of the usual tile against whole panels, 500 … 400,000 steps a pixel

``--shim`` runs on this processor, by g++; nothing of it is a figure of a card.
"""

import argparse
import glob
import hashlib
import random
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tests.gpu.scenes import described, whole
from tests.parity.golden import CASES
from tiledsim import build_scene, experiment_from_nanobragg
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.kernels.cuda.device import CupyDevice, Device
from tiledsim.kernels.rendered import Pending
from tiledsim.scene import Scene
from tiledsim.tile import Tile

DTYPES = ("float64", "mixed")


def device() -> Device:
    if not OPTIONS.shim:
        return CupyDevice()
    from tests.gpu.shim_device import ShimDevice

    return ShimDevice()


def facts() -> None:
    import cupy

    runtime = cupy.cuda.runtime
    driver, built_for = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    about = runtime.getDeviceProperties(0)
    print("driver", driver, "runtime", built_for, "multiprocessors", about["multiProcessorCount"])
    print("kernels are ended after seconds:", bool(about["kernelExecTimeoutEnabled"]))
    if driver // 1000 < built_for // 1000:
        sys.exit("the driver is of an older major version than CuPy: take the other extra")


def attributes() -> None:
    from cupy_backends.cuda.api import driver

    from benchmarks.instructions import KERNELS

    bad = False
    for name, special in KERNELS.items():
        kernel = CudaBackend(device=device())._kernel(special)
        about = kernel.attributes
        blocks = driver.occupancyMaxActiveBlocksPerMultiprocessor(kernel.kernel.ptr, 128, 0)
        fits = about["local_size_bytes"] == 0 and blocks >= special.blocks
        bad |= not fits
        print(
            "ok" if fits else "BAD", name, "registers", about["num_regs"],
            "local", about["local_size_bytes"], "blocks", blocks, "binary", about["binary_version"],
        )  # fmt: skip
    if bad:
        sys.exit("a kernel spills or does not fit as it should")


def sanitizer() -> None:
    pattern = sys.prefix + "/lib/python*/site-packages/nvidia/**/bin/compute-sanitizer"
    found = shutil.which("compute-sanitizer") or next(iter(glob.glob(pattern, recursive=True)), "")
    if not found:
        sys.exit("compute-sanitizer is not installed; pip install nvidia-cuda-sanitizer-api")
    print(found)


def sanitize() -> None:
    if not OPTIONS.shim:
        import cupy

        cupy.cuda.set_allocator(None)  # the pool rounds up and hides what runs over
        cupy.cuda.set_pinned_memory_allocator(None)
    for case in CASES[: OPTIONS.count or None]:
        scene = build_scene(experiment_from_nanobragg(case.argv, base=case.inputs))
        _, _, slow, fast = scene.shape
        tile = Tile(0, 0, slow // 2 - 13, slow // 2 + 14, fast // 2 - 21, fast // 2 + 18)
        expected = get_backend("cpu").render(scene, tile)
        for dtype in DTYPES:
            made = CudaBackend(dtype, device()).start(scene, tile).result()
            off = np.abs(made.pixels - expected).max() / max(expected.max(), 1e-300)
            assert off <= (1e-6 if dtype == "float64" else 1e-5), (str(case), dtype, off)
        print("ok", case, flush=True)


def variants() -> list[Scene]:
    size = {"size_px": (390, 270), "pixel_mm": 0.05}
    missets = tuple((10.0 * shot, 20.0, 30.0) for shot in range(7))
    base = described(detector=size, shots={"count": 7, "misset_deg": missets})
    mask = np.random.default_rng(1).random(base.shape[2:]) > 0.3
    return [
        base,
        replace(base, mask=mask),
        described(detector=size, crystal={"shape": "gauss"}),
        described(detector=size, crystal={"shape": "round"}),
    ]


def fetched(
    backend: CudaBackend, scene: Scene, tiles: Iterator[Tile], ahead: int
) -> Iterator[tuple[Tile, np.ndarray]]:
    """Render tiles with some in flight."""
    waiting: deque[tuple[Tile, Pending]] = deque()
    for tile in tiles:
        waiting.append((tile, backend.start(scene, tile)))
        if len(waiting) > ahead:
            done, pending = waiting.popleft()
            yield done, pending.result().pixels
    for done, pending in waiting:
        yield done, pending.result().pixels


def grid(scene: Scene, edge: int) -> Iterator[Tile]:
    _, _, slow, fast = scene.shape
    for row in range(0, slow, edge):
        for col in range(0, fast, edge):
            yield Tile(0, 0, row, min(row + edge, slow), col, min(col + edge, fast))


def part(image: np.ndarray, tile: Tile) -> bytes:
    return image[tile.slow_start : tile.slow_stop, tile.fast_start : tile.fast_stop].tobytes()


def same() -> None:
    scene = variants()[1]
    for dtype in DTYPES:
        gpu = CudaBackend(dtype, device())
        image = gpu.render(scene, whole(scene)).astype(np.float32)
        print(dtype, "sha256", hashlib.sha256(image.tobytes()).hexdigest()[:16])
        for _ in range(5):
            assert gpu.start(scene, whole(scene)).result().pixels.tobytes() == image.tobytes()
        for edge in (512, 256, 100, 61, 16, 7):
            for tile, pixels in fetched(gpu, scene, grid(scene, edge), ahead=2):
                assert pixels.tobytes() == part(image, tile), (edge, tile)
        wrong: list[Tile] = []

        def work(
            gpu: CudaBackend = gpu, image: np.ndarray = image, wrong: list[Tile] = wrong
        ) -> None:
            for tile, pixels in fetched(gpu, scene, grid(scene, 90), ahead=0):
                if pixels.tobytes() != part(image, tile):
                    wrong.append(tile)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong
        print("ok", dtype, "five times, six tile sizes with three in flight, four threads")


def streams() -> None:
    scenes, total = variants(), 0
    for dtype in DTYPES:
        alone = CudaBackend(dtype, device())
        full = {
            (number, shot): alone.render(scene, whole(scene, shot)).astype(np.float32)
            for number, scene in enumerate(scenes)
            for shot in range(scene.shape[0])
        }
        for seed in range(OPTIONS.count or 10):
            draw = random.Random(seed)
            gpu = CudaBackend(dtype, device(), band_bytes=draw.choice((50_000, 500_000, 2**26)))
            waiting: deque[tuple[int, Tile, Pending]] = deque()
            for _ in range(150):
                number = draw.randrange(len(scenes))
                rows, cols = draw.randint(1, 200), draw.randint(1, 200)
                row, col = draw.randint(0, 270 - rows), draw.randint(0, 390 - cols)
                shot = draw.randrange(scenes[number].shape[0])
                tile = Tile(shot, 0, row, row + rows, col, col + cols)
                waiting.append((number, tile, gpu.start(scenes[number], tile)))
                while len(waiting) > 1:
                    which, done, pending = waiting.popleft()
                    expected = part(full[which, done.shot], done)
                    assert pending.result().pixels.tobytes() == expected, (dtype, seed, done)
                    total += 1
            for _, _, pending in waiting:
                pending.result()
    print("ok streams:", total, "tiles")


def hog() -> None:
    import cupy

    free, _ = cupy.cuda.runtime.memGetInfo()
    kept = cupy.cuda.alloc(free - 900 * 2**20)
    time.sleep(60)
    del kept


def heavy() -> None:
    from tiledsim.scheduler.store.layout import choose_layout, usual_tile

    for steps in (100,) if OPTIONS.shim else (500, 2_500, 20_000, 100_000, 400_000):
        side = 1024 if steps <= 2500 else 512 if steps <= 20_000 else 256
        side = 64 if OPTIONS.shim else side
        flags = (
            "-cell 67.2 59.8 47.2 90 113.2 90 -pixel 0.11 -distance 141.7 -lambda 1.74135 "
            f"-default_F 100 -N 20 -gauss_xtal -mosaic 0.05 -mosaic_domains {max(1, steps // 100)} "
            f"-dispersion 1 -dispsteps 100 -detpixels {side}"
        )
        scene = build_scene(experiment_from_nanobragg(flags.split(), "spec"))
        layout = choose_layout(scene, usual_tile(scene, "cuda"))
        for dtype in DTYPES:
            rates = []
            for tiles in ([layout.tile_at(i) for i in range(layout.tiles)], [whole(scene)]):
                gpu = CudaBackend(dtype, device())
                for _ in range(2):  # the first time sizes the bands
                    started = time.perf_counter()
                    deque(fetched(gpu, scene, iter(tiles), ahead=1), maxlen=0)
                    seconds = time.perf_counter() - started
                rates.append(side * side * scene.steps_per_pixel / seconds / 1e9)
            usual, panel = rates
            print(
                f"{dtype:8} {scene.steps_per_pixel:8} steps a pixel, tile {layout.tile}: usual "
                f"{usual:.1f}, whole panel {panel:.1f} Gsteps/s, {panel / usual:.1f} times",
                flush=True,
            )


WHAT: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (facts, attributes, sanitizer, sanitize, same, streams, hog, heavy)
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shim", action="store_true", help="on this processor, by g++")
    parser.add_argument("--count", type=int, default=0, help="cases or seeds; 0: all")
    parser.add_argument("what", nargs="+", choices=list(WHAT))
    OPTIONS = parser.parse_args()
    for what in OPTIONS.what:
        WHAT[what]()
