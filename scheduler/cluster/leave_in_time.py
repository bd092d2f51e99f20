"""Preloaded by the workers of SLURM jobs: they leave before their walltime, between two tasks.

Dask's own ``--lifetime`` cancels the task that is under way, and lets all workers that came
together leave together.
"""

import asyncio
import random

import click
from distributed import Worker
from distributed.core import Status

LOOK_SECONDS = 0.2
"""How often a worker that is about to leave looks whether its tasks are done."""


@click.command()
@click.option("--leave-after", type=float, required=True, help="Seconds from the worker's start.")
@click.option("--leave-spread", type=float, default=0.0, help="Up to so many seconds sooner.")
def dask_setup(worker: Worker, leave_after: float, leave_spread: float) -> None:
    """Set the time at which the worker leaves."""
    seconds = leave_after - random.uniform(0.0, leave_spread)
    worker.loop.call_later(max(seconds, 0.0), lambda: asyncio.ensure_future(leave(worker)))


async def leave(worker: Worker) -> None:
    """Begin no task any more, wait for what is under way, and leave for good."""
    worker.memory_manager.memory_pause_fraction = False  # else it ends the pause by itself
    worker.status = Status.paused
    while worker.state.executing_count:
        await asyncio.sleep(LOOK_SECONDS)
    await worker.close_gracefully(restart=False, reason="the job's time is over")
