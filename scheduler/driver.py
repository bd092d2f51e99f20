"""The driver of one session of a run.

Batches of tiles go to workers in a bounded window; a batch that died with its worker is sent again
tile by tile, and a tile that keeps failing is reported while the others finish.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from tiledsim.errors import RunError
from tiledsim.scheduler.events import (
    Callback,
    Event,
    TileFailed,
    TileRetried,
    TilesDone,
)
from tiledsim.scheduler.journal import Journal
from tiledsim.scheduler.lease import Lease
from tiledsim.scheduler.records import TileFailure, TileRecord
from tiledsim.scheduler.worker import Job, render_tiles

BATCH_SECONDS = 1.0
FLUSH_SECONDS = 1.0
LARGEST_BATCH = 1000


class Driver:
    """One session of a run: what is to do, what is done, what has failed."""

    def __init__(
        self, client: Any, job: Job, journal: Journal, lease: Lease, *, attempts: int,
        first_batch: int, callbacks: tuple[Callback, ...],
    ) -> None:  # fmt: skip
        self._client = client
        self._job = job
        self._journal = journal
        self._lease = lease
        self._attempts = attempts
        self._callbacks = callbacks
        self._batch = max(1, first_batch)
        self._again: deque[tuple[int, int]] = deque()
        self._unwritten: list[TileRecord] = []
        self._flushed = time.monotonic()
        self._journal_failed = False
        self._tasks = 0
        self.records: dict[int, TileRecord] = {}
        self.failed: dict[int, TileFailure] = {}

    @property
    def recorded(self) -> int:
        """Tiles of this session that the journal has."""
        return len(self.records) - len(self._unwritten)

    def _tell(self, event: Event) -> None:
        for callback in self._callbacks:
            callback(event)

    def _batches(self, indices: Iterator[int]) -> Iterator[list[tuple[int, int]]]:
        """Yield what to send next: repeated tiles one by one, then batches of new ones."""
        while True:
            if self._again:
                yield [self._again.popleft()]
                continue
            batch = []
            for index in indices:
                batch.append((index, 1))
                if len(batch) >= self._batch:
                    break
            if batch:
                yield batch
            elif not self._again:
                return

    def work_through(self, indices: Iterable[int], threads: int) -> None:
        """Render tiles until all have a record or have failed for good."""
        from distributed import as_completed

        window = max(4, 3 * threads)
        waiting: dict[str, list[tuple[int, int]]] = {}
        source = iter(indices)
        running: Any = as_completed(
            [], loop=self._client.loop, with_results=True, raise_errors=False
        )

        def refill() -> None:
            for batch in self._batches(source):
                self._tasks += 1
                future = self._client.submit(
                    render_tiles, self._job, batch, pure=False, retries=0,
                    key=f"tiles-{self._job.scene_hash[:8]}-{time.time_ns():x}-{self._tasks}",
                )  # fmt: skip
                waiting[future.key] = batch
                running.add(future)
                if len(waiting) >= window:
                    return

        try:
            refill()
            while waiting:
                for future, result in running.next_batch(block=True):
                    batch = waiting.pop(future.key)
                    if future.status == "finished":
                        self._take(result)
                    else:
                        self._recover(batch, future.status, result)
                self._flush(at_least=FLUSH_SECONDS)
                if len(waiting) < window:
                    refill()
        finally:
            self._flush(at_least=0.0)

    def _take(self, results: list[TileRecord | TileFailure]) -> None:
        done = [result for result in results if isinstance(result, TileRecord)]
        for record in done:
            self.records.setdefault(record.index, record)
        self._unwritten += done
        if done:
            self._tell(TilesDone(tuple(done)))
            spent = sum(r.render_seconds + r.write_seconds for r in done) / len(done)
            self._batch = min(LARGEST_BATCH, max(1, int(BATCH_SECONDS / max(spent, 1e-6))))
        for result in results:
            if isinstance(result, TileFailure):
                if result.ends_the_run:
                    raise RunError(
                        f"{self._job.layout.tile_at(result.index)} could not be written: "
                        f"{result.error}; free some room there"
                    )
                self._retry(result)

    def _recover(self, batch: list[tuple[int, int]], status: str, result: Any) -> None:
        """Deal with a task that brought no results: its worker died, or the scheduler did."""
        if self._client.status != "running" or status == "lost":
            raise RunError("the connection to the Dask scheduler is lost")
        error = result[1] if isinstance(result, tuple) and len(result) > 1 else status
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if status == "cancelled" and len(batch) == 1:
            reason = "the task was cancelled, with its worker or by the scheduler"
        for index, attempt in batch:
            if len(batch) > 1:  # which of them it was is not known: none is charged
                self._again.append((index, attempt))
            else:
                self._retry(TileFailure(index, attempt, "?", reason))

    def _retry(self, failure: TileFailure) -> None:
        if failure.attempt < self._attempts:
            self._again.append((failure.index, failure.attempt + 1))
            self._tell(TileRetried(failure.index, failure.attempt, failure.error))
        else:
            self.failed[failure.index] = failure
            self._tell(TileFailed(failure.index, failure.attempt, failure.error))

    def _flush(self, *, at_least: float) -> None:
        if self._journal_failed or time.monotonic() - self._flushed < at_least:
            return
        try:
            self._lease.renew()
            self._journal.append(self._unwritten)
        except OSError:
            self._journal_failed = True  # not once more on the way out: it may take minutes
            raise
        self._unwritten = []
        self._flushed = time.monotonic()
