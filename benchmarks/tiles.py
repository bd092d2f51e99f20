"""A million tiles that cost nothing through one scheduler: rate, and memory over time.

    python benchmarks/tiles.py --tiles 1000000

The driver of a run, its journal (on disk) and its summary are those of production; the worker's
function returns a record a tile without rendering or writing.  Client, scheduler and workers are
separate processes; memory is what the client's and the scheduler's hold resident.  Dask remembers
1000 messages of each connection, which tiles of a second have filled after 1000 tiles; these, in
batches of 250, would take 250,000, so it is told to remember 20 here.  After it, on the
same cluster, the baseline: one bare no-op task a tile; and the driver with one tile a task, which
says how many tasks it can handle.  Exits with status 1 if memory was not flat, if the rate was less
than 5 times the bare one, or if Dask warned of a large graph.
"""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tiles
from processes import cluster

from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileRecord
from tiledsim.scheduler.journal.zarr_columns import write_columns
from tiledsim.scheduler.results.summarise import summarise
from tiledsim.scheduler.session import batches
from tiledsim.scheduler.session.driver import Driver
from tiledsim.scheduler.session.events import Callback, Event, TilesDone
from tiledsim.scheduler.session.task import Job, worker_name
from tiledsim.scheduler.store.files import LocalFiles
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.lease import Lease

WARM_TILES = 10_000
FLAT_BYTES = 16 * 2**20
"""Growth that is allowed in all: the bytes that are held of each tile, and what allocators keep.
Records in any form would be ten times as much for a million tiles."""
LOG_LENGTH = 20
EDGE = 512


def no_op_tiles(job: Job, tiles: list[tuple[int, int]]) -> list[TileRecord]:
    """Return the records that tiles of nothing would have."""
    name = worker_name()
    return [
        TileRecord(
            index, attempt, name, 1e-6, 1e-6, EDGE * EDGE, EDGE * EDGE, 1.0, 1.0, 0.0, 1.0,
            0, EDGE * index, 0, ranges={"omega_min": 0.0, "omega_max": 1.0},
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
    futures = client.map(tiles.no_op, range(tasks), pure=False)
    for _ in as_completed(futures, loop=client.loop, with_results=True).batches():
        pass
    return tasks / (time.perf_counter() - started)


class Curve:
    """Memory of the client and the scheduler over the tiles that are done.  A callback."""

    def __init__(self, scheduler: int, tiles: int) -> None:
        self._processes = psutil.Process(), psutil.Process(scheduler)
        self._step = max(1, tiles // 10)
        self._done = 0
        self._started = time.perf_counter()
        self._warm: tuple[int, tuple[int, ...]] | None = None

    def resident(self) -> tuple[int, ...]:
        """Bytes of the client and of the scheduler."""
        return tuple(process.memory_info().rss for process in self._processes)

    def say(self, what: str) -> None:
        """Print a line."""
        client, scheduler = (held / 2**20 for held in self.resident())
        print(f"{what:>17} {time.perf_counter() - self._started:7.1f} s  client {client:6.1f} MiB  "
              f"scheduler {scheduler:6.1f} MiB", flush=True)  # fmt: skip

    def __call__(self, event: Event) -> None:
        """Count what is done."""
        if not isinstance(event, TilesDone):
            return
        before, self._done = self._done, self._done + len(event.records)
        if self._warm is None and self._done >= WARM_TILES:
            self._warm = self._done, self.resident()
            self.say(f"{self._done:,} tiles")
        elif before // self._step != self._done // self._step:
            self.say(f"{self._done:,} tiles")

    def growth(self) -> tuple[int, ...]:
        """Bytes that client and scheduler have grown by since the first WARM_TILES."""
        assert self._warm is not None
        _, held = self._warm
        return tuple(now - then for now, then in zip(self.resident(), held, strict=True))


def drive(
    client: Any, folder: Path, count: int, callbacks: tuple[Callback, ...]
) -> tuple[float, Journal]:
    """Work through so many tiles; return the seconds, and the journal in the folder."""
    files = LocalFiles(folder)
    job = Job(files.url, "run", "0" * 64, layout_of(count), "cpu", "float64", False)
    journal, done = Journal(files), np.zeros(count, dtype=np.bool_)
    with Lease(files) as lease:
        work = Driver(
            client,
            job,
            journal,
            lease,
            done,
            attempts=3,
            first_batch=1,
            callbacks=callbacks,
            task=tiles.no_op_tiles,
        )
        started = time.perf_counter()
        work.work_through()
        seconds = time.perf_counter() - started
    assert work.finished == count
    return seconds, journal


def layout_of(count: int) -> Layout:
    """Return one row of tiles."""
    return Layout((1, 1, EDGE, EDGE * count), (256, 256), (EDGE, EDGE), (EDGE, EDGE))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--bare", type=int, default=10_000, help="tasks of the baselines")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4, help="of each worker")
    arguments = parser.parse_args()
    layout = layout_of(arguments.tiles)
    with (
        cluster(arguments.workers, arguments.threads, log_length=LOG_LENGTH) as (
            client,
            scheduler,
            log,
        ),
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        curve = Curve(scheduler, arguments.tiles)
        seconds, journal = drive(client, Path(folder) / "many", arguments.tiles, (curve,))
        growth = curve.growth()
        records = Records(journal, arguments.tiles)
        curve.say("journal read")
        summary = summarise(layout, records, scale={}, steps_per_pixel=1)
        curve.say("summary made")
        with Lease(LocalFiles(Path(folder) / "many")) as lease:
            write_columns(lease.files, layout, records, "many")
        curve.say("columns written")
        assert summary.tiles == arguments.tiles
        bare = bare_rate(client, arguments.bare)
        batches.LARGEST_BATCH = 1
        single, _ = drive(client, Path(folder) / "single", arguments.bare, ())
        large = [str(w.message) for w in warned if "large graph" in str(w.message)]
        large += [line for line in log.read_text().splitlines() if "large graph" in line]
    rate = arguments.tiles / seconds
    enough = rate >= 5 * bare
    flat = max(growth) <= FLAT_BYTES
    print(f"bare: {arguments.bare:,} tasks, {bare:,.0f} tasks/s")
    print(
        f"driver: {arguments.tiles:,} tiles in {seconds:.1f} s, {rate:,.0f} tiles/s, "
        f"{rate / bare:.1f} times the bare rate: {'enough' if enough else 'TOO FEW'}"
    )
    print(
        f"driver with one tile a task: {arguments.bare:,} tasks, {arguments.bare / single:,.0f} "
        "tasks/s"
    )
    print(f"memory after the first {WARM_TILES:,}: {'flat' if flat else 'NOT FLAT'}")
    for who, grown in zip(("client", "scheduler"), growth, strict=True):
        each = grown / max(arguments.tiles - WARM_TILES, 1)
        print(f"  {who:9} {grown / 2**20:+6.1f} MiB, {each:+.1f} bytes a tile")
    print(f"warnings of large graphs: {len(large)}", *large[:1])
    return int(not (flat and enough) or bool(large))


if __name__ == "__main__":
    sys.exit(main())
