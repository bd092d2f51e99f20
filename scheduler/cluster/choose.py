"""Where a run's tasks go: workers of this machine, SLURM's, or a scheduler that runs already."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tiledsim.errors import BackendError
from tiledsim.scheduler.cluster.gpus import choose_gpus
from tiledsim.scheduler.cluster.local import cores, gpu_client, local_client
from tiledsim.scheduler.cluster.remote import Tls, address_in, remote_client, security_of
from tiledsim.scheduler.cluster.slurm import (
    ClusterConfig,
    check_slurm,
    load_cluster_config,
    slurm_client,
)

Kind = Literal["local", "cuda", "slurm", "scheduler", "client"]
KINDS = ("local", "cuda", "slurm")
"""Those that ``--cluster`` names."""


@dataclass(frozen=True)
class Place:
    """A choice of workers that has been checked; nothing is started yet."""

    kind: Kind
    workers: int = 1
    """Processes; of a scheduler that runs already, not known before it is asked."""
    threads: int = 1
    """Of each process."""
    gpus: tuple[str, ...] = ()
    client: Any = None
    scheduler: str | None = None
    scheduler_file: Path | None = None
    tls: Tls = field(default_factory=Tls)
    config: ClusterConfig = field(default_factory=ClusterConfig)

    @property
    def on_this_machine(self) -> bool:
        """Whether the workers take this machine's memory."""
        return self.kind in ("local", "cuda")

    @property
    def has_gpus(self) -> bool:
        """Whether each worker process was asked to have a GPU."""
        return bool(self.gpus) or self.config.gpus_per_job > 0

    @contextmanager
    def connect(self, keys_folder: Path) -> Iterator[Any]:
        """Start what is to be started and give a Dask client; end what was started.

        ``keys_folder`` is a folder that the nodes of a cluster see as well, for keys of TLS.
        Raises BackendError where there is no answer.
        """
        match self.kind:
            case "client":
                yield self.client
            case "scheduler":
                address = self.scheduler
                if address is None:
                    assert self.scheduler_file is not None  # by choose_place
                    address = address_in(self.scheduler_file)
                with remote_client(address, self.tls) as client:
                    yield client
            case "slurm":
                with slurm_client(self.config, keys_folder) as client:
                    yield client
            case "cuda":
                with gpu_client(self.gpus) as client:
                    yield client
            case "local":
                with local_client(self.workers, self.threads) as client:
                    yield client


def choose_place(
    *, client: Any = None, scheduler: str | None = None, scheduler_file: str | Path | None = None,
    cluster: str | None = None, cluster_config: str | Path | ClusterConfig | None = None,
    gpus: str | None = None, workers: int | None = None, threads: int | None = None,
    tls: Tls | None = None,
) -> Place:  # fmt: skip
    """Check what was asked of where to run; without anything, one process with a thread a core.

    Raises BackendError or InputFileError for choices that exclude each other, GPUs that are not
    there, files that cannot be used.
    """
    if cluster not in (None, *KINDS):
        raise BackendError(f"--cluster {cluster}: must be one of {', '.join(KINDS)}")
    named = {
        "a client": client is not None,
        "--scheduler": scheduler is not None,
        "--scheduler-file": scheduler_file is not None,
        f"--cluster {cluster}": cluster is not None,
    }
    chosen = [name for name, given in named.items() if given]
    if len(chosen) > 1:
        raise BackendError(f"{chosen[0]} and {chosen[1]} are both given; give one")
    if cluster_config is not None and cluster != "slurm":
        raise BackendError("--cluster-config is for --cluster slurm; leave it out, or give both")
    there = client is not None or scheduler is not None or scheduler_file is not None
    if tls and (not there or client is not None):
        raise BackendError(
            "--tls-ca-file, --tls-cert and --tls-key are for --scheduler or --scheduler-file; "
            "leave them out"
        )
    if there:
        for option, value in (("workers", workers), ("threads", threads), ("gpus", gpus)):
            if value is not None:
                raise BackendError(
                    f"--{option} is for workers that tiledsim starts; {chosen[0]} has its own, so "
                    "leave it out"
                )
        if client is not None:
            return Place("client", client=client)
        security_of(tls or Tls())
        file = None if scheduler_file is None else Path(scheduler_file)
        return Place("scheduler", scheduler=scheduler, scheduler_file=file, tls=tls or Tls())
    if cluster == "slurm":
        return _slurm_place(cluster_config, gpus, workers, threads)
    if gpus is not None or cluster == "cuda":
        return _gpu_place(cluster, gpus, workers, threads)
    processes = workers or 1
    return Place("local", processes, threads or max(1, cores() // processes))


def _gpu_place(
    cluster: str | None, gpus: str | None, workers: int | None, threads: int | None
) -> Place:
    if cluster == "local":
        raise BackendError("--cluster local and --gpus are both given; GPUs have --cluster cuda")
    for option, value in (("workers", workers), ("threads", threads)):
        if value is not None:
            raise BackendError(
                f"--{option} with GPUs: each GPU has one process of one thread; leave it out "
                "(--gpus 0,0 puts two on one GPU), or give --backend cpu"
            )
    chosen = choose_gpus(gpus or "all")
    return Place("cuda", len(chosen), 1, chosen)


def _slurm_place(
    config: str | Path | ClusterConfig | None, gpus: str | None, workers: int | None,
    threads: int | None,
) -> Place:  # fmt: skip
    if config is None:
        config = ClusterConfig()
    elif not isinstance(config, ClusterConfig):
        config = load_cluster_config(Path(config))
    if gpus is not None:
        raise BackendError("--gpus with --cluster slurm: give gpus_per_job in --cluster-config")
    if threads is not None:
        raise BackendError(
            "--threads with --cluster slurm: they are cores / processes in --cluster-config"
        )
    each = config.worker_processes
    if workers is not None:
        if workers % each:
            raise BackendError(
                f"--workers {workers}: a job has {each} worker processes; give a multiple of {each}"
            )
        config = config.model_copy(update={"jobs": workers // each})
    check_slurm(config)
    return Place("slurm", config.jobs * each, config.worker_threads, config=config)
