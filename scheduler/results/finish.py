"""The end of a run: its records as a summary and as columns, once every tile has one."""

from tiledsim.errors import RunError
from tiledsim.scene import Scene
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.zarr_columns import write_columns
from tiledsim.scheduler.results.summarise import summarise
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store import pyramid
from tiledsim.scheduler.store.files import what_failed
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.lease import Lease


def finish(lease: Lease, run: str, layout: Layout, scene: Scene) -> Summary:
    """Write the summary of a run whose tiles are all done, and return it; with the lease held.

    Raises RunError where a record is missing or the store takes no more.
    """
    files = lease.files
    records = Records(Journal(files, run), layout.tiles)
    if not records.done.all():  # an object store may let an old write win over a new one
        raise RunError(
            f"{files.url}: the journal has {len(records):,} of {layout.tiles:,} tiles, though all "
            "were written to it; `resume` renders the others again"
        )
    summary = summarise(
        layout, records, scale=scene.scale_factors(), steps_per_pixel=scene.steps_per_pixel
    )
    try:
        lease.check()
        store.sweep_partial_files(files)
        write_columns(files, layout, records, run)
        if levels := pyramid.find(files, layout):
            levels.finish(files)
        store.update_attributes(files, run, {"summary": summary.to_json()})
    except OSError as error:
        raise RunError(
            f"{what_failed(files, error)}; all tiles are done, but not the summary; `resume` "
            "makes it"
        ) from error
    return summary
