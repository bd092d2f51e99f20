"""One session of a run: from a store with the lease held to all its tiles recorded, or an error."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import RunError
from tiledsim.scheduler.cluster.local import wait_for_workers
from tiledsim.scheduler.cluster.supply import Supply
from tiledsim.scheduler.journal.failure_logs import clear_logs, write_logs
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.session.batches import BATCH_SECONDS
from tiledsim.scheduler.session.collaborators import Task
from tiledsim.scheduler.session.driver import Driver
from tiledsim.scheduler.session.events import Callback, RunFinished, RunStarted
from tiledsim.scheduler.session.plan import Plan
from tiledsim.scheduler.session.task import Job, render_tiles
from tiledsim.scheduler.session.time_limit import OVERTIME, Deadline
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import what_failed
from tiledsim.scheduler.store.lease import Lease


def run_session(
    client: Any, lease: Lease, job: Job, plan: Plan, *, attempts: int,
    callbacks: tuple[Callback, ...], deadline: Deadline | None, task: Task = render_tiles,
    supply: Supply | None = None, classes: NDArray[np.uint8] | None = None,
) -> None:  # fmt: skip
    """Render what has no record yet.

    Raises RunError where something is left to do; what is done is kept, and a run with ``resume``
    goes on from there.
    """
    files = lease.files
    journal = Journal(files, job.run)
    done = read_records(files, job.layout).done
    store.sweep_partial_files(files)
    clear_logs(files)
    before = int(np.count_nonzero(done))
    workers = wait_for_workers(client)[0] if before < done.size else 0
    shown = done.view()
    shown.flags.writeable = False
    for callback in callbacks:
        callback(RunStarted(plan, before, workers, client.dashboard_link, job.layout.grid, shown))
    # How fast a GPU is shows with its first tile.
    seconds = BATCH_SECONDS * plan.tiles if plan.seconds is None else plan.seconds
    guess = seconds * max(plan.workers * plan.threads, 1) / max(plan.tiles, 1)
    driver = Driver(
        client, job, journal, lease, done, attempts=attempts, callbacks=callbacks,
        first_batch=int(BATCH_SECONDS / max(guess, 1e-6)), deadline=deadline, task=task,
        supply=supply, classes=classes,
    )  # fmt: skip
    started = time.perf_counter()
    try:
        driver.work_through()
    except (KeyboardInterrupt, RunError) as error:
        advice = f"{before + driver.recorded:,} of {done.size:,} tiles are done; `resume` continues"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"stopped: {advice}") from error
        raise RunError(f"{error}; {advice}") from error
    for callback in callbacks:
        callback(RunFinished(time.perf_counter() - started, len(driver.failed)))
    reached = before + driver.recorded
    if deadline is not None and reached + len(driver.failed) < done.size:
        raise RunError(
            f"{OVERTIME}: {reached:,} of {done.size:,} tiles are done; `resume` continues"
        )
    if driver.failed:
        first = driver.failed[min(driver.failed)]
        try:
            log = f"log: {write_logs(files, job.layout, driver.failed)}"
        except OSError as error:  # it may not hide what failed
            log = f"no log: {what_failed(files, error)}"
        raise RunError(
            f"{len(driver.failed):,} of {done.size:,} tiles failed {attempts} times, the "
            f"first at {job.layout.tile_at(first.index)}: {first.error} ({log}); the others "
            "are done, and `resume` tries these again"
        )
