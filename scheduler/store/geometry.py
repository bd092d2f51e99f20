"""The resolved geometry of a run, as a group of named arrays in its store."""

from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray

from tiledsim.errors import StoreError
from tiledsim.experiment import Experiment
from tiledsim.scene import Scene
from tiledsim.scene.resolved import Named, crystals, resolved_arrays, resolved_numbers
from tiledsim.scheduler.store.documents import write_document
from tiledsim.scheduler.store.files import Files, Writer, through_zarr

GROUP = "geometry"
CRYSTALS = "crystal_A"
CRYSTALS_AT_ONCE: Final = 2**16
"""Shots in a chunk of the crystals' array."""


def write_geometry(files: Writer, experiment: Experiment, scene: Scene) -> None:
    """Write the arrays and numbers; the driver does, while it makes the store.

    Each array but the crystals' is one chunk as it is in memory.  The documents are written here,
    not by zarr, which takes a tenth of a second for them.
    """
    write_document(files, GROUP, "group", resolved_numbers(experiment, scene), {})
    for name, named in resolved_arrays(experiment, scene).items():
        _describe(files, name, named, len(named.values), len(named.values))
        _write_chunk(files, name, 0, named.values)
    write_crystals(files, scene)


def write_crystals(files: Writer, scene: Scene) -> None:
    """Write the crystals of all shots, CRYSTALS_AT_ONCE in a chunk, where none are."""
    shots = scene.shape[0]
    chunk = min(shots, CRYSTALS_AT_ONCE)
    for number, first in enumerate(range(0, shots, chunk)):
        some = crystals(scene, first, min(first + chunk, shots))
        if not first:
            _describe(files, CRYSTALS, some, shots, chunk)
        values = np.zeros((chunk, 3, 3))
        values[: len(some.values)] = some.values
        _write_chunk(files, CRYSTALS, number, values)


def _describe(files: Writer, name: str, named: Named, length: int, chunk: int) -> None:
    rest = named.values.shape[1:]
    about = {"units": named.units, "long_name": named.meaning}
    grid = {"name": "regular", "configuration": {"chunk_shape": (chunk, *rest)}}
    write_document(files, f"{GROUP}/{name}", "array", about, {
        "shape": (length, *rest),
        "data_type": "float64",
        "chunk_grid": grid,
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "dimension_names": named.dimensions,
        "storage_transformers": [],
    })  # fmt: skip


def _write_chunk(files: Writer, name: str, number: int, values: NDArray[np.float64]) -> None:
    place = "/".join(["c", str(number), *("0" for _ in values.shape[1:])])
    data = np.ascontiguousarray(values, dtype="<f8").tobytes()
    files.make(f"{GROUP}/{name}/{place}", data)


def read_geometry(files: Files) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
    """Return the arrays by name, and the numbers.

    Raises StoreError for a store without them, or with values that are not finite.
    """
    try:
        with through_zarr(files):
            group = zarr.open_group(files.zarr(), path=GROUP, mode="r", zarr_format=3)
            found = {name: np.asarray(array[...]) for name, array in group.arrays()}
            about = dict(group.attrs)
    except FileNotFoundError:
        raise StoreError(
            f"{files.url} has no geometry beside its image: an earlier tiledsim made it; render "
            "it anew with --overwrite"
        ) from None
    except StoreError:
        raise
    except Exception as error:  # zarr raises errors of many kinds for what it cannot read
        what = (str(error).splitlines() or [""])[0][:200]
        raise StoreError(f"{files.url}: its geometry cannot be read: {what}") from None
    for name, values in found.items():
        if values.dtype.kind != "f" or not np.isfinite(values).all():
            raise StoreError(f"{files.url}: geometry/{name} is damaged: not finite numbers")
    return found, about
