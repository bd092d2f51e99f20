"""What a tile that was given up leaves for people: a file with its place and traceback."""

from collections.abc import Mapping

from tiledsim.scheduler.journal.tile_record import TileFailure
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.layout import Layout

PREFIX = "run/failures/"
MOST_LOGS = 100
"""Tiles that leave a log, the first to be given up; the others fail for the same reasons."""


def write_logs(files: Files, layout: Layout, failed: Mapping[int, TileFailure]) -> str:
    """Write the logs of tiles that were given up; return where the first of them is.

    Raises OSError where the store takes no more.
    """
    logged = [index for index in sorted(failed) if failed[index].log] or [min(failed)]
    for index in logged[:MOST_LOGS]:
        failure = failed[index]
        lines = (
            f"tile {index}: {layout.tile_at(index)}",
            f"attempts: {failure.attempt}, the last on worker {failure.worker}",
            f"error: {failure.error}",
            "",
            failure.log,
        )
        files.write(_key(index), "\n".join(lines).encode())
    return f"{files.url}/{_key(logged[0])}"


def clear_logs(files: Files) -> None:
    """Remove the logs of an earlier session, whose tiles are tried again."""
    files.remove(PREFIX)


def _key(index: int) -> str:
    return f"{PREFIX}tile-{index}.txt"
