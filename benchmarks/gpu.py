"""Steps a second of the CUDA kernel: builds, checks and times in one call.

    python benchmarks/gpu.py [--rounds 7] [--side 3000] [--only NAME] [--json FILE]

Every workload is compared with the CPU kernel on a strip of rows before it is timed.  A time is
what the GPU spent on an image, until its pixels were in the host's memory (CUDA events): the median
of the rounds, after one that warms up, over crystals in three orientations in turn.  The ceilings
of the card, fused multiply-adds and bytes a second, are measured by ceilings.cu in the same call;
what a step takes of the first is counted in the machine code by instructions.py.

Whole images are timed, and the tiles of a run as they are by default, at 10² to 10⁶ steps a pixel.

Where ``NANOBRAGG_CUDA=path`` names a binary, it is given the same flags on the same card in turn,
and its time is that of its process, less that of the same run on one pixel.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim import Tile, build_scene, experiment_from_nanobragg
from tiledsim.experiment import Shots
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.kernels.cuda.device import CupyDevice, Device
from tiledsim.scene import Scene

HKL = Path(__file__).resolve().parents[1] / "examples" / "quickstart.hkl"
GEOMETRY = (
    "-cell 67.2 59.8 47.2 90 113.2 90 -pixel 0.11 -distance 141.7 -lambda 1.74135 -oversample 1"
)
ORIENTATIONS = ((10.0, 20.0, 30.0), (40.0, 50.0, 60.0), (70.0, 15.0, 25.0))
STRIP = 32
"""Rows that are compared with the CPU kernel."""
DEFAULT_TILES = ((10, 10), (50, 20), (100, 100), (1000, 100), (1000, 1000))
"""Mosaic domains and φ steps."""
TILES_STEPS = 2e12
"""Evaluations of the default tiles that are timed together, one tile at least."""
CLOSE = {"float64": 1e-11, "mixed": 1e-5}
"""Difference from the CPU kernel, over the strip's maximum."""


@dataclass(frozen=True)
class Workload:
    """Flags of nanoBragg, what is aimed at, and what a step costs by instructions.py (sm_90)."""

    flags: str
    aims: dict[str, float]
    """Steps a second on an H200, by dtype."""
    float64_a_step: dict[str, float]
    float32_a_step: dict[str, float]


WORKLOADS = {
    "square, 25 domains x 20 phi": Workload(
        f"{GEOMETRY} -N 20 -mosaic 0.05 -mosaic_domains 25 -osc 1 -phisteps 20",
        {"float64": 100e9, "mixed": 250e9},
        {"float64": 94, "mixed": 9},
        {"mixed": 49},
    ),
    "gauss, 100 wavelengths x 25 domains": Workload(
        f"{GEOMETRY} -N 20 -gauss_xtal -mosaic 0.05 -mosaic_domains 25"
        " -dispersion 1 -dispsteps 100",
        {"float64": 150e9, "mixed": 150e9},
        {"float64": 41, "mixed": 3},
        {"mixed": 14},
    ),
    "round, 25 domains x 20 phi": Workload(
        f"{GEOMETRY} -N 20 -round_xtal -mosaic 0.05 -mosaic_domains 25 -osc 1 -phisteps 20",
        {},
        {"float64": 67, "mixed": 28},
        {"mixed": 32},
    ),
    "tricubic, 25 domains": Workload(
        f"{GEOMETRY} -N 5 -interpolate -mosaic 0.05 -mosaic_domains 25",
        {},
        {"float64": 227, "mixed": 9},
        {"mixed": 182},
    ),
    "square, 1 step": Workload(f"{GEOMETRY} -N 20", {}, {}, {}),
}


def scene_of(workload: Workload, side: int) -> Scene:
    """Build the scene of a workload, a shot for each orientation, in spec mode; the CPU kernel that
    it is compared with leaves out no step.
    """
    flags = f"{workload.flags} -hkl {HKL} -detpixels {side}".split()
    experiment = experiment_from_nanobragg(flags, "spec")
    scene = build_scene(experiment.replace(shots=Shots(count=3, misset_deg=ORIENTATIONS)))
    return replace(scene, tolerance=0.0)


def check(backend: CudaBackend, scene: Scene) -> float:
    """Compare a strip that is not dark with the CPU kernel; return its seconds a step, one core."""
    _, _, slow, fast = scene.shape
    get_backend("cpu").render(scene, Tile(0, 0, 0, 1, 0, 1))  # compiles
    for start in range(slow * 3 // 10, slow, 2 * STRIP):
        tile = Tile(0, 0, start, min(start + STRIP, slow), 0, fast)
        started = time.perf_counter()
        expected = get_backend("cpu").render(scene, tile)
        seconds = time.perf_counter() - started
        if expected.max() > 1.0:
            off = float(np.abs(backend.render(scene, tile) - expected).max() / expected.max())
            if not off <= CLOSE[backend.dtype]:
                raise SystemExit(
                    f"the kernels differ by {off:.2g} of the maximum; nothing is timed"
                )
            return seconds / (tile.rows * tile.cols * scene.steps_per_pixel)
    raise SystemExit("no strip of the image is bright enough to compare; nothing is timed")


def image_seconds(backend: CudaBackend, scene: Scene, rounds: int) -> float:
    """Time whole images, the orientation another one each time."""
    _, _, slow, fast = scene.shape
    times = [
        backend.start(scene, Tile(turn % 3, 0, 0, slow, 0, fast)).result().seconds
        for turn in range(rounds + 3)
    ]
    return statistics.median(times[3:])


def default_tiles(
    dtype: str, device: Device, side: int, say: Callable[[str], None]
) -> list[dict[str, float]]:
    """Time tiles as a run cuts them, by the steps of a pixel: is the card full with few of them?"""
    from tiledsim.scheduler.store.layout import choose_layout, usual_tile

    backend, rows = CudaBackend(dtype, device), []
    for domains, phi_steps in DEFAULT_TILES:
        flags = f"-mosaic 0.05 -mosaic_domains {domains} -osc 1 -phisteps {phi_steps}"
        scene = scene_of(Workload(f"{GEOMETRY} -N 20 {flags}", {}, {}, {}), side)
        layout = choose_layout(scene, usual_tile(scene, "cuda"))
        tiles = [layout.tile_at(index) for index in range(min(layout.tiles, 12))]
        each = tiles[0].rows * tiles[0].cols * scene.steps_per_pixel
        tiles = tiles[: max(1, int(TILES_STEPS / each))]
        backend.start(scene, tiles[0]).result()  # builds the kernel and finds its speed
        started = time.perf_counter()
        for pending in [backend.start(scene, tile) for tile in tiles]:
            pending.result()
        seconds = time.perf_counter() - started
        steps = sum(tile.rows * tile.cols for tile in tiles) * scene.steps_per_pixel
        rows.append({"steps_a_pixel": scene.steps_per_pixel, "tiles": len(tiles),
                     "rows": tiles[0].rows, "cols": tiles[0].cols,
                     "steps_per_second": steps / seconds})  # fmt: skip
        say(
            f"{len(tiles):3} tiles of {tiles[0].rows} x {tiles[0].cols}, {scene.steps_per_pixel:8} "
            f"steps a pixel, {dtype:8} {steps / seconds / 1e9:9.1f} Gsteps/s"
        )
    return rows


def ceilings(device: Device) -> dict[str, float]:
    """Measure fused multiply-adds a second in both precisions, and bytes a second."""
    text = (Path(__file__).parent / "ceilings.cu").read_text()
    blocks, threads, loops = 132 * 16, 256, 20_000
    found = {}
    for name, kind in (("float64", np.float64), ("float32", np.float32)):
        real = "double" if kind is np.float64 else "float"
        source = f"#define REAL {real}\n#define THREADS {threads}\n{text}"
        count = 2**28 // np.dtype(kind).itemsize
        to, source_buffer = device.allocate(2**28), device.upload(np.full(count, 0.5, kind))

        def timed(kernel: str, repeats: int, source: str = source, to: Any = to,
                  read: Any = source_buffer, count: int = count) -> float:  # fmt: skip
            built = device.build(source, kernel)
            struct = np.zeros(1, dtype=[("to", "u8"), ("from", "u8"), ("n", "i8"), ("loops", "i8")])
            struct[0] = (to.address, read.address, count, repeats)
            times = []
            for _ in range(4):
                first = device.mark(0)
                device.launch(built, blocks, threads, struct, 0)
                last = device.mark(0)
                device.wait(last)
                times.append(device.seconds(first, last))
            return min(times[1:])

        seconds = timed("arithmetic", loops)
        found[f"{name} multiply-adds/s"] = 8.0 * loops * blocks * threads / seconds
        if kind is np.float64:
            found["bytes/s"] = 2.0 * 2**28 / timed("memory", blocks * threads)
    return found


def nanobragg_seconds(binary: str, workload: Workload, side: int) -> float:
    """Time nanoBraggCUDA on the first orientation: the process, less that of one pixel."""
    angles = " ".join(map(str, ORIENTATIONS[0]))

    def run(pixels: int) -> float:
        with tempfile.TemporaryDirectory() as scratch:
            words = f"{binary} {workload.flags} -misset {angles} -hkl {HKL} -detpixels {pixels}"
            started = time.perf_counter()
            subprocess.run(words.split(), cwd=scratch, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - started

    run(1)
    return statistics.median([run(side) for _ in range(3)]) - run(1)


def whole_run(rounds: int, side: int) -> dict[str, float]:
    """Render and store an image of one step a pixel: the run, and its two halves alone.

    ``run``: from the first tile started to the last byte in Zarr, in one worker's loop.
    """
    from tiledsim.scheduler.session.opening.create import save_scene
    from tiledsim.scheduler.session.task import Job, render_tiles
    from tiledsim.scheduler.store import image as store
    from tiledsim.scheduler.store.files import open_files
    from tiledsim.scheduler.store.layout import choose_layout
    from tiledsim.scheduler.store.lease import Lease
    from tiledsim.scheduler.store.shards import open_shards

    scene = scene_of(WORKLOADS["square, 1 step"], side)
    layout = choose_layout(scene)
    backend = get_backend("cuda")
    tiles = [(index, 1) for index in range(layout.tiles // scene.shape[0])]
    found: dict[str, list[float]] = {"run": [], "render": [], "write": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            files = open_files(Path(scratch) / "a.zarr")
            with Lease(files) as lease:
                store.create(lease.files, layout, 0.11, "run")
                save_scene(lease.files, scene)
                store.publish(lease.files, {"run": "run"}, "run")
            job = Job(files.url, "run", scene.hash, layout, "cuda", "float64", True)
            render_tiles(job, tiles[:1])  # loads the scene and the kernel
            started = time.perf_counter()
            render_tiles(job, tiles)
            found["run"].append(time.perf_counter() - started)
        started = time.perf_counter()
        rendered = [backend.start(scene, layout.tile_at(index)) for index, _ in tiles]
        pixels = [pending.result().pixels for pending in rendered]
        found["render"].append(time.perf_counter() - started)
        with tempfile.TemporaryDirectory() as scratch:
            files = open_files(Path(scratch) / "a.zarr")
            with Lease(files) as lease:
                store.create(lease.files, layout, 0.11, "run")
                store.publish(lease.files, {"run": "run"}, "run")
            image, shards = store.open_image(files), open_shards(files, "run")
            started = time.perf_counter()
            for (index, _), part in zip(tiles, pixels, strict=True):
                store.write_tile(shards, image, layout, layout.tile_at(index), part, fsync=True)
            found["write"].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in found.items()}


def report(
    device: Device, *, rounds: int, side: int, only: str, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Check and time every workload; return what was found."""
    limits = ceilings(device)
    say("; ".join(f"{name} {value:.3g}" for name, value in limits.items()))
    rows: list[dict[str, Any]] = []
    say(
        f"{'workload':36} {'dtype':8} {'Gsteps/s':>9} {'aim':>6} {'arithmetic':>10} {'x 1 core':>9}"
    )
    for name, workload in WORKLOADS.items():
        if only not in name:
            continue
        for dtype in ("float64", "mixed"):
            backend, scene = CudaBackend(dtype, device), scene_of(workload, side)
            core = check(backend, scene)
            seconds = image_seconds(backend, scene, rounds)
            speed = side * side * scene.steps_per_pixel / seconds
            share = max(
                workload.float64_a_step.get(dtype, 0) * speed / limits["float64 multiply-adds/s"],
                workload.float32_a_step.get(dtype, 0) * speed / limits["float32 multiply-adds/s"],
            )
            row = {"workload": name, "dtype": dtype, "seconds": seconds, "steps_per_second": speed,
                   "share_of_arithmetic": share, "times_one_core": speed * core}  # fmt: skip
            aim = workload.aims.get(dtype)
            say(
                f"{name:36} {dtype:8} {speed / 1e9:9.1f} {f'{aim / 1e9:.0f}' if aim else '-':>6} "
                f"{100 * share:9.0f}% {speed * core:9.0f}"
            )
            if (binary := os.environ.get("NANOBRAGG_CUDA")) and workload.aims:
                other = nanobragg_seconds(binary, workload, side)
                row["times_nanobragg_cuda"] = other / seconds
                say(f"{'':36} {other / seconds:.1f} times nanoBraggCUDA")
            rows.append(row)
    tiles = {} if only else {
        dtype: default_tiles(dtype, device, side, say) for dtype in ("float64", "mixed")
    }  # fmt: skip
    return {"device": device.describe(), "ceilings": limits, "workloads": rows, "tiles": tiles}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=3000)
    parser.add_argument("--only", default="", help="workloads with this in their name")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = CupyDevice()
    print("; ".join(f"{name} {value}" for name, value in device.describe().items()))
    found = report(device, rounds=options.rounds, side=options.side, only=options.only)
    if not options.only:
        found["whole run"] = parts = whole_run(3, 4096)
        slower = max(parts["render"], parts["write"])
        print(
            f"16 megapixels, 1 step a pixel: run {parts['run']:.3f} s, rendering alone "
            f"{parts['render']:.3f} s, writing alone {parts['write']:.3f} s: "
            f"{100 * slower / parts['run']:.0f} % of the slower"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
