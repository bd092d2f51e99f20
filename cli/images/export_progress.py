"""The progress of an export on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def showing(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function that is told bands done and in all; None where nothing is to be shown."""
    import sys

    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("export", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
