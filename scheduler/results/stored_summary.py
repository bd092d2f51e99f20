"""The summary that a finished run left in its store."""

from tiledsim.errors import StoreError
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files


def load_summary(files: Files) -> Summary:
    """Return the summary that a finished run left in its store; StoreError if it did not finish."""
    about = store.read_attributes(files)
    if "summary" not in about:
        raise StoreError(f"{files.url}: the run is not finished; a run with `resume` finishes it")
    try:
        return Summary.from_json(about["summary"])
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{files.url}: its summary is damaged, or of an earlier tiledsim: {error!r}"
        ) from error
