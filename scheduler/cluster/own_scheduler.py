"""A scheduler in a process of its own: many workers take a core of it, and the driver another.

The process ends with the one that started it, however that ended, and then cleans up behind it:
jobs that were noted are cancelled and folders that were noted are removed.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from typing import Any

from distributed.deploy.spec import ProcessInterface

from tiledsim.errors import RunError

CHILD = "tiledsim.scheduler.cluster.scheduler_process"
START_SECONDS = 60.0
END_SECONDS = 5.0


class OwnScheduler:
    """Starts the process and knows its address.  What is written to it are lines of JSON."""

    def __init__(self, options: dict[str, Any], security: Any, settings: dict[str, Any]) -> None:
        """Start it with the options of Dask's Scheduler, keys, and settings of Dask.

        Raises RunError where it does not start.
        """
        self._lock = threading.Lock()
        # A group of its own: Ctrl-C is for the driver, which ends this when it has said goodbye.
        self._process = subprocess.Popen(
            [sys.executable, "-m", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        keys = None if security is None else security.get_tls_config_for_role("scheduler")
        self._tell(options=options, keys=keys, settings=settings)
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer.startswith("at "):
            self.close()
            why = answer.strip() or f"status {self._process.returncode}"
            raise RunError(f"the scheduler does not start: {why}")
        self.address = answer[3:].strip()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def _tell(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def note(self, *, job: str = "", folder: str = "") -> None:
        """Name a job, or a folder, that may not outlive this process."""
        with self._lock, contextlib.suppress(OSError):  # whoever needs it will notice that it ended
            self._tell(job=job, folder=folder)

    def close(self) -> None:
        """End it; what was noted is left to the caller."""
        with contextlib.suppress(OSError, ValueError):  # it has ended
            self._tell(forget=True)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class SchedulerOfCluster(ProcessInterface):
    """The same, as the scheduler of a SpecCluster."""

    def __init__(self, *, own: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._own = own
        self._scheduler: OwnScheduler | None = None

    async def start(self) -> None:
        """Start it; called by the cluster."""
        self._scheduler = await asyncio.to_thread(lambda: OwnScheduler(**self._own))
        self.address = self._scheduler.address
        await super().start()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """End it; called by the cluster."""
        if self._scheduler is not None:
            await asyncio.to_thread(self._scheduler.close)
        await super().close()  # type: ignore[no-untyped-call]
