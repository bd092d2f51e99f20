"""What zarr writes, in memory first: the driver puts it into its store as it puts all else.

zarr itself knows no lease, and would write whatever has happened to the store meanwhile.
"""

from collections.abc import Callable
from typing import Any

from zarr.storage import MemoryStore


class ZarrInMemory:
    """A store of zarr in memory, which is emptied into another place piece by piece."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}
        self._written: dict[str, bytes] = {}
        self.store = MemoryStore(self._kept)
        """For zarr to write to."""

    def hand_over(self, put: Callable[[str, bytes], object]) -> None:
        """Put what was written since the last call; chunks are forgotten then.

        The document of the root, which the driver writes last, is passed over.
        """
        for key, value in list(self._kept.items()):
            data = bytes(value.to_bytes())
            is_document = key.rpartition("/")[2] == "zarr.json"
            if key != "zarr.json" and self._written.get(key) != data:
                put(key, data)
            if is_document:
                self._written[key] = data
            else:
                del self._kept[key]
