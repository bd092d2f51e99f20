"""The process of :class:`~tiledsim.scheduler.cluster.own_scheduler.OwnScheduler`.

    python -m tiledsim.scheduler.cluster.scheduler_process

reads lines of JSON: first how to make the scheduler; then jobs and folders that are to go if the
driver's end of the pipe closes before it has said that it has seen to them itself.
"""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from typing import Any

import dask
from distributed import Scheduler, Security

from tiledsim.scheduler.cluster.quiet import QuietScheduler
from tiledsim.scheduler.cluster.this_process import allow_all_files

CANCEL_SECONDS = 60.0


def security_of(keys: dict[str, Any] | None) -> Security | None:
    """Return the keys of a scheduler; None where nothing is encrypted."""
    if keys is None:
        return None
    return Security(
        require_encryption=True, tls_ca_file=keys["ca_file"],
        tls_scheduler_cert=keys["cert"], tls_scheduler_key=keys["key"],
    )  # fmt: skip


async def serve(order: dict[str, Any]) -> None:
    """Be a scheduler until standard input ends, and clean up if nobody else has."""
    loop = asyncio.get_running_loop()
    jobs: list[str] = []
    folders: list[str] = []
    seen_to = False
    options = order["options"]
    kind = Scheduler if options.get("dashboard_address") else QuietScheduler
    if kind is QuietScheduler:
        options |= {"dashboard": False}
    async with kind(security=security_of(order["keys"]), **options) as scheduler:
        print(f"at {scheduler.address}", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            said = json.loads(line)
            seen_to = seen_to or said.get("forget", False)
            jobs += filter(None, [said.get("job")])
            folders += filter(None, [said.get("folder")])
        if not seen_to:
            clean_up(jobs, folders)


def clean_up(jobs: list[str], folders: list[str]) -> None:
    """End what a driver that was killed has left: jobs that wait or run, and keys."""
    if jobs:
        subprocess.run(["scancel", *jobs], timeout=CANCEL_SECONDS, check=False)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Read what to be, and be it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_all_files()
    order = json.loads(sys.stdin.readline())
    dask.config.set(order["settings"])
    try:
        asyncio.run(serve(order))
    except (OSError, ValueError, RuntimeError) as error:
        print((str(error).strip() or repr(error)).splitlines()[0], flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
