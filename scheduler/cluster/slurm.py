"""Workers as SLURM jobs, through dask-jobqueue: this process submits them and ends them."""

import contextlib
import logging
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

import dask
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tiledsim.errors import BackendError, InputFileError
from tiledsim.scheduler.cluster.gpus import GPU_THREADS
from tiledsim.scheduler.cluster.local import CLOSE_SECONDS, SETTINGS, client_of

RENEW_SECONDS = 30.0
"""Jobs that came to their end are submitted again this often, at most."""
ASK_SECONDS = 5.0
"""So often SLURM is asked after our jobs, while none has brought a worker."""
ANSWER_SECONDS = 60.0
"""How long SLURM's commands may take."""
LEAVE_IN_TIME = "tiledsim.scheduler.cluster.leave_in_time"
JOB_NAME = "tiledsim"
"""Of jobs in SLURM's queue."""
ONE_GPU = "tiledsim.scheduler.cluster.one_gpu"

Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
_WALLTIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


class ClusterConfig(BaseModel):
    """The ``[cluster]`` table.  What is left out is taken from Dask's configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue: Text | None = None
    account: Text | None = None
    walltime: Text | None = None
    """As SLURM writes it: minutes, HH:MM:SS or D-HH:MM:SS."""
    cores: Count | None = None
    """Of a job."""
    processes: Count | None = None
    """Worker processes of a job; one for each GPU where there are GPUs."""
    memory: Text | None = None
    """Of a job, such as 64GB."""
    jobs: Count = 1
    gpus_per_job: Annotated[int, Field(ge=0)] = 0
    interface: Text | None = None
    """Network interface of this machine and of the nodes, such as ib0."""
    local_directory: Text | None = None
    """Scratch of a node; may hold variables, such as $TMPDIR."""
    shared_directory: Text | None = None
    """Where this machine and the nodes see the keys for TLS; the store's folder by default."""
    log_directory: Text | None = None
    directives: tuple[Text, ...] = ()
    """More lines for ``#SBATCH``."""
    prologue: tuple[Text, ...] = ()
    """Commands of a job before its worker starts."""
    python: Text | None = None
    tls: bool = True
    queue_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 24 * 60
    """How long the first worker may take to come."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.walltime is not None and walltime_minutes(self.walltime) <= 0:
            raise ValueError(
                f"walltime = {self.walltime!r}: must be as SLURM has it, such as '02:00:00'"
            )
        if self.memory is not None:
            try:
                dask.utils.parse_bytes(self.memory)
            except ValueError:
                raise ValueError(
                    f"memory = {self.memory!r}: must be a size, such as '64GB'"
                ) from None
        if self.gpus_per_job and self.processes not in (None, self.gpus_per_job):
            raise ValueError(
                f"processes = {self.processes} with gpus_per_job = {self.gpus_per_job}; a job has "
                "one worker process for each GPU, so leave processes out"
            )
        if self.processes and self.cores and self.processes > self.cores:
            raise ValueError(
                f"processes = {self.processes} with cores = {self.cores}; a process needs a core"
            )
        return self

    @property
    def worker_processes(self) -> int:
        """Worker processes of one job."""
        return self.gpus_per_job or self.processes or _configured("processes") or 1

    @property
    def worker_threads(self) -> int:
        """Threads of one worker process: those that share its GPU, else its share of the cores."""
        if self.gpus_per_job:
            return GPU_THREADS
        return max(1, (self.cores or _configured("cores") or 1) // self.worker_processes)


def _configured(key: str) -> Any:
    return dask.config.get(f"jobqueue.slurm.{key}", None)


def walltime_minutes(text: str) -> float:
    """Return the minutes of a time limit as SLURM writes it; 0 for what is none."""
    found = _WALLTIME.fullmatch(text)
    if found is None:
        return 0.0
    days, first, second, third = (int(part) if part else None for part in found.groups())
    assert first is not None  # by the pattern
    if days is not None:  # D-HH, D-HH:MM, D-HH:MM:SS
        return days * 1440 + first * 60 + (second or 0) + (third or 0) / 60
    if third is not None:  # HH:MM:SS
        return first * 60 + (second or 0) + third / 60
    return first + (second or 0) / 60  # MM, MM:SS


def load_cluster_config(given: Path | Mapping[str, Any]) -> ClusterConfig:
    """Read the ``[cluster]`` table of a TOML file, or take its keys and values.

    Raises InputFileError, in one line that names the key, for what cannot be used.
    """
    from tiledsim.experiment.validation import explain
    from tiledsim.io.text import read_text

    place = "`cluster_config`"
    table = given
    if isinstance(given, Path):
        place = str(given)
        try:
            found = tomllib.loads(read_text(given, "cluster configuration"))
        except tomllib.TOMLDecodeError as error:
            raise InputFileError(f"{given}: not valid TOML: {error}") from error
        if list(found) != ["cluster"] or not isinstance(found["cluster"], dict):
            raise InputFileError(f"{given}: must hold one table, [cluster], and nothing else")
        table = found["cluster"]
    assert isinstance(table, Mapping)
    try:
        return ClusterConfig(**table)
    except ValidationError as error:
        raise InputFileError(f"{place}: [cluster] {explain(ClusterConfig, error)}") from error


def check_slurm(config: ClusterConfig) -> None:
    """Raise BackendError where jobs cannot be submitted from here, before anything is made."""
    _import_jobqueue()
    for program in ("sbatch", "squeue", "scancel"):
        if shutil.which(program) is None:
            raise BackendError(
                f"`cluster=slurm`: {program} is not on PATH; run this where jobs are submitted, or "
                "start workers yourself and give `scheduler_file`"
            )
    for key in ("cores", "memory"):
        if getattr(config, key) is None and _configured(key) is None:
            raise BackendError(
                f"`cluster=slurm`: no {key} of a job; give {key} in the [cluster] table of "
                f"`cluster_config`, or jobqueue.slurm.{key} in Dask's configuration"
            )


def _import_jobqueue() -> None:
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


def make_slurm_cluster(config: ClusterConfig, keys_folder: Path) -> Any:
    """Make a cluster without jobs; ``keys_folder`` is where its keys are shared."""
    from dask_jobqueue.slurm import SLURMCluster
    from distributed import Security

    options: dict[str, Any] = {
        name: getattr(config, name)
        for name in ("queue", "account", "walltime", "memory", "interface", "local_directory",
                     "log_directory", "python")
        if getattr(config, name) is not None
    }  # fmt: skip
    options["worker_extra_args"] = _worker_arguments(config)
    options["job_name"] = JOB_NAME
    if config.gpus_per_job:
        options |= {
            "cores": config.gpus_per_job * GPU_THREADS, "processes": config.gpus_per_job,
            "job_cpu": config.cores or _configured("cores"),
        }  # fmt: skip
    else:
        options |= {"processes": config.worker_processes}
        if config.cores:
            options["cores"] = config.cores
    gres = [f"--gres=gpu:{config.gpus_per_job}"] if config.gpus_per_job else []
    directives = [*gres, *config.directives]
    if directives:
        options["job_extra_directives"] = directives
    if config.prologue:
        options["job_script_prologue"] = list(config.prologue)
    if config.tls:
        options |= {
            "protocol": "tls://", "security": Security.temporary(),
            "shared_temp_directory": config.shared_directory or str(keys_folder),
        }  # fmt: skip
    return SLURMCluster(
        scheduler_options={"dashboard_address": "127.0.0.1:0"},
        silence_logs=logging.CRITICAL,
        **options,
    )


def _worker_arguments(config: ClusterConfig) -> list[str]:
    arguments = list(_configured("worker-extra-args") or [])
    arguments += ["--dashboard-address", "127.0.0.1:0"]
    if config.gpus_per_job > 1:  # SLURM shows a job with one GPU just that
        arguments += ["--preload", ONE_GPU]
    walltime = config.walltime or _configured("walltime")
    minutes = walltime_minutes(str(walltime)) if walltime else 0.0
    if minutes and "--lifetime" not in arguments:
        # A worker leaves before SLURM ends it, so that no tile is cut off; its job comes again.
        # Those that came together leave over a tenth of their time, not at once.
        seconds = round(60 * minutes - min(300.0, 6 * minutes))
        arguments += ["--preload", LEAVE_IN_TIME, "--leave-after", f"{seconds}"]
        arguments += ["--leave-spread", f"{seconds // 10}"]
    return arguments


@contextmanager
def slurm_client(config: ClusterConfig, keys_folder: Path) -> Iterator[Any]:
    """Submit the jobs, give a client of their workers, and end the jobs.

    Jobs whose worker left at the end of its time are submitted again.  Raises BackendError where
    SLURM refuses a job, or none is left before a worker came.
    """
    with dask.config.set(SETTINGS):
        try:
            cluster = make_slurm_cluster(config, keys_folder)
        except (OSError, ValueError, RuntimeError) as error:
            raise BackendError(f"`cluster=slurm`: {_one_line(error)}") from None
        ended = threading.Event()
        try:
            # Also after an error there is time to end the jobs.
            with client_of(cluster, leave_seconds=CLOSE_SECONDS) as client:
                _try_the_script(cluster)
                cluster.scale(jobs=config.jobs)
                _wait_in_the_queue(cluster, client, config)
                threading.Thread(
                    target=_keep, args=(cluster, config.jobs, ended), name="slurm-jobs", daemon=True
                ).start()
                try:
                    yield client
                finally:
                    ended.set()
        finally:
            _remove_keys(cluster)


def _remove_keys(cluster: Any) -> None:
    """Remove the files of keys now: a process that is stopped does not come to Python's own end."""
    for name in ("ca_file", "cert", "key"):
        file = getattr(cluster, f"_job_{name}", None)
        if file is not None:
            file.close()


def _try_the_script(cluster: Any) -> None:
    """Let SLURM look at the job script without queueing it; BackendError if it refuses it."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(cluster.job_script())
        file.flush()
        looked = _ask(["sbatch", "--test-only", file.name])
    if looked is None:
        raise BackendError(f"SLURM does not answer within {ANSWER_SECONDS:g} s; try again later")
    if looked.returncode != 0:
        why = looked.stderr.strip() or looked.stdout.strip() or f"status {looked.returncode}"
        raise BackendError(f"SLURM refuses the job: {why.splitlines()[0]}")


def _ask(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """Run a command of SLURM; None if it does not answer, as of a controller that is busy."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None


def _one_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]


def _keep(cluster: Any, jobs: int, ended: threading.Event) -> None:
    while not ended.wait(RENEW_SECONDS):
        with contextlib.suppress(Exception):  # SLURM does not answer: it is asked again
            cluster.scale(jobs=jobs)


def _wait_in_the_queue(cluster: Any, client: Any, config: ClusterConfig) -> None:
    """Wait for the first worker, for as long as SLURM knows of a job of ours."""
    deadline = time.monotonic() + 60 * config.queue_minutes
    without = 0
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(1, timeout=ASK_SECONDS)
            return
        without = without + 1 if _jobs_in_queue(cluster) == 0 else 0
        if without == 2:
            raise BackendError(
                f"of {config.jobs} job(s) none is left, and no worker came; SLURM's logs of them "
                f"({config.log_directory or _configured('log-directory') or 'slurm-*.out'}) say why"
            )
    raise BackendError(
        f"no job started within {config.queue_minutes:g} minutes; raise queue_minutes, or look at "
        "squeue"
    )


def _jobs_in_queue(cluster: Any) -> int | None:
    """Count our jobs that wait or run; None where SLURM does not answer."""
    jobs = list(cluster.workers.values())  # at once: another thread adds to them
    ids = [str(job.job_id) for job in jobs if job.job_id]
    if not ids:  # not submitted yet, or not taken
        return 0
    listing = _ask(["squeue", "--noheader", "--format=%i", f"--jobs={','.join(ids)}"])
    if listing is None:
        return None
    if listing.returncode != 0:
        # All ids unknown, as SLURM says of jobs that ended some minutes ago, or no answer.
        return 0 if "Invalid job id" in listing.stderr else None
    return len(listing.stdout.split())
