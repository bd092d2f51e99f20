"""What Dask raises where a process or a connection is gone, as the project's own error."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tiledsim.errors import RunError, TiledsimError

CONNECTION_LOST = "the connection to the Dask scheduler is lost"


@contextmanager
def told_as(what: str) -> Iterator[None]:
    """Let what Dask raises be RunError, in one line that begins with ``what``.

    To be put around calls of Dask alone: others' errors are their own.
    """
    try:
        yield
    except TiledsimError:
        raise
    except (OSError, RuntimeError, TimeoutError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise RunError(f"{what}: {type(error).__name__}: {first}".rstrip(": ")) from error


@contextmanager
def silent(*names: str, below: int = logging.CRITICAL + 1) -> Iterator[None]:
    """Let loggers of Dask in this process say nothing below a level, by default nothing at all.

    For what is told in pages there and matters only as an error of our own.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(below)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
