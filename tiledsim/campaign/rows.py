"""Rows that were given: in a file, or in Python.  Checked for shape; values are checked later."""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError, InputFileError

Column = NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Rows:
    """Columns of the same length, each of numbers (float64) or of texts."""

    columns: Mapping[str, Column]
    origin: str

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def sha256(self) -> str:
        """Name the contents."""
        digest = hashlib.sha256()
        for name, values in self.columns.items():
            digest.update(f"{name}{values.dtype.str}{len(values)}".encode())
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def rows_of(table: Any, origin: str = "with_shots") -> Rows:
    """Take rows from a dict of arrays, a DataFrame or a structured array.

    Raises ExperimentError for what is none, or has columns of several lengths.
    """
    names: list[Any]
    if isinstance(table, np.ndarray):
        names = list(table.dtype.names or ())
    elif hasattr(table, "keys") and hasattr(table, "__getitem__"):
        names = list(table.keys())
    else:
        raise ExperimentError(
            f"{origin}: a table of shots must be a dict of columns, a DataFrame or a structured "
            f"array, not {type(table).__name__}"
        )
    if not names:
        raise ExperimentError(f"{origin}: the table of shots has no columns")
    return make_rows({str(name): table[name] for name in names}, origin)


def make_rows(columns: Mapping[str, Any], origin: str) -> Rows:
    """Check and convert columns."""
    made = {name: _column(name, values, origin) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in made.items()}
    first = next(iter(lengths))
    for name, length in lengths.items():
        if length != lengths[first]:
            raise ExperimentError(
                f"{origin}: column '{name}' has {length} rows, '{first}' has {lengths[first]}; "
                "give columns of one length"
            )
    if not lengths[first]:
        raise ExperimentError(f"{origin}: the table of shots has no rows")
    return Rows(made, origin)


def _column(name: str, values: Any, origin: str) -> Column:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ExperimentError(
            f"{origin}: column '{name}' has the shape {array.shape}; give one value a shot"
        )
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    texts = np.array([str(value) for value in array.tolist()])
    try:
        return texts.astype(np.float64)
    except ValueError:
        return texts


def read_rows(path: Path) -> Rows:
    """Read a table of shots from .csv, .parquet or .npz.

    Raises InputFileError for a file that is missing, of another kind or malformed.
    """
    readers = {".csv": _csv, ".parquet": _parquet, ".npz": _npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputFileError(f"{path}: a table of shots is a .csv, .parquet or .npz file")
    if not path.is_file():
        raise InputFileError(f"{path}: the table of shots does not exist")
    try:
        columns = reader(path)
    except InputFileError:
        raise
    except Exception as error:  # readers of three formats raise errors of many kinds
        what = (str(error).splitlines() or [""])[0][:200]
        raise InputFileError(f"{path}: the table of shots cannot be read: {what}") from None
    if not columns:
        raise InputFileError(f"{path}: the table of shots has no columns")
    return make_rows(columns, str(path))


def _csv(path: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        names = [name.strip() for name in next(lines, [])]
        if len(set(names)) != len(names) or "" in names:
            raise InputFileError(f"{path}, line 1: each column needs a name of its own")
        rows = []
        for line in lines:
            if not line:
                continue
            if len(line) != len(names):
                raise InputFileError(
                    f"{path}, line {lines.line_num}: {len(line)} values for {len(names)} columns"
                )
            rows.append(line)
    return {name: [row[k].strip() for row in rows] for k, name in enumerate(names)}


def _parquet(path: Path) -> dict[str, Any]:
    try:
        from pyarrow.parquet import read_table
    except ImportError:
        raise InputFileError(
            f"{path}: Parquet needs pyarrow; pip install 'tiledsim[tables]', or give .csv or .npz"
        ) from None
    table = read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


def _npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
