"""The records of a finished run as arrays under ``tiles/``, for other programs to read."""

from typing import Any

import zarr

from tiledsim.scheduler.journal.record_dtype import ROW
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.store.files import Writer
from tiledsim.scheduler.store.in_memory import ZarrInMemory
from tiledsim.scheduler.store.layout import Layout

GROUP = "tiles"


def write_columns(files: Writer, layout: Layout, records: Records, run: str) -> None:
    """Write one array a field, a value a tile, in tile order; replaces those of an earlier session.

    Raises StoreError for what an object store says, OSError for a disk.

    ``worker`` is a number; the names are in the group's attribute ``workers``, the identity of the
    run is in ``run``.  The place of each tile is in ``shot``, ``panel``, ``slow_start`` …
    ``fast_stop``.  Written portion by portion, a chunk each.
    """
    files.remove(f"{GROUP}/")
    tiles = len(records)
    made = ZarrInMemory()
    group = zarr.open_group(
        made.store, path=GROUP, mode="w",
        attributes={"workers": list(records.workers), "run": run},
    )  # fmt: skip
    arrays: dict[str, zarr.Array[Any]] = {}
    written = 0
    for rows in records.portions():
        columns = {name: rows[name] for name in ROW.names or ()} | layout.places(rows["index"])
        for name, values in columns.items():
            if name not in arrays:
                arrays[name] = group.create_array(
                    name, shape=(tiles,), dtype=values.dtype, chunks=(len(values),),
                    dimension_names=("tile",),
                )  # fmt: skip
            arrays[name][written : written + len(values)] = values
        written += len(rows)
        made.hand_over(lambda key, data: files.write(key, data, durable=False))
