"""Dask's own performance report of a run, as one HTML file."""

import contextlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiledsim.errors import BackendError, RunError, StoreError


def check_report(file: Path) -> None:
    """Raise BackendError or StoreError if a report could not be written, before a run starts."""
    if importlib.util.find_spec("bokeh") is None:
        raise BackendError(
            f'`report={file}`: Dask\'s report needs bokeh: pip install "tiledsim[dashboard]"'
        )
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise StoreError(f"`report={file}`: cannot be written; its folder must exist")


@contextmanager
def performance_report(client: Any, file: str | Path | None) -> Iterator[None]:
    """Keep Dask's report of what happens inside, in a file that needs nothing from elsewhere.

    A run that fails has one too, unless its scheduler is gone.  Raises BackendError where the
    scheduler, which makes the report, has no bokeh, and RunError if the report of a finished run
    could not be made.
    """
    if file is None:
        yield
        return
    from distributed import performance_report as dask_report

    try:
        client.run_on_scheduler(importlib.metadata.version, "bokeh")
    except importlib.metadata.PackageNotFoundError:
        raise BackendError(
            f"`report={file}`: the scheduler makes it and has no bokeh; pip install bokeh there"
        ) from None
    report = dask_report(filename=str(file), mode="inline")
    with client.as_current():
        report.__enter__()
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception), client.as_current():
            report.__exit__(None, None, None)
        raise
    try:
        with client.as_current():
            report.__exit__(None, None, None)
    except Exception as error:  # of Dask, bokeh or the disk
        raise RunError(f"the run is finished, but `report={file}` was not made: {error}") from None
