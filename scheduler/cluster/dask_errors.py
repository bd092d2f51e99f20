"""What Dask raises where a process or a connection is gone, as the project's own error."""

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
