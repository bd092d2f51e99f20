"""A worker leaves for good, between two tasks."""

import asyncio
import time

from distributed import Worker
from distributed.core import Status

from tiledsim.scheduler.cluster.supply import LEAVES

LOOK_SECONDS = 0.2
"""How often a worker that is about to leave looks whether its tasks are done."""
FETCH_SECONDS = 10.0
"""How long the driver may take to fetch the last results."""


async def leave(dask_worker: Worker, reason: str) -> None:
    """Begin no task any more, wait for what is under way, and leave without a successor.

    The name of the first parameter is that which Dask's ``Client.run`` fills in.
    """
    dask_worker.log_event("all", {"action": LEAVES, "worker": dask_worker.address})
    dask_worker.memory_manager.memory_pause_fraction = False  # else it ends the pause by itself
    dask_worker.status = Status.paused
    while dask_worker.state.executing_count:
        await asyncio.sleep(LOOK_SECONDS)
    latest = time.monotonic() + FETCH_SECONDS
    while dask_worker.data and time.monotonic() < latest:
        await asyncio.sleep(LOOK_SECONDS)
    await dask_worker.close_gracefully(restart=False, reason=reason)
