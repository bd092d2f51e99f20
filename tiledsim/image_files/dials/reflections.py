"""DIALS' reflection table (.refl): columns of numbers in MessagePack.

The form: ``dxtbx/src/dxtbx/array_family/flex_table_suite.h``, version 1 of
``dials::af::reflection_table``; each column is its type, its length and its bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.vectors import Array

PREDICTED = 1
"""DIALS' flag for a reflection whose position was predicted."""


@dataclass(frozen=True)
class Reflections:
    """Reflections that cross the Ewald sphere, n of them."""

    experiment: NDArray[np.int32]
    """Number in the experiment list [n]."""
    hkl: NDArray[np.int32]
    """[n, 3]."""
    panel: NDArray[np.int64]
    """[n]."""
    position_px: Array
    """Fast, slow from the outer corner of pixel 0,0, and image, counted from its start [n, 3]."""
    position_mm: Array
    """Fast, slow, and angle of the spindle in radians [n, 3]."""
    s1: Array
    """Diffracted wave vector [n, 3] in Å⁻¹."""
    entering: NDArray[np.bool_]
    """Whether the reflection enters the sphere [n]."""
    photons: Array
    """Expected in the whole spot [n]."""


def write_refl(path: Path, table: Reflections, identifiers: Sequence[str]) -> None:
    """Write a reflection table; ``identifiers`` are those of the experiment list."""
    import msgpack

    n = len(table.hkl)
    columns: dict[str, tuple[str, NDArray[Any], str]] = {
        "id": ("int", table.experiment, "<i4"),
        "miller_index": ("cctbx::miller::index<>", table.hkl, "<i4"),
        "panel": ("std::size_t", table.panel, "<u8"),
        "xyzcal.px": ("vec3<double>", table.position_px, "<f8"),
        "xyzcal.mm": ("vec3<double>", table.position_mm, "<f8"),
        "s1": ("vec3<double>", table.s1, "<f8"),
        "entering": ("bool", table.entering, "?"),
        "flags": ("std::size_t", np.full(n, PREDICTED), "<u8"),
        "expected.photons": ("double", table.photons, "<f8"),
    }
    data = {
        name: [kind, [n, np.ascontiguousarray(values, dtype=dtype).tobytes()]]
        for name, (kind, values, dtype) in columns.items()
    }
    about = {"identifiers": dict(enumerate(identifiers)), "nrows": n, "data": data}
    path.write_bytes(msgpack.packb(["dials::af::reflection_table", 1, about], use_bin_type=True))
