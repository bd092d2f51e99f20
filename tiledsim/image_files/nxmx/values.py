"""Values in a NeXus file, written so that every reader of it understands them.

Texts are ASCII of fixed length with one byte more than they need: XDS' plugin durin rejects the
variable UTF-8 that h5py writes by default, and cuts the last letter of a text that fills its field.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIBVER = ("earliest", "v110")
"""HDF5 1.10 and later read it; 1.8 has no virtual data sets.  Without this, HDF5 2 writes files
that 1.10 cannot open."""


def ascii_text(text: str) -> NDArray[np.bytes_]:
    """Return a text as a fixed-length ASCII string with room for its end."""
    data = text.encode("ascii", "replace")
    return np.array(data, dtype=f"S{len(data) + 1}")


def make_group(parent: Any, name: str, nx_class: str) -> Any:
    """Make a group of a NeXus class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = ascii_text(nx_class)
    return group


def put_text(group: Any, name: str, text: str) -> None:
    """Write a text."""
    group.create_dataset(name, data=ascii_text(text))


def put_number(
    group: Any, name: str, value: ArrayLike, units: str = "", dtype: str = "f8", **attributes: Any
) -> None:
    """Write a number or an array of numbers, with its units and other attributes."""
    dataset = group.create_dataset(name, data=np.array(value, dtype=dtype))
    if units:
        dataset.attrs["units"] = ascii_text(units)
    for key, content in attributes.items():
        dataset.attrs[key] = ascii_text(content) if isinstance(content, str) else content


def put_axis(
    group: Any, name: str, value: ArrayLike, *, kind: str, units: str, vector: ArrayLike,
    depends_on: str, offset_mm: ArrayLike | None = None,
) -> None:  # fmt: skip
    """Write one axis of a chain of transformations, ``kind`` "rotation" or "translation"."""
    more: dict[str, Any] = {}
    if offset_mm is not None:
        more = {"offset": np.asarray(offset_mm, dtype="f8"), "offset_units": "mm"}
    put_number(
        group, name, value, units, transformation_type=kind,
        vector=np.asarray(vector, dtype="f8"), depends_on=depends_on, **more,
    )  # fmt: skip
