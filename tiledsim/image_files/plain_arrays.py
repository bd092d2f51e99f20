"""Pixels alone: NumPy files and raw ones."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np


def write_npy(path: Path, rows: Iterable[bytes], shape: tuple[int, ...], dtype: str) -> None:
    """Write a .npy file of an array of a shape; ``rows`` are its bytes in C order."""
    from numpy.lib.format import write_array_header_1_0

    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    with path.open("wb") as out:
        write_array_header_1_0(out, header)
        out.writelines(rows)


def write_raw(path: Path, rows: Iterable[bytes]) -> None:
    """Write pixels and nothing else."""
    with path.open("wb") as out:
        out.writelines(rows)
