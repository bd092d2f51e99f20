"""The driver of one session of a run.

Batches of tiles go to workers in a bounded window; a batch that died with its worker is sent again
tile by tile, and a tile that keeps failing is reported while the others finish.  What is held of a
tile that is done is one byte; its record is in the journal.
"""

import time
from collections import deque
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import RunError
from tiledsim.scheduler.cluster.dask_errors import CONNECTION_LOST, told_as
from tiledsim.scheduler.cluster.supply import Supply
from tiledsim.scheduler.journal.failure_logs import MOST_LOGS
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.tile_record import Outcome, TileFailure, TileRecord, Unfit
from tiledsim.scheduler.session.batches import Batch, BatchSize
from tiledsim.scheduler.session.collaborators import Task
from tiledsim.scheduler.session.copies import Copies
from tiledsim.scheduler.session.events import (
    Callback,
    Event,
    JobsTold,
    TileFailed,
    TileRetried,
    TilesDone,
    WorkerDismissed,
    WorkersAwaited,
    WorkersCounted,
)
from tiledsim.scheduler.session.task import Job, render_tiles
from tiledsim.scheduler.session.tile_order import expensive_first
from tiledsim.scheduler.session.time_limit import Deadline
from tiledsim.scheduler.session.workforce import Crew
from tiledsim.scheduler.store.files import what_failed
from tiledsim.scheduler.store.lease import Lease

FLUSH_SECONDS = 1.0
FLUSH_RECORDS = 4096
"""Whichever comes first makes the driver write to the journal."""
WORKERLESS_SECONDS = 30.0
"""After so long without a worker it is said that the run waits for one, or, where the last ones
left because they could not render, the run ends."""
TASKS_PER_THREAD = 2
"""Under way at once: one runs, one waits at the scheduler.  At both ends of a run one alone: Dask
gives a worker a second task until it has seen many, and that task keeps others waiting."""


class Driver:
    """One session of a run: what is to do, what is done, what has failed."""

    def __init__(
        self, client: Any, job: Job, journal: Journal, lease: Lease, done: NDArray[np.bool_], *,
        attempts: int, first_batch: int, callbacks: tuple[Callback, ...],
        deadline: Deadline | None = None, task: Task = render_tiles, supply: Supply | None = None,
        classes: NDArray[np.uint8] | None = None,
    ) -> None:  # fmt: skip
        """``done`` [tiles] says which tiles have a record; it is kept up to date.  ``classes``
        [tiles of a shot] says which are expensive (tile_order).
        """
        self._client = client
        self._job = job
        self._journal = journal
        self._lease = lease
        self._attempts = attempts
        self._callbacks = callbacks
        self._deadline = deadline
        self._task = task
        self._supply = supply
        self._size = BatchSize(first_batch)
        self._unsent = int(done.size - np.count_nonzero(done))
        self._source = expensive_first(done, classes)
        self._alone: deque[tuple[int, int, str]] = deque()
        """Tiles that are sent by themselves, and on which worker they failed."""
        self._elsewhere: dict[str, tuple[Any, set[str]]] = {}
        """Tasks of such tiles, and the workers that they may go to."""
        self._dismissed: set[str] = set()
        self._unfit: Unfit | None = None
        """Who refused, since the last tile was done."""
        self._returned: deque[tuple[int, int]] = deque()
        self._unwritten: list[TileRecord] = []
        self._failures: list[TileFailure] = []
        self._flushed = time.monotonic()
        self._journal_failed = False
        self._waits = False
        self._copies = Copies()
        self.tasks_sent = 0
        self.done = done
        self.finished = 0
        """Tiles of this session."""
        self.failed: dict[int, TileFailure] = {}

    @property
    def recorded(self) -> int:
        """Tiles of this session that the journal has."""
        return self.finished - len(self._unwritten)

    def _tell(self, event: Event) -> None:
        for callback in self._callbacks:
            callback(event)

    @property
    def _left(self) -> int:
        """Tiles that are not sent yet, but for those that go alone."""
        return self._unsent + len(self._returned)

    def _next_batch(self) -> tuple[Batch, str]:
        """Return what to send next, nothing at the end, and a worker that is to be avoided: tiles
        that failed, one by one; those that came back untouched; new ones.  Near the deadline,
        nothing.
        """
        if self._deadline is not None and self._deadline.is_near():
            return Batch.of(()), ""
        while self._alone:
            index, attempt, worker = self._alone.popleft()
            if not self.done[index]:  # by a copy, meanwhile
                return Batch.of([(index, attempt)]), worker
        size = self._size.next(self._left)
        if self._returned:
            several = range(min(size, len(self._returned)))
            return Batch.of(self._returned.popleft() for _ in several), ""
        batch = Batch.of((index, 1) for index in islice(self._source, size))
        self._unsent -= len(batch)
        return batch, ""

    def work_through(self) -> None:
        """Render tiles until all have a record or have failed for good."""
        from distributed import as_completed

        waiting: dict[str, Batch] = {}
        running: Any = as_completed(
            [], loop=self._client.loop, with_results=True, raise_errors=False
        )
        with Crew(self._client, self._journal.mark) as crew:
            try:
                self._refill(running, waiting, crew)
                while waiting:
                    for future, result in _completed(running):
                        batch = waiting.pop(future.key, None)
                        if batch is None:  # another copy was faster
                            continue
                        self._copies.forget(future.key)
                        _, others = self._elsewhere.pop(future.key, (None, None))
                        if future.status == "finished":
                            self._take(batch, result, crew)
                        elif others and future.status == "cancelled" and not crew.has_any(others):
                            self._alone.extend((index, attempt, "") for index, attempt in batch)
                        else:
                            self._recover(batch, future.status, result)
                    if len(self._unwritten) >= FLUSH_RECORDS or self._due():
                        self._flush(crew)
                    self._drop_what_is_done(waiting)
                    self._give_up_what_hangs(waiting)
                    self._refill(running, waiting, crew)
            finally:
                self._flush(crew)

    def _refill(self, running: Any, waiting: dict[str, Batch], crew: Crew) -> None:
        """Send batches until enough are under way."""
        threads = max(crew.threads, 1)
        self._size.set_threads(threads)
        while len(waiting) < self._window(threads):
            batch, avoided = self._next_batch()
            if not batch:
                batch = self._next_copy(waiting, crew)
            if not batch:
                return
            self.tasks_sent += 1
            others = set(crew.others(avoided)) - self._dismissed if avoided else set()
            with told_as(CONNECTION_LOST):
                future = self._client.submit(
                    self._task, self._job, batch, pure=False, retries=0,
                    workers=sorted(others) or None,
                    key=f"tiles-{self._job.scene_hash[:8]}-{time.time_ns():x}-{self.tasks_sent}",
                )  # fmt: skip
            waiting[future.key] = batch
            self._copies.note(future.key)
            if others:
                self._elsewhere[future.key] = future, others
            running.add(future)

    def _window(self, threads: int) -> int:
        """Return how many tasks may be under way."""
        if self.tasks_sent < 2 * threads or self._size.is_near_the_end(self._left):
            return threads
        return TASKS_PER_THREAD * threads

    def _next_copy(self, waiting: dict[str, Batch], crew: Crew) -> Batch:
        """Return a tile that another worker has had for too long; there are threads to spare."""
        near = self._deadline is not None and self._deadline.is_near()
        if near or crew.workers < 2:
            return Batch.of(())
        return Batch.of(islice(self._copies.due(waiting, self._size.tile_seconds), 1))

    def _drop_what_is_done(self, waiting: dict[str, Batch]) -> None:
        """Wait no longer for tasks whose tiles are done: a copy of each was faster."""
        if not self._copies.any:
            return
        for key, batch in list(waiting.items()):
            if all(self.done[index] for index, _ in batch):
                del waiting[key]
                self._elsewhere.pop(key, None)
                self._copies.forget(key)

    def _give_up_what_hangs(self, waiting: dict[str, Batch]) -> None:
        """Count tasks as failed that take beyond all measure: a kernel that hangs never ends."""
        for key, seconds in list(self._copies.hung(waiting, self._size.tile_seconds)):
            self._copies.forget(key)
            self._elsewhere.pop(key, None)
            for index, attempt in waiting.pop(key):
                reason = f"no answer for {seconds / 60:.0f} minutes: it hangs"
                self._retry(TileFailure(index, attempt, "?", reason))

    def _let_anyone(self, crew: Crew) -> None:
        """Take back tiles that may go to workers alone that have all left."""
        for future, others in self._elsewhere.values():
            if not crew.has_any(others):
                with told_as(CONNECTION_LOST):
                    future.cancel()

    def _take(self, batch: Batch, results: list[Outcome], crew: Crew) -> None:
        new, spent, tiles = [], 0.0, 0
        failures = []
        untouched = dict(batch)
        for result in results:
            if isinstance(result, Unfit):
                self._dismiss(result, crew)
                continue
            untouched.pop(result.index, None)
            if isinstance(result, TileFailure):
                failures.append(result)
                continue
            tiles += 1
            spent += result.render_seconds + result.write_seconds
            if not self.done[result.index]:
                self.done[result.index] = True
                self.failed.pop(result.index, None)  # a copy may have failed
                new.append(result)
        self._returned.extend(t for t in untouched.items() if not self.done[t[0]])
        if tiles:
            self._size.learn(tiles, spent)
            if self._deadline is not None:
                self._deadline.learn(spent)
        if new:
            self.finished += len(new)
            self._unfit = None
            self._unwritten += new
            self._tell(TilesDone(tuple(new)))
        for failure in failures:
            if failure.ends_the_run:
                raise RunError(
                    f"{self._job.layout.tile_at(failure.index)} could not be written: "
                    f"{failure.error}"
                )
            if failure.ends_the_worker:
                self._dismiss(Unfit(failure.worker, failure.error), crew)
            self._retry(failure)

    def _dismiss(self, unfit: Unfit, crew: Crew) -> None:
        """Let a worker leave that can render nothing: it would fail faster than others work."""
        from tiledsim.scheduler.cluster.leaving import leave

        self._unfit = unfit
        address = crew.address_of(unfit.worker)
        if address is None or address in self._dismissed:
            return
        self._dismissed.add(address)
        self._tell(WorkerDismissed(unfit.worker, unfit.reason))
        with told_as(CONNECTION_LOST):
            self._client.run(
                leave, reason=unfit.reason, workers=[address], wait=False, on_error="ignore"
            )

    def _recover(self, batch: Batch, status: str, result: Any) -> None:
        """Deal with a task that brought no results: its worker died, or the scheduler did."""
        if self._client.status != "running" or status == "lost":
            raise RunError(CONNECTION_LOST)
        error = result[1] if isinstance(result, tuple) and len(result) > 1 else status
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if status == "cancelled" and len(batch) == 1:
            reason = "the task was cancelled, with its worker or by the scheduler"
        for index, attempt in batch:
            if self.done[index]:
                continue
            if len(batch) > 1:  # which of them it was is not known: none is charged
                self._alone.append((index, attempt, ""))
            else:
                self._retry(TileFailure(index, attempt, "?", reason))

    def _retry(self, failure: TileFailure) -> None:
        if self.done[failure.index]:  # by a copy
            return
        self._failures.append(replace(failure, log=""))
        if failure.attempt < self._attempts:
            self._alone.append((failure.index, failure.attempt + 1, failure.worker))
            self._tell(TileRetried(failure.index, failure.attempt, failure.error))
        else:
            kept = failure if len(self.failed) < MOST_LOGS else replace(failure, log="")
            self.failed[failure.index] = kept
            self._tell(TileFailed(failure.index, failure.attempt, failure.error))

    def _due(self) -> bool:
        """Whether the last flush was long enough ago."""
        return time.monotonic() - self._flushed >= FLUSH_SECONDS

    def _flush(self, crew: Crew) -> None:
        """Write what happened since the last flush to the journal, if the store is still ours."""
        if self._journal_failed:
            return
        try:
            self._lease.renew()
            session = crew.session()
            self._journal.append(self._unwritten, self._failures, session)
            if not crew.workers:
                self._copies.begin_anew()
        except OSError as error:
            self._journal_failed = True  # not once more on the way out: it may take minutes
            raise RunError(what_failed(self._lease.files, error)) from error
        self._unwritten, self._failures = [], []
        self._flushed = time.monotonic()
        self._let_anyone(crew)
        self._tell(WorkersCounted(crew.workers, crew.threads, session.lost_workers))
        waits = crew.seconds_without >= WORKERLESS_SECONDS
        if waits and self._unfit is not None:
            raise RunError(
                f"no worker is left that can render; {self._unfit.worker} said: "
                f"{self._unfit.reason}"
            )
        if waits and not self._waits:
            self._tell(WorkersAwaited(crew.seconds_without))
        self._waits = waits
        if self._supply is not None:
            self._hear(self._supply, crew)

    def _hear(self, supply: Supply, crew: Crew) -> None:
        """Pass on what is new of the workers that were asked for; end where none will come."""
        if news := supply.news():
            self._tell(JobsTold(news.state, news.lines))
        if not crew.workers and (why := supply.why_over()):
            raise RunError(why)


def _completed(running: Any) -> list[tuple[Any, Any]]:
    """Wait for tasks to end, no longer than until the next flush; return all that have ended."""
    with running.thread_condition:
        if not running.has_ready():
            running.thread_condition.wait(timeout=FLUSH_SECONDS)
    return list(running.next_batch(block=False))
