"""The ``[cluster]`` table: what a job is like, and how many there are."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import dask
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tiledsim.errors import InputFileError
from tiledsim.scheduler.cluster.gpus import GPU_THREADS

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
        return self.gpus_per_job or self.processes or configured("processes") or 1

    @property
    def worker_threads(self) -> int:
        """Threads of one worker process: those that share its GPU, else its share of the cores."""
        if self.gpus_per_job:
            return GPU_THREADS
        return max(1, (self.cores or configured("cores") or 1) // self.worker_processes)


def configured(key: str) -> Any:
    """Return what Dask's own configuration says of SLURM's jobs; None for nothing."""
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
