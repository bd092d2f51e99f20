"""A client of workers that are SLURM jobs: this process submits them and ends them."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiledsim.errors import BackendError, RunError
from tiledsim.scheduler.cluster.local import CLOSE_SECONDS, LEAVE_SECONDS, SETTINGS, close
from tiledsim.scheduler.cluster.own_scheduler import OwnScheduler
from tiledsim.scheduler.cluster.slurm.config import ClusterConfig, configured
from tiledsim.scheduler.cluster.slurm.jobs import Jobs
from tiledsim.scheduler.cluster.slurm.keys import shared_keys
from tiledsim.scheduler.cluster.slurm.queue import try_script
from tiledsim.scheduler.cluster.slurm.script import (
    import_jobqueue,
    job_name,
    job_of,
    job_script,
    leaving_of,
)
from tiledsim.scheduler.cluster.supply import Connection, News
from tiledsim.scheduler.cluster.this_process import FILES_EACH, FILES_FIRST, allow_files

ASK_SECONDS = 0.5
"""So often it is looked for the first worker, and for news of its job."""


def check_slurm(config: ClusterConfig) -> None:
    """Raise BackendError where jobs cannot be submitted from here, before anything is made."""
    import_jobqueue()
    for program in ("sbatch", "squeue", "scancel"):
        if shutil.which(program) is None:
            raise BackendError(
                f"`cluster=slurm`: {program} is not on PATH; run this where jobs are submitted, or "
                "start workers yourself and give `scheduler_file`"
            )
    for key in ("cores", "memory"):
        if getattr(config, key) is None and configured(key) is None:
            raise BackendError(
                f"`cluster=slurm`: no {key} of a job; give {key} in the [cluster] table of "
                f"`cluster_config`, or jobqueue.slurm.{key} in Dask's configuration"
            )
    allow_files(FILES_FIRST + FILES_EACH * config.jobs * config.worker_processes)


@contextmanager
def slurm_client(
    config: ClusterConfig, keys_folder: Path, store: str = "", *,
    tell: Callable[[News], None] = lambda news: None,
) -> Iterator[Connection]:  # fmt: skip
    """Submit the jobs, wait for the first worker, give a client of them, and end the jobs.

    Parameters
    ----------
    config
        The jobs.
    keys_folder
        Where nodes find the keys for TLS, if the configuration does not say.
    store
        What the jobs are named after.
    tell
        Told what SLURM says while the first worker is waited for; later the connection's supply
        tells.

    Raises
    ------
    BackendError
        Where SLURM refuses a job, or no worker comes.
    """
    place = Path(config.shared_directory or keys_folder)
    with shared_keys(place, wanted=config.tls) as keys:
        options = {"dashboard_address": "127.0.0.1:0", "port": 0}
        options |= {"protocol": "tls://" if config.tls else "tcp://"}
        options |= configured("scheduler-options") or {}
        interface = config.interface or configured("interface")
        if not {"host", "interface"} & set(options) and interface:
            options["interface"] = interface
        try:
            scheduler = OwnScheduler(options, keys.security, SETTINGS)
        except RunError as error:
            raise BackendError(f"`cluster=slurm`: {error}") from None
        try:
            if keys.folder is not None:
                scheduler.note(folder=str(keys.folder))
            with tempfile.TemporaryDirectory(prefix="tiledsim-job-") as folder:
                script = Path(folder) / "job.sh"
                script.write_text(
                    job_script(config, scheduler.address, job_name(store), keys.as_nodes_see)
                )
                try_script(script)
                with _client(scheduler, keys.security) as client, _jobs(
                    config, script, client, scheduler
                ) as jobs:  # fmt: skip
                    _wait_in_the_queue(client, jobs, config, tell)
                    yield Connection(client, jobs)
        finally:
            scheduler.close()


@contextmanager
def _client(scheduler: OwnScheduler, security: Any) -> Iterator[Any]:
    from distributed import Client

    seconds = LEAVE_SECONDS
    client = Client(scheduler.address, security=security, set_as_default=False, timeout=60)
    try:
        yield client
        seconds = CLOSE_SECONDS
    finally:
        close(client, seconds)


@contextmanager
def _jobs(
    config: ClusterConfig, script: Path, client: Any, scheduler: OwnScheduler
) -> Iterator[Jobs]:
    def with_workers() -> set[str]:
        there = client.scheduler_info()["workers"].values()
        return {job for about in there if (job := job_of(str(about["name"])))}

    jobs = Jobs(
        script, config.jobs, workers=with_workers, leaving=leaving_of(config),
        note=lambda number: scheduler.note(job=number),
    )  # fmt: skip
    try:
        jobs.start()
        yield jobs
    finally:
        jobs.close()


def _wait_in_the_queue(
    client: Any, jobs: Jobs, config: ClusterConfig, tell: Callable[[News], None]
) -> None:
    """Wait for the first worker, and tell meanwhile what SLURM says of its job."""
    deadline = time.monotonic() + 60 * config.queue_minutes
    while time.monotonic() < deadline:
        if client.scheduler_info(n_workers=0).get("n_workers"):
            return
        if news := jobs.news():
            tell(news)
        if why := jobs.why_over():
            raise BackendError(why)
        time.sleep(ASK_SECONDS)
    raise BackendError(
        f"no job started within {config.queue_minutes:g} minutes; raise queue_minutes, or look at "
        "squeue"
    )
