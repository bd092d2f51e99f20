"""Where a run's tasks go: workers of this machine, SLURM's, or a scheduler that runs already."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tiledsim.errors import BackendError
from tiledsim.kernels.devices import find_gpu
from tiledsim.scheduler.cluster.gpus import GPU_THREADS, choose_gpus
from tiledsim.scheduler.cluster.local import cores, gpu_client, local_client
from tiledsim.scheduler.cluster.remote import Tls, client_of_file, remote_client, security_of
from tiledsim.scheduler.cluster.slurm.client import check_slurm, slurm_client
from tiledsim.scheduler.cluster.slurm.config import ClusterConfig, load_cluster_config
from tiledsim.scheduler.cluster.supply import Connection, News
from tiledsim.scheduler.options import Where

Kind = Literal["local", "cuda", "slurm", "scheduler", "client"]


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
    dashboard: bool = False
    """Whether workers that are started here have Dask's dashboard."""

    @property
    def on_this_machine(self) -> bool:
        """Whether the workers take this machine's memory."""
        return self.kind in ("local", "cuda")

    @property
    def has_gpus(self) -> bool:
        """Whether each worker process was asked to have a GPU."""
        return bool(self.gpus) or self.config.gpus_per_job > 0

    @property
    def capability(self) -> str:
        """Compute capability of the GPUs of this machine that were chosen; empty if not known."""
        gpu = find_gpu(self.gpus[0]) if self.gpus else None
        return gpu.capability if gpu else ""

    @contextmanager
    def connect(
        self, keys_folder: Path, store: str = "", *,
        tell: Callable[[News], None] = lambda news: None,
    ) -> Iterator[Connection]:  # fmt: skip
        """Start what is to be started and give a Dask client; end what was started.

        ``keys_folder`` is a folder that the nodes of a cluster see as well, for keys of TLS;
        ``store`` is what jobs are named after, and ``tell`` is told how they wait.
        Raises BackendError where there is no answer.
        """
        match self.kind:
            case "client":
                yield Connection(self.client)
            case "scheduler":
                with self._remote() as client:
                    yield Connection(client)
            case "slurm":
                with slurm_client(self.config, keys_folder, store, tell=tell) as connection:
                    yield connection
            case "cuda":
                with gpu_client(self.gpus, dashboard=self.dashboard) as client:
                    yield Connection(client)
            case "local":
                with local_client(self.workers, self.threads, dashboard=self.dashboard) as client:
                    yield Connection(client)

    def _remote(self) -> AbstractContextManager[Any]:
        if self.scheduler is not None:
            return remote_client(self.scheduler, self.tls)
        assert self.scheduler_file is not None  # by choose_place
        return client_of_file(self.scheduler_file, self.tls)


def choose_place(where: Where, client: Any = None) -> Place:
    """Check what was asked of where to run; without anything, one process with a thread a core.

    Raises BackendError or InputFileError for choices that exclude each other, GPUs that are not
    there, files that cannot be used.
    """
    named = {
        "a client": client is not None,
        "`scheduler`": where.scheduler is not None,
        "`scheduler_file`": where.scheduler_file is not None,
        f"`cluster={where.cluster}`": where.cluster is not None,
    }
    chosen = [name for name, given in named.items() if given]
    if len(chosen) > 1:
        raise BackendError(f"{chosen[0]} and {chosen[1]} are both given; give one")
    if where.cluster_config is not None and where.cluster != "slurm":
        raise BackendError("`cluster_config` is for `cluster=slurm`; leave it out, or give both")
    tls = Tls(where.tls_ca_file, where.tls_cert, where.tls_key)
    if tls and where.scheduler is None and where.scheduler_file is None:
        raise BackendError(
            "`tls_ca_file`, `tls_cert` and `tls_key` are for `scheduler` or `scheduler_file`; "
            "leave them out"
        )
    if client is not None or where.scheduler is not None or where.scheduler_file is not None:
        for option in ("workers", "threads", "gpus"):
            if getattr(where, option) is not None:
                raise BackendError(
                    f"`{option}` is for workers that tiledsim starts; {chosen[0]} has its own, so "
                    "leave it out"
                )
        if client is not None:
            return Place("client", client=_usable(client))
        security_of(tls)
        return Place(
            "scheduler", scheduler=where.scheduler, scheduler_file=where.scheduler_file, tls=tls
        )
    if where.cluster == "slurm":
        return _slurm_place(where)
    if where.gpus is not None or where.cluster == "cuda":
        return _gpu_place(where)
    processes = where.workers or 1
    threads = where.threads or max(1, cores() // processes)
    return Place("local", processes, threads, dashboard=where.dashboard)


def _usable(client: Any) -> Any:
    """Return a Dask client that can be used from here; BackendError for another."""
    if getattr(client, "asynchronous", None) is not False:
        raise BackendError(
            f"client: {type(client).__name__} cannot be used; give a distributed.Client that is not"
            " asynchronous"
        )
    if client.status != "running":
        raise BackendError(f"client: it is {client.status}; give one that is connected")
    return client


def _gpu_place(where: Where) -> Place:
    if where.cluster == "local":
        raise BackendError("`cluster=local` and `gpus` are both given; GPUs have `cluster=cuda`")
    for option in ("workers", "threads"):
        if getattr(where, option) is not None:
            raise BackendError(
                f"`{option}` with GPUs: each GPU has a process of its own; leave it out "
                "(`gpus=0,0` puts two on one GPU), or give `backend=cpu`"
            )
    chosen = choose_gpus(where.gpus or "all")
    return Place("cuda", len(chosen), GPU_THREADS, chosen, dashboard=where.dashboard)


def _slurm_place(where: Where) -> Place:
    config = where.cluster_config
    table = ClusterConfig() if config is None else load_cluster_config(config)
    if where.gpus is not None:
        raise BackendError("`gpus` with `cluster=slurm`: give gpus_per_job in `cluster_config`")
    if where.threads is not None:
        raise BackendError(
            "`threads` with `cluster=slurm`: they are cores / processes in `cluster_config`"
        )
    each = table.worker_processes
    if where.workers is not None:
        if where.workers % each:
            raise BackendError(
                f"`workers={where.workers}`: a job has {each} worker processes; give a multiple of "
                f"{each}"
            )
        table = table.model_copy(update={"jobs": where.workers // each})
    check_slurm(table)
    return Place("slurm", table.jobs * each, table.worker_threads, config=table)
