"""The records of a finished run as arrays under ``tiles/``, for other programs to read."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import zarr

from tiledsim.scheduler.files import Files
from tiledsim.scheduler.records import TileRecord
from tiledsim.scheduler.tiles import Layout

_RANGES = tuple(
    f"{what}_{end}" for what in ("omega", "polarization", "capture") for end in ("min", "max")
)


def write_columns(files: Files, layout: Layout, records: Mapping[int, TileRecord]) -> None:
    """Write one array a field, a value a tile, in tile order; replaces those of an earlier session.

    ``worker`` is a number; the names are in the group's attribute ``workers``.  The place of each
    tile is in ``shot``, ``panel``, ``slow_start`` … ``fast_stop``.
    """
    rows = [records[index] for index in sorted(records)]
    workers = sorted({row.worker for row in rows})
    columns: dict[str, np.ndarray[tuple[int], np.dtype[np.generic]]] = {}
    for column in fields(TileRecord):
        if column.name == "worker":
            number = {name: i for i, name in enumerate(workers)}
            columns["worker"] = np.array([number[row.worker] for row in rows], dtype=np.int64)
        elif column.name == "ranges":
            for name in _RANGES:
                columns[name] = np.array([row.ranges.get(name, np.nan) for row in rows])
        else:
            columns[column.name] = np.array([getattr(row, column.name) for row in rows])
    tiles = [layout.tile_at(row.index) for row in rows]
    for name in ("shot", "panel", "slow_start", "slow_stop", "fast_start", "fast_stop"):
        columns[name] = np.array([getattr(tile, name) for tile in tiles], dtype=np.int64)
    group = zarr.open_group(files.zarr(), path="tiles", mode="w", attributes={"workers": workers})
    for name, values in columns.items():
        group.create_array(
            name, data=values, chunks=(min(len(values), 100_000),), dimension_names=("tile",)
        )
