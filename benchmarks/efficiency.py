"""Parallel efficiency of many workers whose tiles sleep, so that one machine can hold them all.

    python benchmarks/efficiency.py --workers 64 --tile-seconds 1 --seconds 60

The workers are real Dask worker processes with one thread each; scheduler and client are processes
of their own.  The driver, its batches and its journal (on disk) are those of production.
Efficiency is tiles · seconds a tile / (workers · wall), the wall from the first task sent to the
last record; the beginning and the end of the run, where workers wait, are in it.  The workers have
imported what they run before: 64 imports on the few cores of one machine are no part of what a
cluster does.  Exits with status 1 below the goal.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import efficiency
import numpy as np
import psutil
from processes import cluster

from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileRecord
from tiledsim.scheduler.results.summarise import summarise
from tiledsim.scheduler.session.driver import Driver
from tiledsim.scheduler.session.task import Job, worker_name
from tiledsim.scheduler.store.files import LocalFiles
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.lease import Lease

EDGE = 512


def tile_seconds(job: Job, index: int) -> float:
    """Return how long a tile sleeps; the job's backend says: "sleep MEAN SPREAD".

    MEAN (1 ± SPREAD), uniform, drawn by the tile's number.
    """
    _, mean, spread = job.backend.split()
    return float(mean) * (1.0 + float(spread) * random.Random(index).uniform(-1.0, 1.0))


def sleeping_tiles(job: Job, tiles: list[tuple[int, int]]) -> list[TileRecord]:
    """Sleep for each tile and return its record."""
    name, records = worker_name(), []
    for index, attempt in tiles:
        seconds = tile_seconds(job, index)
        time.sleep(seconds)
        records.append(
            TileRecord(index, attempt, name, seconds, 0.0, EDGE * EDGE, EDGE * EDGE, 1.0, 1.0, 0.0,
                       1.0, 0, EDGE * index, 0)
        )  # fmt: skip
    return records


def imported() -> str:
    """Say where this module is; a worker imports it to do so."""
    return __name__


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--tile-seconds", type=float, default=1.0)
    parser.add_argument("--spread", type=float, default=0.0, help="tiles take 1 ± this of it")
    parser.add_argument("--seconds", type=float, default=60.0, help="of work for each worker")
    parser.add_argument("--goal", type=float, default=0.0, help="least efficiency, 0 to 1")
    arguments = parser.parse_args()
    tiles = round(arguments.workers * arguments.seconds / arguments.tile_seconds)
    layout = Layout((1, 1, EDGE, EDGE * tiles), (256, 256), (EDGE, EDGE), (EDGE, EDGE))
    backend = f"sleep {arguments.tile_seconds} {arguments.spread}"
    with (
        cluster(arguments.workers, 1) as (client, scheduler, _),
        tempfile.TemporaryDirectory() as folder,
    ):
        client.run(efficiency.imported)
        files = LocalFiles(Path(folder))
        job = Job(files.url, "run", "0" * 64, layout, backend, "float64", False)
        journal = Journal(files)
        processes = psutil.Process(), psutil.Process(scheduler)
        with Lease(files) as lease:
            work = Driver(
                client, job, journal, lease, np.zeros(tiles, dtype=np.bool_), attempts=3,
                first_batch=1, callbacks=(), task=efficiency.sleeping_tiles,
            )  # fmt: skip
            before = [sum(process.cpu_times()[:2]) for process in processes]
            started = time.perf_counter()
            work.work_through()
            wall = time.perf_counter() - started
            spent = [sum(process.cpu_times()[:2]) for process in processes]
        summary = summarise(layout, Records(journal, tiles), scale={}, steps_per_pixel=1)
    client_share, scheduler_share = (
        100 * (after - then) / wall for after, then in zip(spent, before, strict=True)
    )
    useful = sum(tile_seconds(job, index) for index in range(tiles))
    reached = useful / (arguments.workers * wall)
    idle = [worker.idle_share for worker in summary.workers]
    print(
        f"{arguments.workers} workers, {tiles:,} tiles of {arguments.tile_seconds:g} s ± "
        f"{100 * arguments.spread:.0f} %: {wall:.2f} s, ideal {useful / arguments.workers:.2f} s: "
        f"efficiency {100 * reached:.1f} %"
    )
    print(
        f"the summary says {100 * summary.parallel_efficiency:.1f} %, idle {100 * min(idle):.1f} "
        f"to {100 * max(idle):.1f} % a worker; client {client_share:.0f} %, scheduler "
        f"{scheduler_share:.0f} % of a core"
    )
    return int(reached < arguments.goal)


if __name__ == "__main__":
    sys.exit(main())
