"""What a campaign costs: images a second and where the time goes, and what grows with its shots.

    python benchmarks/campaign.py images --pixels 1024 --shots 40
    python benchmarks/campaign.py images --pixels 4096 --shots 4
    python benchmarks/campaign.py shots 100 10000 1000000

``images`` runs examples/campaign.toml (25 domains, 100 channels, gauss, background, noise, uint16)
with one process of a thread a core, and then takes two of its shots apart in this process.
``shots`` describes campaigns of small images in processes of their own, without rendering: the
scene and the plan, the store, the records of all tiles and their summary, and a resume that finds
all of it done; with the memory that each held at most.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/campaign.toml"
FLUSH_TILES = 4096


def images(pixels: int, shots: int) -> None:
    """Run a campaign, and say where the time of a shot goes."""
    from tiledsim import load
    from tiledsim.scheduler import run

    changes = [f"detector.size_px=[{pixels}, {pixels}]", f"shots.count={shots}",
               f"detector.pixel_mm={0.15 * 1024 / pixels}"]  # fmt: skip
    experiment = load(EXAMPLE, changes)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        summary = run(experiment, Path(folder) / "a.zarr", backend="cpu")
        whole = time.perf_counter() - started
        store = sum(p.stat().st_size for p in (Path(folder) / "a.zarr").rglob("*") if p.is_file())
    render = sum(worker.render_seconds for worker in summary.workers)
    write = sum(worker.write_seconds for worker in summary.workers)
    print(
        f"{pixels}²: {shots} images in {summary.wall_seconds:.1f} s = "
        f"{shots / summary.wall_seconds:.2f} images/s ({whole:.1f} s with start-up); of the "
        f"{os.cpu_count()} threads' time an image takes {render / shots:.3f} s to make and "
        f"{write / shots:.3f} s to write; {store / shots / 2**20:.2f} MiB an image"
    )
    _take_apart(experiment)


def _take_apart(experiment: Any) -> None:
    """Time the parts of a shot, the second of two."""
    import numpy as np

    from tiledsim.campaign.one_shot import alone
    from tiledsim.detector_model.shot_background import background
    from tiledsim.detector_model.stage import count_tile
    from tiledsim.kernels import get_backend
    from tiledsim.scene.build import build_scene
    from tiledsim.tile import Tile

    scene = build_scene(experiment)
    _, _, slow, fast = scene.shape
    kernel = get_backend("cpu", "float64")
    for shot in (0, 1):
        tile = Tile(shot, 0, 0, slow, 0, fast)
        spent: dict[str, float] = {}

        def timed(name: str, made: Callable[[], Any], into: dict[str, float] = spent) -> Any:
            started = time.process_time()
            result = made()
            into[name] = time.process_time() - started
            return result

        timed("scene of the shot", lambda at=tile: alone(scene, at))
        spots, _ = timed("spots", lambda at=tile: kernel.render_bounded(scene, at))
        added = timed("background", lambda at=tile: background(scene, at))
        photons = timed("sum", lambda a=spots, b=added: (a + b).astype(np.float32))
        timed("noise", lambda p=photons, at=tile: count_tile(scene, p, at))
    parts = ", ".join(f"{name} {seconds:.3f}" for name, seconds in spent.items())
    print(f"  processor seconds of one shot: {parts}; all {sum(spent.values()):.3f}")


def shots(counts: list[int]) -> None:
    """Describe campaigns of several lengths, each in a process of its own."""
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            for step in ("describe", "record", "resume"):
                words = [sys.executable, __file__, step, str(count), folder]
                done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
                told = json.loads(done.stdout.splitlines()[-1])
                numbers = ", ".join(f"{name} {value:,.2f}" for name, value in told.items())
                print(f"{count:>10,} shots, {step}: {numbers}", flush=True)


def _experiment(count: int) -> Any:
    from tiledsim.experiment import Experiment

    return Experiment(
        beam={"wavelength_A": 1.0},
        crystal={"cell_A_deg": (70, 80, 90, 90, 90, 90), "cells": (10, 10, 10), "shape": "gauss"},
        structure_factors={"default_F": 100.0},
        detector={"size_px": (256, 256), "pixel_mm": 0.3, "distance_mm": 100.0},
        sampling={"oversample": 1}, noise={},
        shots={"count": count, "seed": 1, "orientation": "random",
               "columns": {"fluence_photons_per_m2": {"lognormal": (1e24, 0.4)},
                           "cell_a_A": {"normal": (70.0, 0.2)}}},
    )  # fmt: skip


def _tell(**numbers: float) -> None:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(numbers | {"MiB at most": held}))


def describe(count: int, folder: Path) -> None:
    """Build the scene, cut it, plan the run and make its store."""
    from tiledsim.scene.build import build_scene
    from tiledsim.scheduler.options import RunOptions
    from tiledsim.scheduler.session.opening.create import create_store
    from tiledsim.scheduler.session.plan import make_plan
    from tiledsim.scheduler.store.files import LocalFiles
    from tiledsim.scheduler.store.layout import choose_layout
    from tiledsim.scheduler.store.lease import Lease

    experiment = _experiment(count)
    started = time.perf_counter()
    scene = build_scene(experiment)
    layout = choose_layout(scene)
    plan = make_plan(scene, layout, workers=1, threads=2, backend="cpu", dtype="float64")
    planned = time.perf_counter()
    with Lease(LocalFiles(folder / "a.zarr")) as lease:
        create_store(
            lease.files, experiment, scene, layout, plan, RunOptions(), "benchmarks/campaign.py"
        )
    _tell(**{"plan, s": planned - started, "store, s": time.perf_counter() - planned})


def record(count: int, folder: Path) -> None:
    """Write the records of all tiles, and reduce them to the summary."""
    from tiledsim.scheduler.journal.journal import Journal
    from tiledsim.scheduler.journal.journal_file import Session
    from tiledsim.scheduler.journal.tile_record import TileRecord
    from tiledsim.scheduler.results.finish import finish
    from tiledsim.scheduler.session.task import scene_of
    from tiledsim.scheduler.store import image as store
    from tiledsim.scheduler.store.files import LocalFiles
    from tiledsim.scheduler.store.lease import Lease
    from tiledsim.scheduler.store.open import layout_of

    files = LocalFiles(folder / "a.zarr")
    about, layout = store.read_attributes(files), layout_of(files)
    run = str(about["run"])
    journal, began = Journal(files, run), datetime.now(UTC).isoformat(timespec="seconds")
    for first in range(0, layout.tiles, FLUSH_TILES):
        records = [
            TileRecord(index, 1, "w", 0.01, 0.001, 65536, 65536, float(index), 1.0, 1.0, 1.0, 0,
                       index % 256, index, ranges={"omega_min": 0.1, "omega_max": 0.2})
            for index in range(first, min(first + FLUSH_TILES, layout.tiles))
        ]  # fmt: skip
        journal.append(records, [], Session(journal.mark, began, 1.0, 1, 2, 0, {}))
    scene = scene_of(files.url, about["scene_hash"])
    started = time.perf_counter()
    with Lease(files) as lease:
        finish(lease, run, layout, scene)
    _tell(**{"summary, s": time.perf_counter() - started})


def resume(count: int, folder: Path) -> None:
    """Resume the run, which is finished."""
    from tiledsim.scheduler import run

    assert (folder / "a.zarr/zarr.json").exists()
    started = time.perf_counter()
    summary = run(_experiment(count), folder / "a.zarr", backend="cpu", resume=True)
    assert summary.tiles == count
    _tell(**{"resume, s": time.perf_counter() - started})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["images", "shots", "describe", "record", "resume"])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--pixels", type=int, default=1024)
    parser.add_argument("--shots", type=int, default=40)
    asked = parser.parse_args()
    if asked.what == "images":
        images(asked.pixels, asked.shots)
    elif asked.what == "shots":
        shots([int(word) for word in asked.words] or [100, 10_000, 1_000_000])
    else:
        steps = {"describe": describe, "record": record, "resume": resume}
        steps[asked.what](int(asked.words[0]), Path(asked.words[1]))


if __name__ == "__main__":
    main()
