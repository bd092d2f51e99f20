"""Where tasks run: a cluster of this machine's own, or one that is there already."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import psutil

from tiledsim.errors import BackendError, RunError

CONNECT_SECONDS = 20
CLOSE_SECONDS = 10.0
LEAVE_SECONDS = 1.0
"""How long the workers may take to end: after a run, and when a run is interrupted or failed."""


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
    from distributed import Client, LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": 10,
        "distributed.worker.memory.terminate": False,
        # A worker that dies again, or restarts slowly, would lose its nanny for good, and a run
        # without workers would wait for ever.
        "distributed.deploy.lost-worker-timeout": "365 days",
        "distributed.nanny.pre-spawn-environ.NUMBA_NUM_THREADS": 1,
    }
    in_process = workers == 1
    with dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=not in_process,
            host="127.0.0.1",
            protocol="tcp://",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=0 if in_process else "auto",
            silence_logs=50,
        )
        seconds = LEAVE_SECONDS
        client = None
        try:
            client = Client(cluster, set_as_default=False)
            yield client
            seconds = CLOSE_SECONDS
        finally:
            _close(client, cluster, seconds)


def _close(client: Any, cluster: Any, seconds: float) -> None:
    """End a client and a cluster.  What does not end in time, a tile in a thread, is left to the
    end of this process; neither it nor a second attempt at exit may hide why the run was stopped.
    """
    for part in (client, cluster):
        if part is not None:
            with contextlib.suppress(TimeoutError, OSError):
                part.close(timeout=seconds)
    cluster.shutdown_on_close = False


@contextmanager
def remote_client(address: str) -> Iterator[Any]:
    """Give a client of a scheduler that is there already.

    Raises BackendError if it does not answer, or if that is no address.
    """
    from distributed import Client
    from distributed.comm.addressing import parse_address, parse_host_port

    try:
        protocol, place = parse_address(address)
        if protocol in ("tcp", "tls"):
            parse_host_port(place)
    except ValueError:
        raise BackendError(
            f"{address!r} is no address of a scheduler; give one such as tcp://host:8786"
        ) from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise BackendError(
            f"the scheduler at {address} does not answer within {CONNECT_SECONDS} s "
            f"({type(error).__name__}); is it running, and is the address that of its log?"
        ) from None
    with client:
        yield client


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
