"""Which tiles are done: a sequence of files of records, written by the driver alone.

A file is replaced whole or not at all, in a folder as in an object store, so nothing half-written
can be read.  The newest file of a session grows with each flush until it holds some thousand
records; then the next one begins.  So a run of a million tiles has some hundred files, none is ever
merged or deleted, and a driver that is killed at any moment leaves what it had flushed.  A chunk's
presence in the image proves nothing; a record here does.
"""

import re
import uuid
from collections.abc import Iterable, Sequence

import numpy as np

from tiledsim.errors import StoreError
from tiledsim.scheduler.journal.journal_file import FAILURE, Part, Session
from tiledsim.scheduler.journal.record_dtype import pack
from tiledsim.scheduler.journal.tile_record import TileFailure, TileRecord
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.shards import ROOT, run_of

PREFIX = "run/journal/"
SUFFIX = ".npz"
SEALED_ROWS = 4096
"""A file with so many records and failed attempts is not written again."""
ERROR_CHARACTERS = 300


class Journal:
    """The records of a store, and the history of its run."""

    def __init__(self, files: Files, run: str | None = None) -> None:
        """``run`` is the identity of the run, that of the store by default; parts of another one
        are passed over.
        """
        self._files = files
        self._run = (run_of(files.read(ROOT)) or "") if run is None else run
        self.mark = uuid.uuid4().hex[:12]
        """Of what this object writes: two drivers never write the same file."""
        self._number: int | None = None
        self._growing = Part()

    @property
    def url(self) -> str:
        """The store, for messages."""
        return self._files.url

    def parts(self) -> list[str]:
        """Return the keys of the files, in their order.

        Raises StoreError for those of another version, and for a file of somebody's.
        """
        keys = sorted(self._files.keys(PREFIX))
        for key in keys:
            if re.fullmatch(r"\d{8}\.jsonl", key[len(PREFIX) :]):
                raise StoreError(
                    f"{self.url}: its journal was written by an earlier tiledsim and cannot be "
                    "continued; the image is as it was; render anew with `overwrite`"
                )
            if not re.fullmatch(r"\d{8}-[0-9a-f]{12}\.npz", key[len(PREFIX) :]):
                raise StoreError(f"{self.url}/{key[:200]!r} is no part of a journal; remove it")
        return keys

    def is_sound(self, key: str, tiles: int) -> bool:
        """Whether a file can be read and speaks of tiles of the run only."""
        try:
            self.load(key, tiles)
        except StoreError:
            return False
        return True

    def load(self, key: str, tiles: int) -> Part:
        """Read one file.

        Raises StoreError for one that was damaged or that speaks of tiles the run has not.
        """
        data = self._files.read(key)
        if data is None:
            raise StoreError(f"{self.url}/{key}: gone while it was read; is the store replaced?")
        try:
            part = Part.decode(data)
        except ValueError as error:
            raise StoreError(
                f"{self.url}/{key}: the journal is damaged: {str(error)[:200]}; a run with "
                "`resume` and `repair` renders its tiles again"
            ) from None
        if part.run != self._run:  # of a driver that woke when the store was another run's
            return Part(run=self._run)
        numbers = part.tiles()
        strange = numbers[(numbers < 0) | (numbers >= tiles)]
        if strange.size:
            raise StoreError(
                f"{self.url}/{key}: tile {strange[0]} of a run of {tiles} tiles; the journal does "
                "not belong to this store"
            )
        return part

    def append(
        self, records: Sequence[TileRecord], failures: Sequence[TileFailure], session: Session
    ) -> None:
        """Add what happened since the last call, durably before it returns."""
        if not records and not failures:
            return
        workers, errors = list(self._growing.workers), list(self._growing.errors)
        rows = pack(records, workers)
        failed = [
            (f.index, f.attempt, _number(workers, f.worker),
             _number(errors, f.error[:ERROR_CHARACTERS]))
            for f in failures
        ]  # fmt: skip
        self._write(
            Part(
                run=self._run,
                session=session,
                workers=tuple(workers),
                errors=tuple(errors),
                rows=np.concatenate((self._growing.rows, rows)),
                failures=np.concatenate((self._growing.failures, np.array(failed, FAILURE))),
            )
        )

    def drop(self, tiles: Iterable[int]) -> None:
        """Take the records of tiles back, all at once: they are to be rendered again."""
        self._write(Part(run=self._run, dropped=np.array(sorted(tiles), dtype=np.int64)))
        self._begin_next()

    def _write(self, part: Part) -> None:
        if self._number is None:
            names = (key[len(PREFIX) :] for key in self.parts())
            self._number = 1 + max((int(name.partition("-")[0]) for name in names), default=-1)
        key = f"{PREFIX}{self._number:08d}-{self.mark}{SUFFIX}"
        self._files.write(key, part.encode())
        self._growing = part
        if len(part.rows) + len(part.failures) >= SEALED_ROWS:
            self._begin_next()

    def _begin_next(self) -> None:
        assert self._number is not None
        self._number += 1
        self._growing = Part()


def _number(texts: list[str], text: str) -> int:
    """Return the place of a text in a list, to which it is added if it is new."""
    if text not in texts:
        texts.append(text)
    return texts.index(text)
