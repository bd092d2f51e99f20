"""The progress of a run on standard error: a bar with the detector as it fills, or plain lines."""

import contextlib
import importlib.util
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tiledsim.cli.terminal import drawing_stream
from tiledsim.io.printable import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from tiledsim.scheduler.session.plan import Plan

MAP_FROM_ROWS = 24
"""A terminal of so many rows has room for the map above the bar."""
OTHER_ROWS = 12
"""Rows that are left to the plan, the bar and messages."""
LINE_SECONDS = 10.0
"""Without a terminal, a line so often."""


def plan_lines(plan: "Plan") -> list[str]:
    """Return what a run will do."""
    return [f"{name:9} {value}" for name, value in plan.lines()]


def map_lines(
    grid: tuple[int, int, int, int], done: "NDArray[np.bool_]", failed: "NDArray[np.bool_]",
    console: "Console",
) -> list[str]:  # fmt: skip
    """Return the map of the detector for a console: none where it has no room, or for one tile."""
    from tiledsim.scheduler.results.detector_map import Grid, draw

    if done.size < 2 or (console.is_terminal and console.height < MAP_FROM_ROWS):
        return []
    tiles = Grid(*grid)
    rows = console.height - OTHER_ROWS if console.is_terminal else MAP_FROM_ROWS
    return draw(
        tiles.share(done), tiles.share(failed), columns=console.width - 1, rows=rows,
        plain="utf" not in console.encoding.lower(),
    )  # fmt: skip


class Progress:
    """A callback.  On a terminal it draws twice a second; elsewhere it prints now and then."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.status import Status

        self._console = Console(file=drawing_stream(sys.stderr))
        self._waiting: Status | None = None
        self._live: Live | None = None
        self._started = self._said = 0.0
        self._new = self._total = self._before = self._retried = self._lost = 0
        self._gone = False
        self._given_up: set[int] = set()
        self._workers = 0
        self._what = self._jobs = ""
        self._grid = (1, 1, 1, 1)
        self._done: Any = None
        self._failing: Any = None

    def __call__(self, event: Any) -> None:
        """Take an event of a run.  Where nobody can be told any more, the run goes on."""
        if self._gone:
            return
        try:
            self._take(event)
        except OSError:  # a terminal that was closed, a pipe whose reader has ended
            self._gone = True

    def _take(self, event: Any) -> None:
        from tiledsim.scheduler.session import events

        match event:
            case events.Connecting():
                self._connect(event)
            case events.RunStarted():
                self._start(event)
            case events.WorkersCounted():
                self._workers, self._lost = event.workers, event.lost
            case events.WorkersAwaited():
                self._say(
                    f"no worker for {event.seconds:.0f} s: the run waits until some join the "
                    "scheduler; Ctrl-C stops it, and --resume continues"
                )
            case events.WorkerDismissed():
                self._say(f"worker {event.worker} leaves the run: {event.reason}")
            case events.JobsTold():
                self._tell_jobs(event)
            case events.TilesDone():
                self._new += len(event.records)
                self._failing[[record.index for record in event.records]] = False
                self._print_now_and_then()
            case events.TileRetried():
                self._retried += 1
                self._failing[event.index] = True
                self._say(f"tile {event.index}: attempt {event.attempt} failed: {event.reason}")
            case events.TileFailed():
                self._given_up.add(event.index)
                self._failing[event.index] = True
                self._say(f"tile {event.index}: given up: {event.reason}")
            case events.RunFinished():
                self.stop()

    def _say(self, line: str) -> None:
        """Print a line above the bar, as it is: brackets in it are no markup."""
        self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def _tell_jobs(self, event: Any) -> None:
        """Show how the jobs of a batch system wait, where something is shown."""
        self._jobs = printable(event.state)
        for line in event.lines:
            self._say(line)
        if self._waiting is not None:
            self._waiting.update("; ".join(filter(None, (self._what, self._jobs))))

    def _connect(self, event: Any) -> None:
        """Show that workers are waited for, as long as they are: a refusal stays one line."""
        self._what = {
            "slurm": f"waiting for the first of {event.workers:,} worker(s) of SLURM",
            "scheduler": "waiting for the scheduler and its first worker",
        }.get(event.kind, "starting workers")
        if self._console.is_terminal:
            self._waiting = self._console.status(self._what)
            self._waiting.start()

    def _start(self, event: Any) -> None:
        import numpy as np
        from rich.live import Live

        self.stop()
        for line in plan_lines(event.plan):
            print(line, file=sys.stderr)
        if event.done:
            print(f"resumed   {event.done:,} tiles are done already", file=sys.stderr)
        if event.dashboard:
            without = importlib.util.find_spec("bokeh") is None
            note = '  (its pages need bokeh: pip install "tiledsim[dashboard]")' if without else ""
            print(f"dashboard {event.dashboard}{note}", file=sys.stderr)
        self._before, self._total = event.done, event.plan.tiles
        self._workers, self._grid, self._done = event.workers, event.grid, event.done_tiles
        self._failing = np.zeros(self._done.shape, dtype=np.bool_)
        self._started = self._said = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._draw, console=self._console, refresh_per_second=2,
                redirect_stdout=False,
            )  # fmt: skip
            self._live.start()

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        shown = map_lines(self._grid, self._done, self._failing, self._console)
        row = Table.grid(padding=(0, 1))
        done = self._before + self._new
        row.add_row(ProgressBar(total=self._total, completed=done, width=20), Text(self._line()))
        return Group(*map(Text, shown), row)

    def _line(self) -> str:
        return "; ".join(self._words())

    def _words(self) -> Iterable[str]:
        from tiledsim.scheduler.session.plan import human_seconds

        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = self._new / seconds
        done = self._before + self._new
        yield f"{done:,} of {self._total:,} tiles"
        if self._given_up:
            yield f"{len(self._given_up):,} failed"
        if self._retried:
            yield f"{self._retried:,} tried again"
        yield f"{rate:.3g} tiles/s"
        left = self._total - done - len(self._given_up)
        yield f"{human_seconds(left / rate)} left" if rate else "time left unknown"
        yield f"{self._workers:,} worker(s)"
        if self._lost:
            yield f"{self._lost:,} lost"
        if self._jobs:
            yield self._jobs

    def _print_now_and_then(self) -> None:
        now = time.monotonic()
        left = self._total - self._before - self._new
        if not self._console.is_terminal and now - self._said > LINE_SECONDS and left:
            self._said = now
            print(self._line(), file=sys.stderr)

    def stop(self) -> None:
        """Give the terminal back."""
        for shown in (self._waiting, self._live):
            if shown is not None:
                with contextlib.suppress(OSError):  # it is gone
                    shown.stop()
        self._waiting = self._live = None
