"""Which tiles are done: a sequence of small files of records, written by the driver alone.

A part is written whole and never touched again, so nothing half-written can be read, in a folder
as in an object store.  A chunk's presence in the image proves nothing; a record here does.
"""

import json
import re
from collections.abc import Iterable

from tiledsim.errors import StoreError
from tiledsim.scheduler.files import Files
from tiledsim.scheduler.records import TileRecord

PREFIX = "run/journal/"


class Journal:
    """The records of a store."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._next = 1 + max((int(key[len(PREFIX) : -6]) for key in self._parts()), default=-1)

    def _parts(self) -> list[str]:
        keys = sorted(self._files.keys(PREFIX))
        for key in keys:
            if not re.fullmatch(r"\d{8}\.jsonl", key[len(PREFIX) :]):
                raise StoreError(
                    f"{self._files.url}/{key[:200]!r} is no part of a journal; remove it"
                )
        return keys

    def append(self, records: Iterable[TileRecord]) -> None:
        """Write records as the next part, durably.

        Raises StoreError where another driver has written that part: it is never replaced.
        """
        lines = [json.dumps(record.to_row(), separators=(",", ":")) for record in records]
        if not lines:
            return
        text = "\n".join(lines) + "\n"
        if not self._files.create(f"{PREFIX}{self._next:08d}.jsonl", text.encode()):
            raise StoreError(f"{self._files.url}: another process writes the journal of this store")
        self._next += 1

    def read(self, tiles: int) -> dict[int, TileRecord]:
        """Return the records by tile number; the first record of a tile counts.

        Raises StoreError for a part that was damaged or that speaks of tiles the run has not.
        """
        records: dict[int, TileRecord] = {}
        for key in self._parts():
            data = self._files.read(key) or b""
            for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
                try:
                    record = TileRecord.from_row(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise StoreError(
                        f"{self._files.url}/{key}, line {number}: the journal is damaged: "
                        f"{str(error)[:200]}; "
                        "render anew with --overwrite"
                    ) from None
                if not 0 <= record.index < tiles:
                    raise StoreError(
                        f"{self._files.url}/{key}, line {number}: tile {record.index} of a run of "
                        f"{tiles} tiles; the journal does not belong to this store"
                    )
                records.setdefault(record.index, record)
        return records

    def rewrite(self, records: dict[int, TileRecord]) -> None:
        """Replace all parts by one with these records in tile order."""
        old = self._parts()
        self.append(records[index] for index in sorted(records))
        for key in old:
            self._files.delete(key)
