"""Workers on this machine: processes or threads on its cores, or a process for each GPU."""

import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import psutil

from tiledsim.errors import BackendError, RunError
from tiledsim.scheduler.cluster.dask_errors import CONNECTION_LOST, told_as
from tiledsim.scheduler.cluster.gpus import GPU_THREADS, environment_of, worker_names
from tiledsim.scheduler.cluster.this_process import check_this_process

CLOSE_SECONDS = 10.0
LEAVE_SECONDS = 1.0
"""How long the workers may take to end: after a run, and when a run is interrupted or failed."""


NOT_STARTED = "the workers of this machine do not start"

SETTINGS = {
    "distributed.scheduler.allowed-failures": 10,
    # A worker that holds a second task keeps it from one that is idle; there are always more at
    # the scheduler, and tasks are long against the way from there.
    "distributed.scheduler.worker-saturation": 1.0,
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


FEW_WORKERS = 24
"""For more than these the scheduler is a process of its own."""

DASHBOARD = SETTINGS | {"distributed.dashboard.link": "http://127.0.0.1:{port}/status"}
"""Of Dask, where its dashboard is asked for: it is on this address alone."""


def cores() -> int:
    """Cores that this process may use: of its machine, its affinity and its container."""
    from dask.system import CPU_COUNT

    return int(CPU_COUNT)


def memory_bytes() -> int:
    """Memory that this process may use: what is free, and what its container allows."""
    from distributed.system import MEMORY_LIMIT

    return min(int(psutil.virtual_memory().available), int(MEMORY_LIMIT))


@contextmanager
def local_client(workers: int, threads: int, *, dashboard: bool = False) -> Iterator[Any]:
    """Start workers on this machine and give a client of them.

    One worker lives in this process, as threads: the kernel releases the GIL, the tables are
    shared, there is nothing to start and nothing listens.  Several are processes with nannies,
    which survive the death of one; they speak TLS with keys that are made for this run and that
    nobody else has, on 127.0.0.1.
    """
    if workers > 1:
        names = {str(number): {"nthreads": threads} for number in range(workers)}
        with _process_client(names, dashboard) as client:
            yield client
        return
    from distributed import SpecCluster

    from tiledsim.scheduler.cluster.quiet import QuietWorker

    check_this_process(0)
    options = {"nthreads": threads, "protocol": "inproc://", "memory_limit": 0}
    worker = {"cls": QuietWorker, "options": options}
    with dask.config.set(DASHBOARD if dashboard else SETTINGS):
        with told_as(NOT_STARTED):
            cluster = SpecCluster(
                {"0": worker}, _scheduler(dashboard, protocol="inproc://"),
                silence_logs=logging.CRITICAL,
            )  # fmt: skip
        with client_of(cluster) as client:
            yield client


def _scheduler(dashboard: bool, **options: Any) -> dict[str, Any]:
    from distributed import Scheduler

    from tiledsim.scheduler.cluster.quiet import QuietScheduler

    if not dashboard:
        return {"cls": QuietScheduler, "options": {"dashboard": False} | options}
    return {"cls": Scheduler, "options": {"dashboard_address": "127.0.0.1:0"} | options}


def _scheduler_of_its_own(
    dashboard: bool, place: dict[str, Any], security: Any, settings: dict[str, Any]
) -> dict[str, Any]:
    from tiledsim.scheduler.cluster.own_scheduler import SchedulerOfCluster

    options = place | ({"dashboard_address": "127.0.0.1:0"} if dashboard else {})
    own = {"options": options, "security": security, "settings": settings}
    return {"cls": SchedulerOfCluster, "options": {"own": own}}


@contextmanager
def _process_client(workers: dict[str, dict[str, Any]], dashboard: bool) -> Iterator[Any]:
    """Start a process with a nanny for each name, with the options of its worker."""
    from distributed import Nanny, SpecCluster
    from distributed.system import MEMORY_LIMIT

    from tiledsim.scheduler.cluster.quiet import QuietWorker

    check_this_process(len(workers))
    security = own_security()
    shared: dict[str, Any] = {
        "host": "127.0.0.1", "protocol": "tls://", "security": security,
        "worker_class": QuietWorker, "memory_limit": int(MEMORY_LIMIT) // len(workers),
        "silence_logs": logging.CRITICAL,
    }  # fmt: skip
    spec = {name: {"cls": Nanny, "options": shared | options} for name, options in workers.items()}
    place = {"host": "127.0.0.1", "port": 0, "protocol": "tls://"}
    settings = WITH_NANNIES | (DASHBOARD if dashboard else {})
    scheduler = (
        _scheduler_of_its_own(dashboard, place, security, settings)
        if len(workers) > FEW_WORKERS
        else _scheduler(dashboard, **place, security=security)
    )
    with dask.config.set(settings):
        with told_as(NOT_STARTED):
            cluster = SpecCluster(spec, scheduler, silence_logs=logging.CRITICAL, security=security)
        with client_of(cluster) as client:
            yield client


def own_security() -> Any:
    """Return keys for TLS that are made here and now, and kept in memory alone."""
    from distributed import Security

    try:
        return Security.temporary()
    except ImportError as error:
        raise BackendError(
            "worker processes need keys, which cryptography makes: pip install cryptography"
        ) from error


def close(part: Any, seconds: float) -> None:
    """End a client or a cluster.  What does not end in time, a tile in a thread, is left to the
    end of this process; neither it nor a second attempt at exit may hide why the run was stopped.
    """
    # Of what an interrupt has cancelled, Dask may raise errors of its own.
    with contextlib.suppress(Exception):
        part.close(timeout=seconds)


@contextmanager
def gpu_client(gpus: tuple[str, ...], *, dashboard: bool = False) -> Iterator[Any]:
    """Start a worker process for each GPU named and give a client of them.

    Each process sees its own GPU alone, also after its nanny has started it again; its threads
    share the card, and write.  Nothing listens on another address than 127.0.0.1, all speak TLS
    with keys made for this run, and no CUDA context is made in this process.
    """
    workers = {
        name: {"nthreads": GPU_THREADS, "env": environment_of(gpu)}
        for name, gpu in zip(worker_names(gpus), gpus, strict=True)
    }
    with _process_client(workers, dashboard) as client:
        yield client


@contextmanager
def client_of(cluster: Any) -> Iterator[Any]:
    """Give a client of a cluster of this process, and end both: quickly after an error."""
    from distributed import Client

    seconds = LEAVE_SECONDS
    client = None
    try:
        with told_as(NOT_STARTED):
            client = Client(cluster, set_as_default=False)
        yield client
        seconds = CLOSE_SECONDS
    finally:
        if client is not None:
            close(client, seconds)
        close(cluster, seconds)
        cluster.shutdown_on_close = False


def wait_for_workers(client: Any, seconds: float = 60.0) -> tuple[int, int]:
    """Wait for the first worker; return workers and their threads.

    Raises RunError if none comes.
    """
    with told_as(CONNECTION_LOST):
        try:
            client.wait_for_workers(1, timeout=seconds)
        except TimeoutError:
            raise RunError(f"no worker joined the scheduler within {seconds:.0f} s") from None
        threads = client.nthreads()
    return len(threads), sum(threads.values())
