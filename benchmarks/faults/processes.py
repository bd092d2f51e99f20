"""Processes of the soak: forks of one that has imported everything and loaded the kernel.

So a client or a worker is there in some hundredths of a second, and a run costs little more than
its tiles.  Worker processes below a nanny are made anew, as Dask makes them.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

TTL_SECONDS = 3
ROOT = Path(__file__).resolve().parents[2]


def prepare() -> None:
    """Set what all processes of the soak inherit; before the first is started."""
    path = os.pathsep.join((str(ROOT / "benchmarks"), str(ROOT)))
    os.environ |= {
        "PYTHONPATH": path,
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL_SECONDS}s",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
    }
    multiprocessing.get_context("forkserver").set_forkserver_preload(["faults.child"])


class Process:
    """A process of the soak, with a log."""

    def __init__(self, target: Callable[..., None], log: Path, *arguments: Any) -> None:
        from faults.child import begin

        context = multiprocessing.get_context("forkserver")
        self._process = context.Process(target=begin, args=(target, str(log), *arguments))
        self._process.start()
        self.log = log

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def status(self) -> int | None:
        """Return how it ended, None while it has not."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int | None:
        """Wait for the end and return its status; None where it has not come."""
        self._process.join(max(seconds, 0.0))
        return self._process.exitcode

    def send(self, number: int) -> None:
        """Send a signal, if it lives."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill_with_children(self) -> None:
        """End it and what it has started."""
        with suppress(psutil.NoSuchProcess):
            handle = psutil.Process(self.pid)
            for one in (*handle.children(recursive=True), handle):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self._process.join()

    def last_line(self) -> str:
        """Return what it said last."""
        return ["", *self.log.read_text(errors="replace").strip().splitlines()][-1]


@contextmanager
def started(target: Callable[..., None], log: Path, *arguments: Any) -> Iterator[Process]:
    """Start a process; kill it and its children in the end."""
    process = Process(target, log, *arguments)
    try:
        yield process
    finally:
        process.kill_with_children()


@contextmanager
def cluster(
    folder: Path, name: str, orders: Path, *, threads: int, nannies: bool
) -> Iterator[tuple[str, Process, list[psutil.Process]]]:
    """Start a scheduler and two workers; give the address, the scheduler and the workers."""
    from faults import child

    file, log = folder / f"{name}.json", folder / "cluster.log"
    with started(child.serve_scheduler, log, str(file)) as first:
        address = _address_in(file)
        about = (address, str(folder), str(orders), threads, nannies)
        with (
            started(child.serve_worker, log, *about) as a,
            started(child.serve_worker, log, *about) as b,
        ):
            yield address, first, [psutil.Process(a.pid), psutil.Process(b.pid)]


def _address_in(file: Path) -> str:
    deadline = time.monotonic() + 60
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no scheduler wrote {file}")
        time.sleep(0.02)
    return str(json.loads(file.read_text())["address"])


def workers_of(parents: list[psutil.Process]) -> list[psutil.Process]:
    """The worker processes: those that nannies have started, else the given ones."""
    found = []
    for parent in parents:
        with suppress(psutil.Error):
            children = parent.children(recursive=True)
            found += [p for p in children if "spawn_main" in " ".join(p.cmdline())]
    return found or parents
