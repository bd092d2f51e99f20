"""``tiledsim watch``: how far a run is, from another terminal."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiledsim.cli.terminal import drawing_stream
from tiledsim.io.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from tiledsim.scheduler.results.watch import Snapshot, Watcher


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("watch")(watch)


def watch(
    store: Annotated[str, typer.Argument(metavar="OUT.zarr", help="The store of a run.")],
    once: Annotated[bool, typer.Option("--once", help="Print it once, for scripts.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, an object a line; with --once, one.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.2, metavar="SECONDS", help="How often to look.")
    ] = 2.0,
) -> None:
    """Show tiles done, failed and retried, rate, time left, workers and a map of the detector.

    Reads the store only, a folder or s3://bucket/key, and may be started and ended at any time.
    Ends when the run is finished or has stopped.  In the map, a character stands for one tile or
    several, over all shots: · nothing is done, ░▒▓ a part, █ all, × a tile failed.

    \b
    Examples:
      tiledsim watch image.zarr
      tiledsim watch s3://bucket/image.zarr --once --json
    """
    import sys

    from rich.console import Console

    from tiledsim.scheduler.results.watch import Watcher
    from tiledsim.scheduler.store.files import open_files

    watcher = Watcher(open_files(store))
    console = Console(file=drawing_stream(sys.stdout))
    if as_json:
        _follow(watcher, every, once, lambda seen: print(json.dumps(seen.to_json()), flush=True))
    elif once or not console.is_terminal:
        _follow(watcher, every, once, lambda seen: print(text_of(watcher, seen, console)))
        sys.stdout.flush()
    else:
        from rich.live import Live
        from rich.text import Text

        with Live(console=console, auto_refresh=False) as live:
            _follow(
                watcher, every, once,
                lambda seen: live.update(
                    Text(printable(text_of(watcher, seen, console))), refresh=True
                ),
            )  # fmt: skip


def _follow(watcher: "Watcher", every: float, once: bool, show: Any) -> None:
    """Look and show until the run is over; a long look is followed by a long pause."""
    while True:
        started = time.monotonic()
        seen = watcher.look()
        show(seen)
        if once or seen.state != "running":
            return
        time.sleep(max(every, 2 * (time.monotonic() - started)))


def text_of(watcher: "Watcher", seen: "Snapshot", console: "Console") -> str:
    """Return a snapshot for people, with the map of the detector."""
    from tiledsim.cli.runs.progress import map_lines

    lines = [numbers_of(seen)]
    lines += map_lines(watcher.layout.grid, watcher.done, watcher.failed, console)
    return "\n".join(lines)


def numbers_of(seen: "Snapshot") -> str:
    """Return a snapshot in a line or two."""
    from tiledsim.scheduler.session.plan import human_seconds

    percent = 100 * seen.done // max(seen.tiles, 1)
    words = [f"{seen.state}: {seen.done:,} of {seen.tiles:,} tiles done ({percent} %)"]
    if seen.failed:
        words.append(f"{seen.failed:,} failed")
    if seen.retried:
        words.append(f"{seen.retried:,} retried")
    if seen.lost_workers:
        words.append(f"{seen.lost_workers:,} workers lost")
    if seen.state == "running":
        left = "?" if seen.seconds_left is None else human_seconds(seen.seconds_left)
        words.append(f"{seen.tiles_per_second:.3g} tiles/s, {left} left")
        words.append(f"{seen.workers:,} worker(s) with {seen.threads:,} thread(s)")
    elif seen.state == "stopped":
        words.append("tiledsim run --resume continues")
    return "; ".join(words)
