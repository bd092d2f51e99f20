"""What ``run``, ``plan`` and ``nanobragg`` share: options of a run, its progress, its end."""

import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tiledsim.experiment import Experiment
    from tiledsim.scene import Scene
    from tiledsim.scheduler.results.summary import Summary

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="N",
        help="Worker processes on this machine, or of all SLURM jobs.  Without it, one process "
        "here with a thread a core.",
    ),
]  # fmt: skip
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, metavar="N", help="Threads of each worker."),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS",
        help="Use the Dask scheduler at this address (tcp://host:8786, tls://host:8786) and its "
        "workers.",
    ),
]  # fmt: skip
SchedulerFileOption = Annotated[
    Path | None,
    typer.Option(
        "--scheduler-file", metavar="FILE",
        help="Use the Dask scheduler that writes its address into this file; waits for the file.",
    ),
]  # fmt: skip
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="local|cuda|slurm",
        help="Start workers: on this machine's cores (the default), a process for each of its "
        "GPUs, or as SLURM jobs.",
    ),
]  # fmt: skip
ClusterConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--cluster-config", metavar="FILE",
        help="TOML with a [cluster] table: queue, account, walltime, cores, memory, jobs … "
        "(docs/slurm.md).",
    ),
]  # fmt: skip
GpusOption = Annotated[
    str | None,
    typer.Option(
        "--gpus", metavar="all|N|0,2",
        help="A worker process for each of these GPUs of this machine; implies --backend cuda.",
    ),
]  # fmt: skip
TlsCaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca-file", metavar="FILE",
        help="For a tls:// scheduler, as in Dask's commands: who signed its certificate.  Without "
        "these three, Dask's configuration counts.",
    ),
]  # fmt: skip
TlsCertOption = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Our certificate.")
]
TlsKeyOption = Annotated[
    Path | None,
    typer.Option("--tls-key", metavar="FILE", help="Its key, unless it is in the same file."),
]
TimeLimitOption = Annotated[
    float | None,
    typer.Option(
        "--time-limit", min=0.0, max=1e6, metavar="MINUTES",
        help="End by then: begin no tile that would not be ready in time, exit with status 1, and "
        "go on with --resume.",
    ),
]  # fmt: skip
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", help="Keep Dask's performance report."),
]
TileOption = Annotated[
    tuple[int, int] | None,
    typer.Option(
        "--tile", metavar="ROWS COLS",
        help="Pixels of a tile, rounded up to whole shards; the bytes stored do not depend on it.",
    ),
]  # fmt: skip
BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="auto|cpu|cuda|any",
        help="The kernel that renders: auto takes CUDA where it can be used; any lets each "
        "worker take what it has.",
    ),
]
DtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype", metavar="float64|mixed", help="Precision of the arithmetic; mixed needs a GPU."
    ),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace an existing store of tiledsim.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue a run that was cut short.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", help="No plan and no progress; the summary only.")
]


class RunStoppedError(Exception):
    """A run that was stopped, and the exit status for it.

    Typer would swallow what a KeyboardInterrupt says.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def command_line() -> str:
    """Return the command as it was typed."""
    return shlex.join(["tiledsim", *sys.argv[1:]])


def announce(experiment: "Experiment", scene: "Scene") -> None:
    """Print what was chosen automatically and costs much."""
    from tiledsim.description import announcements

    for line in announcements(experiment, scene):
        print(f"tiledsim: note: {line}", file=sys.stderr)


def _last_words(stopped: BaseException | None) -> str:
    """Return what a run said when it was stopped, also where a second signal cut its end short."""
    while stopped is not None:
        if isinstance(stopped, KeyboardInterrupt) and str(stopped):
            return str(stopped)
        stopped = stopped.__context__
    return ""


def execute(
    experiment: "Experiment", scene: "Scene", store: Path | str, *, quiet: bool,
    time_limit_minutes: float | None, **options: Any,
) -> "Summary":  # fmt: skip
    """Run with progress; the caller prints the summary.

    Raises RunStoppedError, with what is done, on Ctrl-C, SIGTERM and at the end of the time limit,
    which counts from the start of the command.
    """
    from tiledsim.cli.progress import Progress
    from tiledsim.cli.stopping import minutes_left, stopping
    from tiledsim.scheduler import run
    from tiledsim.scheduler.session.time_limit import OVERTIME

    progress = None if quiet else Progress()
    callbacks: list[Callable[[Any], None]] = [] if progress is None else [progress]
    left = None if time_limit_minutes is None else minutes_left(time_limit_minutes)
    with stopping(left) as stop:
        try:
            return run(
                experiment, store, scene=scene, callbacks=callbacks, command=command_line(),
                time_limit_minutes=left, **options,
            )  # fmt: skip
        except KeyboardInterrupt as said:
            what = _last_words(said) or "stopped before any tile was begun"
            by = stop.by or signal.SIGINT
            if by == signal.SIGALRM:
                raise RunStoppedError(what.replace("stopped", OVERTIME, 1), 1) from None
            raise RunStoppedError(what, 128 + by) from None
        finally:
            if progress is not None:
                progress.stop()
