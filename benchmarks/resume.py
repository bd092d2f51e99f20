"""How soon a resumed run of many tiles knows that there is nothing to do, or renders the next tile.

    python benchmarks/resume.py --tiles 100000

Stores are made whose journals say that all, or half, of the tiles are done; their shards are there
as empty files.  Then ``tiledsim run --resume`` is timed from the start of its process: to its end,
and to the first shard that it writes.  Exits with status 1 above 5 and 10 seconds.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tiledsim.experiment import Experiment
from tiledsim.scene.build import build_scene
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.journal_file import Session
from tiledsim.scheduler.journal.tile_record import TileRecord
from tiledsim.scheduler.options import RunOptions
from tiledsim.scheduler.session.opening.create import create_store
from tiledsim.scheduler.session.plan import make_plan
from tiledsim.scheduler.store.files import LocalFiles
from tiledsim.scheduler.store.layout import Layout, choose_layout
from tiledsim.scheduler.store.lease import Lease

SHOTS = 100
ROWS, COLS = 8, 512
"""Of a tile; the image is one row of tiles."""
FLUSH_TILES = 100
NOTHING_TO_DO_SECONDS, RENDERING_SECONDS = 5.0, 10.0


def shard_of(folder: Path, layout: Layout, index: int) -> Path:
    """Return the file of a tile, which is one shard here."""
    ((place, _),) = layout.shards_of(layout.tile_at(index))
    return folder.joinpath("image", "c", *map(str, place))


def make_store(folder: Path, experiment: Experiment, done: int) -> Layout:
    """Make a store whose first ``done`` tiles have records; return how it is cut."""
    scene = build_scene(experiment)
    layout = choose_layout(scene)
    plan = make_plan(scene, layout, workers=1, threads=1, backend="cpu", dtype="float64")
    files = LocalFiles(folder)
    with Lease(files) as lease:
        create_store(
            lease.files, experiment, scene, layout, plan, RunOptions(), "benchmarks/resume.py"
        )
    journal = Journal(files)
    began = datetime.now(UTC).isoformat(timespec="seconds")
    for start in range(0, done, FLUSH_TILES):
        records = [
            TileRecord(
                index, 1, str(index % 64), 0.01 + 1e-7 * index, 0.001, ROWS * COLS, ROWS * COLS,
                float(index), float(index), 1.0, 1.0, 0,
                layout.tile_at(index).fast_start + index % 7, index,
                ranges={"omega_min": 0.1, "omega_max": 0.2},
            )
            for index in range(start, min(start + FLUSH_TILES, done))
        ]  # fmt: skip
        session = Session(journal.mark, began, 1.0 + start / FLUSH_TILES, 64, 64, 0, {})
        journal.append(records, [], session)
    for index in range(done):
        shard = shard_of(folder, layout, index)
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.touch()
    return layout


def resume(experiment: Path, store: Path) -> "subprocess.Popen[str]":
    """Start ``tiledsim run --resume``."""
    return subprocess.Popen(
        [sys.executable, "-m", "tiledsim.cli.main", "run", str(experiment), "-o", str(store),
         "--resume", "--quiet"],
        cwd=Path(__file__).resolve().parents[1], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def to_its_end(experiment: Path, store: Path) -> float:
    """Seconds until a resumed run ends by itself."""
    started = time.perf_counter()
    process = resume(experiment, store)
    _, said = process.communicate()
    if process.returncode:
        sys.exit(said)
    return time.perf_counter() - started


def to_the_first_shard(experiment: Path, store: Path, shard: Path) -> float:
    """Seconds until a resumed run has written its first shard; it is stopped then."""
    started = time.perf_counter()
    process = resume(experiment, store)
    while not shard.exists():
        if process.poll() is not None:
            sys.exit(process.communicate()[1])
        time.sleep(0.005)
    seconds = time.perf_counter() - started
    process.kill()
    process.communicate()
    return seconds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    experiment = Experiment(
        beam={"wavelength_A": 1.0},
        crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (9, 8, 7)},
        structure_factors={"default_F": 100.0},
        detector={"size_px": (COLS * max(1, arguments.tiles // SHOTS), ROWS), "pixel_mm": 0.001},
        sampling={"oversample": 1},
        shots={"count": SHOTS},
    )
    with tempfile.TemporaryDirectory(prefix="tiledsim-resume-") as folder:
        described = Path(folder) / "experiment.toml"
        described.write_text(experiment.to_toml())
        whole, half = Path(folder) / "whole.zarr", Path(folder) / "half.zarr"
        layout = make_store(whole, experiment, arguments.tiles)
        tiles = layout.tiles
        make_store(half, experiment, tiles // 2)
        parts = len(list((whole / "run" / "journal").iterdir()))
        recorded = to_its_end(described, whole)
        finished = min(to_its_end(described, whole) for _ in range(arguments.rounds))
        next_shard = shard_of(half, layout, tiles // 2)
        rendering = to_the_first_shard(described, half, next_shard)
    print(f"{tiles:,} tiles, {parts:,} journal files; seconds from the start of the process")
    print(f"  all recorded, summary not yet made: {recorded:6.2f} s to the end")
    print(f"  finished:                           {finished:6.2f} s to the end")
    print(f"  half done:                          {rendering:6.2f} s to the first shard")
    return int(finished > NOTHING_TO_DO_SECONDS or rendering > RENDERING_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
