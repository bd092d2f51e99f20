"""What a tile that was given up leaves for people: a file with its place and traceback."""

from collections.abc import Mapping

from tiledsim.scheduler.files import Files
from tiledsim.scheduler.records import TileFailure
from tiledsim.scheduler.tiles import Layout

PREFIX = "run/failures/"
MOST_LOGS = 100
"""Tiles that leave a log; what fails more often fails for the same reason."""


def write_logs(files: Files, layout: Layout, failed: Mapping[int, TileFailure]) -> str:
    """Write the logs of tiles that were given up; return where that of the first one is.

    Raises OSError where the store takes no more.
    """
    for index in sorted(failed)[:MOST_LOGS]:
        failure = failed[index]
        lines = (
            f"tile {index}: {layout.tile_at(index)}",
            f"attempts: {failure.attempt}, the last on worker {failure.worker}",
            f"error: {failure.error}",
            "",
            failure.log,
        )
        files.write(_key(index), "\n".join(lines).encode())
    return f"{files.url}/{_key(min(failed))}"


def clear_logs(files: Files) -> None:
    """Remove the logs of an earlier session, whose tiles are tried again."""
    files.remove(PREFIX)


def _key(index: int) -> str:
    return f"{PREFIX}tile-{index}.txt"
