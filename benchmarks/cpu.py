"""Steps a second of the CPU kernel, as ratios to what else can compute them, run in turn.

    python benchmarks/cpu.py [--rounds 3]

One core, float64.  Baselines: a scalar kernel written step by step as nanoBragg is (Numba, libm's
sine, one step after the other) and, where ``NANOBRAGG=path`` names a binary, nanoBragg itself, with
one thread and by its user time, less that of the same run on one pixel.
"""

import argparse
import math
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from tiledsim import Tile, build_scene, experiment_from_nanobragg
from tiledsim.kernels import get_backend
from tiledsim.scene import Scene

CELL = "-cell 70 80 90 75 85 95 -misset 10 20 30 -lambda 1.0 -distance 100 -pixel 0.1 -oversample 1"
WORKLOADS = {
    "100 mosaic domains": f"{CELL} -default_F 100 -N 30 -mosaic 0.5 -mosaic_domains 100"
    " -detpixels {side}",
    "100 wavelengths": f"{CELL} -default_F 100 -N 30 -dispersion 5 -dispsteps 100"
    " -detpixels {side}",
    "tricubic interpolation": f"{CELL} -hkl {{hkl}} -interpolate -N 5 -mosaic 0.5"
    " -mosaic_domains 30 -detpixels {side}",
}


@numba.njit(fastmath=False, cache=False)
def _scalar(
    image: np.ndarray, q: np.ndarray, orientations: np.ndarray, counts: np.ndarray,
    table: np.ndarray, low: np.ndarray,
) -> None:  # fmt: skip
    """Square spots, nearest structure factors: h k l, six sines, a look-up, one step at a time."""
    for pixel in range(len(q)):
        total = 0.0
        for m in range(len(orientations)):
            product = 1.0
            at = np.zeros(3, dtype=np.int64)
            for v in range(3):
                a = orientations[m, v]
                h = a[0] * q[pixel, 0] + a[1] * q[pixel, 1] + a[2] * q[pixel, 2]
                below = math.sin(math.pi * h)
                n = counts[v]
                product *= n if below == 0.0 else math.sin(n * math.pi * h) / below
                at[v] = min(max(math.ceil(h - 0.5) - low[v] + 1, 0), table.shape[v] - 1)
            F = table[at[0], at[1], at[2]]
            total += F * F * product * product
        image[pixel] = total


def scalar_seconds_per_step(scene: Scene) -> float:
    """Time the scalar kernel on some pixels of a scene."""
    from tiledsim.reference.model import pixel_rays

    count = max(200, 400_000 // scene.orientations)
    q = pixel_rays(scene, 0, np.zeros(count, dtype=int), np.arange(count)).scattering[:, 0, 0, 0]
    orientations = scene.orientation_table(0)
    counts, low = np.array(scene.cell_counts, float), np.array(scene.hkl_lowest, float)
    image = np.empty(count)
    _scalar(image[:1], q[:1], orientations, counts, scene.F_table, low)
    start = time.process_time()
    _scalar(image, q, orientations, counts, scene.F_table, low)
    return (time.process_time() - start) / (count * scene.orientations)


def kernel_seconds_per_step(scene: Scene) -> float:
    """Time the production kernel on a whole panel: the median of three, after one that warms up."""
    _, _, slow, fast = scene.shape
    backend = get_backend("cpu")
    times = []
    for _ in range(4):
        start = time.process_time()
        backend.render(scene, Tile(0, 0, 0, slow, 0, fast))
        times.append(time.process_time() - start)
    return float(np.median(times[1:])) / (slow * fast * scene.steps_per_pixel)


def nanobragg_seconds(binary: str, flags: str, folder: Path) -> float:
    """User time of one run of nanoBragg."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(
        [binary, *flags.split(), "-nonoise", "-nopgm", "-noprogress"],
        cwd=folder, check=True, stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def median_of(rounds: int, measure: Callable[[], tuple[float, ...]]) -> list[float]:
    """Median of each column over rounds, in which the things compared take turns."""
    return [float(x) for x in np.median([measure() for _ in range(rounds)], axis=0)]


def write_table(path: Path) -> None:
    """Write structure factors that reach beyond the detector."""
    numbers = range(-30, 31)
    rows = [f"{h} {k} {l} {50 + (7 * h + 5 * k + 3 * l) % 40}" for h in numbers for k in numbers
            for l in numbers]  # fmt: skip
    path.write_text("\n".join(rows))


def main() -> None:
    """Print the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=256, help="pixels along an edge")
    options = parser.parse_args()
    binary = os.environ.get("NANOBRAGG", "")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_table(folder / "F.hkl")
        flags = {name: f.format(side=options.side, hkl="F.hkl") for name, f in WORKLOADS.items()}
        inputs = dict.fromkeys(flags, folder)
        pilatus = Path(__file__).resolve().parents[2] / "shared" / "pilatus6m"
        if pilatus.is_dir():
            command = (pilatus / "command.txt").read_text().split()[1:]
            flags["pilatus6m"] = " ".join(command[: command.index("-floatfile")])
            inputs["pilatus6m"] = folder
            for name in ("A.mat", "scaled.hkl"):
                (folder / name).write_bytes((pilatus / name).read_bytes())
        print(f"{'workload':24} {'ns/step':>8} {'x scalar':>9} {'x nanoBragg':>12}")
        for name, line in flags.items():
            scene = build_scene(experiment_from_nanobragg(line.split(), base=inputs[name]))
            _, _, slow, fast = scene.shape
            steps = slow * fast * scene.steps_per_pixel

            def measure(
                scene: Scene = scene, line: str = line, steps: int = steps
            ) -> tuple[float, ...]:
                whole = nanobragg_seconds(binary, line, folder) if binary else math.nan
                set_up = (
                    nanobragg_seconds(binary, f"{line} -roi 0 0 0 0", folder) if binary else 0.0
                )
                own = kernel_seconds_per_step(scene)
                scalar = math.nan if scene.interpolate else scalar_seconds_per_step(scene)
                return own, scalar / own, (whole - set_up) / steps / own

            own, scalar, other = median_of(options.rounds, measure)
            cells = [f"{x:.1f}" if math.isfinite(x) else "-" for x in (scalar, other)]
            print(f"{name:24} {own * 1e9:8.2f} {cells[0]:>9} {cells[1]:>12}", flush=True)


if __name__ == "__main__":
    main()
