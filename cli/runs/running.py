"""What ``run``, ``plan`` and ``nanobragg`` share: a run's progress and its end."""

import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tiledsim.experiment import Experiment
    from tiledsim.scene import Scene
    from tiledsim.scheduler.options import RunOptions
    from tiledsim.scheduler.results.summary import Summary

QuietOption = Annotated[
    bool, typer.Option("--quiet", help="No plan and no progress; the summary only.")
]


LEAST_MINUTES = 1e-3
"""Of a time limit, where starting has used it up: the run then says so itself."""


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
    experiment: "Experiment", scene: "Scene", store: Path | str, options: "RunOptions", *,
    quiet: bool,
) -> "Summary":  # fmt: skip
    """Run with progress, as :func:`with_progress` does; the caller prints the summary."""
    from tiledsim.scheduler import run

    def work(options: "RunOptions", callbacks: list[Callable[[Any], None]]) -> "Summary":
        return run(
            experiment, store, options, scene=scene, callbacks=callbacks, command=command_line()
        )

    return with_progress(work, options, quiet=quiet)


def with_progress(
    work: Callable[["RunOptions", list[Callable[[Any], None]]], "Summary"], options: "RunOptions",
    *, quiet: bool,
) -> "Summary":  # fmt: skip
    """Do what takes options and callbacks of a run, and show how it goes.

    Raises RunStoppedError, with what is done, on Ctrl-C, SIGTERM and at the end of the time limit,
    which counts from the start of the command.
    """
    from tiledsim.cli.runs.progress import Progress
    from tiledsim.cli.runs.stopping import minutes_left, stopping
    from tiledsim.scheduler.session.time_limit import OVERTIME

    progress = None if quiet else Progress()
    callbacks: list[Callable[[Any], None]] = [] if progress is None else [progress]
    if options.time_limit_minutes is not None:
        left = max(minutes_left(options.time_limit_minutes), LEAST_MINUTES)
        options = replace(options, time_limit_minutes=left)
    with stopping(options.time_limit_minutes) as stop:
        try:
            return work(options, callbacks)
        except KeyboardInterrupt as said:
            what = _last_words(said) or "stopped before any tile was begun"
            by = stop.by or signal.SIGINT
            if by == signal.SIGALRM:
                raise RunStoppedError(what.replace("stopped", OVERTIME, 1), 1) from None
            raise RunStoppedError(what, 128 + by) from None
        finally:
            if progress is not None:
                progress.stop()
