"""Many tiles that cost nothing through one scheduler: rate, and memory over time.

    python benchmarks/tiles.py --tiles 100000

The driver of a run, its records and its journal are those of production; the worker's function
returns a record a tile without rendering or writing.  The baseline submits one bare no-op task a
tile to the same workers.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tiledsim.scheduler import driver
from tiledsim.scheduler.cluster import local_client
from tiledsim.scheduler.driver import Driver
from tiledsim.scheduler.events import Event, TilesDone
from tiledsim.scheduler.files import LocalFiles
from tiledsim.scheduler.journal import Journal
from tiledsim.scheduler.lease import Lease
from tiledsim.scheduler.records import TileRecord
from tiledsim.scheduler.tiles import Layout
from tiledsim.scheduler.worker import Job


def no_op_tiles(job: Job, tiles: list[tuple[int, int]]) -> list[TileRecord]:
    """Return the records that tiles of nothing would have."""
    return [
        TileRecord(
            index, attempt, "w", 1e-6, 1e-6, 262144, 262144, 0.0, 0.0, 0.0, 0.0, 0, 0, 0,
            {"omega_min": 0.0, "omega_max": 1.0},
        )
        for index, attempt in tiles
    ]  # fmt: skip


def no_op(index: int) -> int:
    """A bare task."""
    return index


def bare_rate(client: Any, tasks: int) -> float:
    """Tasks a second, one a tile, submitted together and taken as they complete."""
    from distributed import as_completed

    started = time.perf_counter()
    futures = client.map(no_op, range(tasks), pure=False)
    for _ in as_completed(futures, loop=client.loop, with_results=True).batches():
        pass
    return tasks / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--bare", type=int, default=10_000)
    arguments = parser.parse_args()
    driver.render_tiles = no_op_tiles  # type: ignore[assignment]
    edge = 512
    layout = Layout((1, 1, edge, edge * arguments.tiles), (256, 256), (edge, edge), (edge, edge))
    process = psutil.Process()
    with local_client(2, 1) as client, tempfile.TemporaryDirectory() as folder:
        bare = bare_rate(client, arguments.bare)
        print(f"bare: {arguments.bare:,} tasks, {bare:,.0f} tasks/s")
        files = LocalFiles(Path(folder))
        step, done = max(1, arguments.tiles // 10), 0
        started = time.perf_counter()

        def watch(event: Event) -> None:
            nonlocal done
            if isinstance(event, TilesDone):
                before, done = done, done + len(event.records)
                if before // step != done // step:
                    print(
                        f"{done:>10,} tiles  {time.perf_counter() - started:7.2f} s  client and "
                        f"scheduler {process.memory_info().rss / 2**20:,.0f} MiB",
                        flush=True,
                    )

        with Lease(files) as lease:
            job = Job(files.url, "0" * 64, layout, "cpu", "float64", False)
            work = Driver(
                client, job, Journal(files), lease, attempts=3, first_batch=1, callbacks=(watch,)
            )
            work.work_through(range(arguments.tiles), threads=2)
        seconds = time.perf_counter() - started
        assert len(work.records) == arguments.tiles
        rate = arguments.tiles / seconds
        print(f"driver: {arguments.tiles:,} tiles in {seconds:.1f} s, {rate:,.0f} tiles/s, "
              f"{rate / bare:.1f} times the bare rate")  # fmt: skip


if __name__ == "__main__":
    main()
