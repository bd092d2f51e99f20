"""Zarr's documents of groups and arrays, written here: zarr takes a tenth of a second for them."""

import json
from collections.abc import Mapping

from tiledsim.scheduler.store.files import Writer


def write_document(
    files: Writer,
    path: str,
    kind: str,
    attributes: Mapping[str, object],
    more: Mapping[str, object],
) -> None:
    """Write ``zarr.json`` of a group or an array; ``more`` is what an array has beside that."""
    document = {"zarr_format": 3, "node_type": kind, "attributes": attributes, **more}
    files.make(f"{path}/zarr.json", json.dumps(document, indent=2).encode())
