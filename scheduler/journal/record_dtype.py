"""Records of tiles as rows of a NumPy table: some 150 bytes a tile, checked and read at once."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.scheduler.journal.tile_record import TileRecord

RANGES = tuple(
    f"{what}_{end}" for what in ("omega", "polarization", "capture") for end in ("min", "max")
)
"""Spans of a tile; NaN where none of its pixels was looked at.  Without a correction they are 1."""

_KINDS = {"<class 'int'>": "<i8", "<class 'float'>": "<f8", "<class 'str'>": "<i4"}
_PLAIN = tuple(field.name for field in fields(TileRecord) if field.name != "ranges")

ROW = np.dtype(
    [(f.name, _KINDS[str(f.type)]) for f in fields(TileRecord) if f.name != "ranges"]
    + [(name, "<f8") for name in RANGES]
)
"""The fields of a TileRecord; ``worker`` is a number in a list of names beside the table."""


def pack(records: Iterable[TileRecord], workers: list[str]) -> NDArray[Any]:
    """Return the rows of records; names of workers that are new are added to ``workers``."""
    number = {name: i for i, name in enumerate(workers)}
    rows = []
    for record in records:
        if record.worker not in number:
            number[record.worker] = len(workers)
            workers.append(record.worker)
        values = [getattr(record, name) for name in _PLAIN]
        values[_PLAIN.index("worker")] = number[record.worker]
        rows.append((*values, *(record.ranges.get(name, np.nan) for name in RANGES)))
    return np.array(rows, dtype=ROW)


def unpack(row: Any, workers: Sequence[str]) -> TileRecord:
    """Return the record of one row."""
    values = {name: row[name].item() for name in _PLAIN} | {"worker": workers[int(row["worker"])]}
    ranges = {name: float(row[name]) for name in RANGES if not np.isnan(row[name])}
    return TileRecord(**values, ranges=ranges)


def check(rows: NDArray[Any], workers: int) -> None:
    """Raise ValueError, naming the first that is wrong, for rows that no tile can have."""
    if rows.dtype != ROW or rows.ndim != 1:
        raise ValueError("the table of tiles has other columns")
    wrong = {
        "index": rows["index"] < 0,
        "attempt": rows["attempt"] < 1,
        "worker": (rows["worker"] < 0) | (rows["worker"] >= workers),
        "inside": rows["inside"] < 0,
        "rendered": (rows["rendered"] < 0) | (rows["rendered"] > rows["inside"]),
        "crc32": (rows["crc32"] < 0) | (rows["crc32"] > 0xFFFFFFFF),
        "maximum_slow": rows["maximum_slow"] < 0,
        "maximum_fast": rows["maximum_fast"] < 0,
    }
    for name in ("render_seconds", "write_seconds", "total_sqr", "spread", "maximum", "bound"):
        wrong[name] = ~(np.isfinite(rows[name]) & (rows[name] >= 0))
    wrong["total"] = ~np.isfinite(rows["total"])
    for name in RANGES:
        wrong[name] = np.isinf(rows[name])
    for name, bad in wrong.items():
        if bad.any():
            first = rows[np.flatnonzero(bad)[0]]
            raise ValueError(f"{name} of tile {first['index']} cannot be {first[name]}")
