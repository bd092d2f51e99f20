"""Parallel efficiency of many workers whose tiles wait, so that one machine can hold them all.

    python benchmarks/efficiency.py --workers 64 --tile-seconds 1 --seconds 60
    python benchmarks/efficiency.py --pretend 1000 --tile-seconds 1 --seconds 60

The workers are real Dask worker processes with one thread each, or pretended ones (pretend.py), of
which a machine holds a thousand; scheduler and client are processes of their own.  The driver, its
batches and its journal (on disk) are those of production.  Efficiency is tiles · seconds a tile /
(workers · wall), the wall from the first task sent to the last record; the beginning and the end of
the run, where workers wait, are in it.  Beside it stands what a greedy order would reach if nothing
cost any time but the tiles: whoever is free takes the next, in the order in which they go out.
Real workers have imported what they run before: 64 imports on the few cores of one machine are no
part of what a cluster does.  Exits with status 1 below the goal.
"""

import argparse
import heapq
import random
import sys
import tempfile
import time
from collections.abc import Iterable
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
from tiledsim.scheduler.session.tile_order import classes_of, expensive_first
from tiledsim.scheduler.store.files import LocalFiles
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.lease import Lease

EDGE = 512

this_worker = ""
"""Of pretended workers, the one whose task is looked at."""


def tile_seconds(job: Job, index: int) -> float:
    """Return how long a tile takes; the job's backend says: "sleep MEAN SPREAD".

    MEAN (1 ± SPREAD), uniform, drawn by the tile's number.
    """
    _, mean, spread = job.backend.split()
    return float(mean) * (1.0 + float(spread) * random.Random(index).uniform(-1.0, 1.0))


def record_of(index: int, attempt: int, name: str, seconds: float) -> TileRecord:
    """Return the record that a tile would have."""
    return TileRecord(index, attempt, name, seconds, 0.0, EDGE * EDGE, EDGE * EDGE, 1.0, 1.0, 0.0,
                      1.0, 0, EDGE * index, 0)  # fmt: skip


def sleeping_tiles(job: Job, tiles: Iterable[tuple[int, int]]) -> list[TileRecord]:
    """Sleep for each tile and return its record."""
    name, records = worker_name(), []
    for index, attempt in tiles:
        seconds = tile_seconds(job, index)
        time.sleep(seconds)
        records.append(record_of(index, attempt, name, seconds))
    return records


def planned_tiles(job: Job, tiles: Iterable[tuple[int, int]]) -> tuple[float, list[TileRecord]]:
    """Return what a pretended worker needs to know: how long it takes, and what comes out."""
    records = [
        record_of(index, attempt, this_worker, tile_seconds(job, index))
        for index, attempt in tiles
    ]  # fmt: skip
    return sum(record.render_seconds for record in records), records


def imported() -> str:
    """Say where this module is; a worker imports it to do so."""
    return __name__


def greedy_seconds(seconds: Iterable[float], workers: int) -> float:
    """Return when all is done if whoever is free takes the next tile at once."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=64, help="real ones")
    parser.add_argument("--pretend", type=int, default=0, help="so many pretended ones instead")
    parser.add_argument("--tile-seconds", type=float, default=1.0)
    parser.add_argument("--spread", type=float, default=0.0, help="tiles take 1 ± this of it")
    parser.add_argument("--known", action="store_true", help="what a tile takes is known before")
    parser.add_argument("--seconds", type=float, default=60.0, help="of work for each worker")
    parser.add_argument("--goal", type=float, default=0.0, help="least efficiency, 0 to 1")
    arguments = parser.parse_args()
    workers = arguments.pretend or arguments.workers
    tiles = round(workers * arguments.seconds / arguments.tile_seconds)
    layout = Layout((1, 1, EDGE, EDGE * tiles), (256, 256), (EDGE, EDGE), (EDGE, EDGE))
    backend = f"sleep {arguments.tile_seconds} {arguments.spread}"
    with (
        cluster(workers, 1, pretended=bool(arguments.pretend)) as (client, scheduler, _),
        tempfile.TemporaryDirectory() as folder,
    ):
        if not arguments.pretend:
            client.run(efficiency.imported)
        files = LocalFiles(Path(folder))
        job = Job(files.url, "run", "0" * 64, layout, backend, "float64", False)
        seconds = np.array([tile_seconds(job, index) for index in range(tiles)])
        classes = classes_of(seconds) if arguments.known else None
        done = np.zeros(tiles, dtype=np.bool_)
        order = list(expensive_first(done, classes))
        task = efficiency.planned_tiles if arguments.pretend else efficiency.sleeping_tiles
        journal = Journal(files)
        processes = psutil.Process(), psutil.Process(scheduler)
        with Lease(files) as lease:
            work = Driver(
                client, job, journal, lease, done, attempts=3,
                first_batch=max(1, int(1 / arguments.tile_seconds)), callbacks=(), task=task,
                classes=classes,
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
    useful = float(seconds.sum())
    reached = useful / (workers * wall)
    greedy = useful / (workers * greedy_seconds(seconds[order], workers))
    idle = [worker.idle_share for worker in summary.workers]
    print(
        f"{workers} {'pretended ' if arguments.pretend else ''}workers, {tiles:,} tiles of "
        f"{arguments.tile_seconds:g} s ± {100 * arguments.spread:.0f} %: {wall:.2f} s, ideal "
        f"{useful / workers:.2f} s: efficiency {100 * reached:.1f} %, greedy {100 * greedy:.1f} %"
    )
    print(
        f"the summary says {100 * summary.parallel_efficiency:.1f} %, idle {100 * min(idle):.1f} "
        f"to {100 * max(idle):.1f} % a worker; client {client_share:.0f} %, scheduler "
        f"{scheduler_share:.0f} % of a core; {work.tasks_sent:,} tasks"
    )
    return int(reached < arguments.goal)


if __name__ == "__main__":
    sys.exit(main())
