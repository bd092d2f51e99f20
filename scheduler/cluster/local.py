"""Workers on this machine: processes or threads on its cores, or a process for each GPU."""

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import psutil

from tiledsim.errors import RunError
from tiledsim.scheduler.cluster.gpus import environment_of, worker_names

CLOSE_SECONDS = 10.0
LEAVE_SECONDS = 1.0
"""How long the workers may take to end: after a run, and when a run is interrupted or failed."""


SETTINGS = {
    "distributed.scheduler.allowed-failures": 10,
    "distributed.worker.memory.terminate": False,
    "distributed.nanny.pre-spawn-environ.NUMBA_NUM_THREADS": 1,
}
"""Of Dask, for clusters that this process starts."""

WITH_NANNIES = SETTINGS | {
    # A worker that dies again, or restarts slowly, would lose its nanny for good, and a run
    # without workers would wait for ever.
    "distributed.deploy.lost-worker-timeout": "365 days",
}
"""On this machine."""


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return psutil.cpu_count(logical=False) or 1


@contextmanager
def local_client(workers: int, threads: int) -> Iterator[Any]:
    """Start workers on this machine and give a client of them.

    One worker lives in this process, as threads: the kernel releases the GIL, the tables are
    shared and there is nothing to start.  Several are processes with nannies, which survive the
    death of one.  Nothing listens on another address than 127.0.0.1.
    """
    from distributed import LocalCluster

    in_process = workers == 1
    with dask.config.set(WITH_NANNIES):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=not in_process,
            host="127.0.0.1",
            protocol="tcp://",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=0 if in_process else "auto",
            silence_logs=logging.CRITICAL,
        )
        with client_of(cluster) as client:
            yield client


def _close(client: Any, cluster: Any, seconds: float) -> None:
    """End a client and a cluster.  What does not end in time, a tile in a thread, is left to the
    end of this process; neither it nor a second attempt at exit may hide why the run was stopped.
    """
    for part in (client, cluster):
        if part is not None:
            # Of what an interrupt has cancelled, Dask may raise errors of its own.
            with contextlib.suppress(Exception):
                part.close(timeout=seconds)
    cluster.shutdown_on_close = False


@contextmanager
def gpu_client(gpus: tuple[str, ...]) -> Iterator[Any]:
    """Start a worker process of one thread for each GPU named and give a client of them.

    Each process sees its own GPU alone, also after its nanny has started it again.  Nothing
    listens on another address than 127.0.0.1, and no CUDA context is made in this process.
    """
    from distributed import Nanny, Scheduler, SpecCluster
    from distributed.system import MEMORY_LIMIT

    workers = {
        name: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "host": "127.0.0.1",
                "dashboard_address": "127.0.0.1:0",
                "memory_limit": MEMORY_LIMIT // len(gpus),
                "env": environment_of(gpu),
                "silence_logs": logging.CRITICAL,
            },
        }
        for name, gpu in zip(worker_names(gpus), gpus, strict=True)
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"},
    }
    with dask.config.set(WITH_NANNIES):
        cluster = SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL)
        with client_of(cluster) as client:
            yield client


@contextmanager
def client_of(cluster: Any, leave_seconds: float = LEAVE_SECONDS) -> Iterator[Any]:
    """Give a client of a cluster of this process, and end both: quickly after an error."""
    from distributed import Client

    seconds = leave_seconds
    client = None
    try:
        client = Client(cluster, set_as_default=False)
        yield client
        seconds = CLOSE_SECONDS
    finally:
        _close(client, cluster, seconds)


def wait_for_workers(client: Any, seconds: float = 60.0) -> tuple[int, int]:
    """Wait for the first worker; return workers and their threads.

    Raises RunError if none comes.
    """
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        raise RunError(f"no worker joined the scheduler within {seconds:.0f} s") from None
    threads = client.nthreads()
    return len(threads), sum(threads.values())
