"""Preloaded by the workers of SLURM jobs: they leave before their walltime, between two tasks.

Dask's own ``--lifetime`` cancels the task that is under way, and lets all workers that came
together leave together.
"""

import asyncio
import random

import click
from distributed import Worker

from tiledsim.scheduler.cluster.leaving import leave


@click.command()
@click.option("--leave-after", type=float, required=True, help="Seconds from the worker's start.")
@click.option("--leave-spread", type=float, default=0.0, help="Up to so many seconds sooner.")
def dask_setup(worker: Worker, leave_after: float, leave_spread: float) -> None:
    """Set the time at which the worker leaves."""
    seconds = leave_after - random.uniform(0.0, leave_spread)
    worker.loop.call_later(
        max(seconds, 0.0),
        lambda: asyncio.ensure_future(leave(worker, "the job's time is over")),
    )
