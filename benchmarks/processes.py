"""A Dask cluster of separate processes on this machine, for benchmarks: a scheduler and workers."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
}
"""Dask's self-observation, once for each worker: with many on few cores it alone fills a core."""


@contextmanager
def cluster(workers: int, threads: int) -> Iterator[tuple[Any, int, Path]]:
    """Start a scheduler and worker processes; give a client, the scheduler's pid and its log.

    The workers can import what lies beside this file.
    """
    from distributed import Client

    here = Path(__file__).resolve().parent
    environment = os.environ | QUIET | {"PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    with tempfile.TemporaryDirectory(prefix="tiledsim-cluster-") as folder:
        place, log = Path(folder) / "scheduler.json", Path(folder) / "log"
        with log.open("w") as out:
            started = []
            try:
                for part, options in (
                    ("scheduler", ["--host", "127.0.0.1", "--port", "0", "--no-show"]),
                    ("worker", ["--host", "127.0.0.1", "--nworkers", str(workers), "--nthreads",
                                str(threads), "--memory-limit", "0", "--local-directory", folder]),
                ):  # fmt: skip
                    started.append(
                        subprocess.Popen(
                            [sys.executable, "-m", f"distributed.cli.dask_{part}",
                             "--scheduler-file", str(place), "--no-dashboard", *options],
                            env=environment, stdout=out, stderr=out, cwd=folder,
                        )
                    )  # fmt: skip
                with Client(scheduler_file=str(place), timeout=60, set_as_default=False) as client:
                    client.wait_for_workers(workers, timeout=60 + 4 * workers)
                    yield client, started[0].pid, log
            finally:
                for process in reversed(started):
                    process.terminate()
                for process in started:
                    process.wait(timeout=60)
