"""A Dask cluster of separate processes on this machine, for benchmarks: a scheduler and workers."""

import os
import subprocess
import sys
import tempfile
import time
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
def cluster(
    workers: int, threads: int, *, log_length: int = 1000, pretended: bool = False
) -> Iterator[tuple[Any, int, Path]]:
    """Start a scheduler and worker processes; give a client, the scheduler's pid and its log.

    The workers can import what lies beside this file.  ``log_length`` is how many of its messages
    and events Dask remembers, for each connection.  ``pretended`` workers are all in one process
    (pretend.py).
    """
    import dask
    from distributed import Client

    from tiledsim.scheduler.cluster.local import SETTINGS
    from tiledsim.scheduler.cluster.this_process import allow_all_files

    allow_all_files()

    here = Path(__file__).resolve().parent
    environment = (
        os.environ
        | QUIET
        | {
            "PYTHONPATH": f"{here}{os.pathsep}{here.parent}",
            "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": str(log_length),
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": str(
                SETTINGS["distributed.scheduler.worker-saturation"]
            ),
        }
    )
    dask.config.set({"distributed.admin.low-level-log-length": log_length})
    with tempfile.TemporaryDirectory(prefix="tiledsim-cluster-") as folder:
        place, log = Path(folder) / "scheduler.json", Path(folder) / "log"
        with log.open("w") as out:
            started: list[subprocess.Popen[bytes]] = []
            try:

                def begin(*command: str) -> None:
                    started.append(
                        subprocess.Popen(
                            [sys.executable, *command], env=environment, stdout=out, stderr=out,
                            cwd=folder,
                        )
                    )  # fmt: skip

                common = ("--scheduler-file", str(place), "--host", "127.0.0.1", "--no-dashboard")
                begin("-m", "distributed.cli.dask_scheduler", *common, "--port", "0", "--no-show")
                if pretended:
                    while not place.exists():
                        time.sleep(0.05)
                    begin(str(here / "pretend.py"), str(place), str(workers), "0")
                else:
                    begin(
                        "-m", "distributed.cli.dask_worker", *common, "--nworkers", str(workers),
                        "--nthreads", str(threads), "--memory-limit", "0", "--local-directory",
                        folder,
                    )  # fmt: skip
                with Client(scheduler_file=str(place), timeout=60, set_as_default=False) as client:
                    client.wait_for_workers(workers, timeout=60 + 4 * workers)
                    yield client, started[0].pid, log
            finally:
                for process in reversed(started):
                    process.terminate()
                for process in started:
                    process.wait(timeout=60)
