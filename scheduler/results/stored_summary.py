"""The summary that a finished run left in its store, and whether it is the right one."""

import json

from tiledsim.errors import StoreError
from tiledsim.io.printable import one_line
from tiledsim.scene import Scene
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.results.summarise import summarise
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files, Writer
from tiledsim.scheduler.store.layout import Layout


def has_summary(files: Files) -> bool:
    """Whether a run is finished and its summary can be read; it is made again where it cannot."""
    if "summary" not in store.read_attributes(files):
        return False
    try:
        load_summary(files).text()
    except (StoreError, TypeError, ValueError):
        return False
    return True


def summary_anew(files: Files, scene: Scene, layout: Layout) -> Summary | None:
    """Make the summary of a run from its journal; None where tiles have no record."""
    records = read_records(files, layout)
    if not records.done.all():
        return None
    return summarise(
        layout, records, scale=scene.scale_factors(), steps_per_pixel=scene.steps_per_pixel
    )


def what_is_wrong(files: Files, scene: Scene, layout: Layout) -> str:
    """Name the first part of a summary that its journal contradicts; empty where all agrees."""
    anew = summary_anew(files, scene, layout)
    if anew is None:
        return "tiles that it speaks of have no record"
    if not has_summary(files):
        return "it cannot be read"
    kept = load_summary(files).physical()
    for name, value in json.loads(json.dumps(anew.physical())).items():
        if json.loads(json.dumps(kept[name])) != value:
            return f"{name} is not what the records come to"
    return ""


def forget_wrong_summary(files: Writer, scene: Scene, layout: Layout) -> None:
    """Take a summary back that its journal contradicts; with the lease held."""
    if "summary" in store.read_attributes(files) and what_is_wrong(files, scene, layout):
        store.forget(files, "summary")


def load_summary(files: Files) -> Summary:
    """Return the summary that a finished run left in its store; StoreError if it did not finish."""
    about = store.read_attributes(files)
    if "summary" not in about:
        raise StoreError(f"{files.url}: the run is not finished; a run with `resume` finishes it")
    try:
        found = Summary.from_json(about["summary"])
        found.text()  # numbers that no run comes to may be valid and yet cannot be printed
        return found
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            f"{files.url}: its summary is damaged, or of an earlier tiledsim "
            f"({one_line(str(error), 200)}); a run with `resume` makes it again"
        ) from error
