"""Zarr's documents of groups and arrays, written here: zarr takes a tenth of a second for them."""

import json
from collections.abc import Mapping

from tiledsim.errors import StoreError
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


def lengthen_document(files: Writer, path: str, length: int) -> None:
    """Give the first dimension of an array another length; its chunks stay as they are."""

    def longer(data: bytes | None) -> bytes:
        document = json.loads(data or b"{}")
        if "shape" not in document:
            raise StoreError(f"{files.url}/{path}: the description of this array is missing")
        document["shape"][0] = length
        return json.dumps(document, indent=2).encode()

    files.change(f"{path}/zarr.json", longer)
