"""The script of a job, by dask-jobqueue, which also reads Dask's own configuration of SLURM."""

import re
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiledsim.errors import BackendError
from tiledsim.scheduler.cluster.gpus import GPU_THREADS
from tiledsim.scheduler.cluster.slurm.config import ClusterConfig, configured, walltime_minutes

LEAVE_IN_TIME = "tiledsim.scheduler.cluster.slurm.leave_in_time"
ONE_GPU = "tiledsim.scheduler.cluster.slurm.one_gpu"
WORKER_NAME = "job-$SLURM_JOB_ID${SLURM_RESTART_COUNT:+.$SLURM_RESTART_COUNT}"
"""Of a worker; Dask adds the number of the process.  A job that is requeued keeps its number."""
_NAMED = re.compile(r"job-(\d+)(?:[.-]|$)")


@dataclass(frozen=True)
class Leaving:
    """When the workers of a job leave by themselves, in seconds from its start."""

    walltime: float
    latest: float
    spread: float
    """Up to so much sooner than the latest: those that came together do not leave together."""

    @property
    def earliest(self) -> float:
        """When the first may leave."""
        return self.latest - self.spread


def leaving_of(config: ClusterConfig) -> Leaving | None:
    """Return when workers leave; None where jobs have no walltime, or the user says when."""
    walltime = config.walltime or configured("walltime")
    minutes = walltime_minutes(str(walltime)) if walltime else 0.0
    if not minutes or "--lifetime" in (configured("worker-extra-args") or []):
        return None
    latest = round(60 * minutes - min(300.0, 6 * minutes))
    return Leaving(60 * minutes, latest, latest // 10)


def job_of(worker: str) -> str | None:
    """Return the number of the job whose worker has a name."""
    found = _NAMED.match(worker)
    return found[1] if found else None


def job_name(store: str) -> str:
    """Return the name of a run's jobs in SLURM's queue, after its store."""
    last = re.sub(r"[^\w.+]+", "-", store.rstrip("/").rpartition("/")[2], flags=re.ASCII)
    return f"tiledsim-{last.strip('-')[:40]}".rstrip("-")


def import_jobqueue() -> None:
    """Import dask-jobqueue and keep what Ctrl-C does: its import makes Ctrl-C exit with status 0.

    Raises BackendError where it is not installed, or off the main thread, where no signal's
    handler can be set.
    """
    if "dask_jobqueue" in sys.modules:
        return
    if threading.current_thread() is not threading.main_thread():
        raise BackendError(
            "`cluster=slurm` from a thread: only the main thread can import dask-jobqueue; write "
            "`import dask_jobqueue` there first, and set SIGINT's handler again after it"
        )
    handler = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise BackendError(
            '`cluster=slurm` needs dask-jobqueue: pip install "tiledsim[slurm]"'
        ) from error
    finally:
        signal.signal(signal.SIGINT, handler)


def job_script(config: ClusterConfig, scheduler: str, name: str, keys: Path | None) -> str:
    """Return the script of a job whose workers join the scheduler at an address.

    ``keys`` is the folder with the certificate and its key, as the nodes see it.
    """
    from dask_jobqueue.slurm import SLURMJob

    options: dict[str, Any] = {
        option: getattr(config, option)
        for option in ("queue", "account", "walltime", "memory", "interface", "local_directory",
                       "log_directory", "python")
        if getattr(config, option) is not None
    }  # fmt: skip
    prologue = [*(config.prologue or configured("job-script-prologue") or ())]
    directives = [*(config.directives or configured("job-extra-directives") or ())]
    if config.gpus_per_job:
        options |= {
            "cores": config.gpus_per_job * GPU_THREADS, "processes": config.gpus_per_job,
            "job_cpu": config.cores or configured("cores"),
        }  # fmt: skip
        if not any(re.search(r"--gpus|--gres=\S*gpu", line) for line in directives):
            directives.insert(0, f"--gres=gpu:{config.gpus_per_job}")
        # Numbers of GPUs then mean the same to CUDA as to SLURM and nvidia-smi.
        prologue.insert(0, "export CUDA_DEVICE_ORDER=PCI_BUS_ID")
    else:
        options |= {"processes": config.worker_processes}
        if config.cores:
            options["cores"] = config.cores
    job = SLURMJob(
        scheduler, name=WORKER_NAME, job_name=name, job_extra_directives=directives,
        job_script_prologue=prologue, worker_extra_args=_worker_arguments(config, keys),
        protocol="tls://" if config.tls else None, **options,
    )  # fmt: skip
    return str(job.job_script())


def _worker_arguments(config: ClusterConfig, keys: Path | None) -> list[str]:
    arguments = list(configured("worker-extra-args") or [])
    arguments += ["--dashboard-address", "127.0.0.1:0"]
    if config.gpus_per_job > 1:  # SLURM shows a job with one GPU just that
        arguments += ["--preload", ONE_GPU]
    leaving = leaving_of(config)
    if leaving is not None:
        # A worker leaves before SLURM ends it, so that no tile is cut off; its job comes again.
        arguments += ["--preload", LEAVE_IN_TIME, "--leave-after", f"{leaving.latest:.0f}"]
        arguments += ["--leave-spread", f"{leaving.spread:.0f}"]
    if keys is not None:
        # Quoted for the shell, which still puts the values of variables in.
        folder = re.sub(r'(["`\\])', r"\\\1", str(keys))
        certificate = f'"{folder}/cert.pem"'
        arguments += ["--tls-ca-file", certificate, "--tls-cert", certificate]
        arguments += ["--tls-key", f'"{folder}/key.pem"']
    return arguments
