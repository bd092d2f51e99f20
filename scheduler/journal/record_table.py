"""The records of a run, read from its journal in portions, so that memory does not grow with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import StoreError
from tiledsim.scheduler.journal.journal_file import Part, Session
from tiledsim.scheduler.journal.record_dtype import ROW, unpack
from tiledsim.scheduler.journal.tile_record import TileRecord

if TYPE_CHECKING:
    from tiledsim.scheduler.journal.journal import Journal

PORTION_TILES = 50_000
"""Tiles whose records are held at once, 8 MB."""


@dataclass
class _Told:
    """What the parts of one session tell together."""

    session: Session
    tiles: int = 0
    failed_attempts: int = 0


class Records(Mapping[int, TileRecord]):
    """The records of a run by tile number, ascending, and what is known of its sessions.

    Holds a byte a tile and one portion of the records; the rest is read when it is asked for.
    """

    def __init__(self, journal: "Journal", tiles: int) -> None:
        """Read the journal of a run of ``tiles`` tiles once; StoreError if it is damaged."""
        self._journal = journal
        self.done: NDArray[np.bool_] = np.zeros(tiles, dtype=np.bool_)
        """[tiles]: whether a tile has a record."""
        self.given = 0
        """Attempts that gave a tile, the records that were taken back included."""
        self._reach: list[tuple[str, int, int]] = []
        self._sessions: dict[str, _Told] = {}
        self._portion: tuple[int, NDArray[Any]] = (-1, np.zeros(0, ROW))
        workers: set[str] = set()
        failed = [np.zeros(0, np.int64)]
        for key in journal.parts():
            part = journal.load(key, tiles)
            self._take(key, part)
            workers.update(part.workers)
            failed.append(part.failures["index"])
        self.workers = tuple(sorted(workers))
        """Names of all that recorded or failed anything; rows of portions have numbers in it."""
        self.failed_tiles: NDArray[np.int64] = np.concatenate(failed)
        """The tile of each failed attempt, over all sessions."""

    def _take(self, key: str, part: Part) -> None:
        indices = part.rows["index"]
        before = int(np.count_nonzero(self.done))
        if part.session is not None:
            told = self._sessions.setdefault(part.session.mark, _Told(part.session))
            told.session = part.session
            told.failed_attempts += len(part.failures)
        self.done[part.dropped] = False
        kept = before - int(np.count_nonzero(self.done)) if part.dropped.size else 0
        self.done[indices] = True
        if part.session is not None:
            told.tiles += int(np.count_nonzero(self.done)) - before + kept
        self.given += len(indices)
        touched = np.concatenate((indices, part.dropped))
        if touched.size:
            self._reach.append((key, int(touched.min()), int(touched.max())))

    @property
    def sessions(self) -> list[tuple[Session, int, int]]:
        """The sessions that did anything, in their order: what is known, tiles, failed attempts."""
        return [(told.session, told.tiles, told.failed_attempts)
                for told in self._sessions.values()]  # fmt: skip

    def __len__(self) -> int:
        return int(np.count_nonzero(self.done))

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and 0 <= index < self.done.size and bool(self.done[index])

    def __iter__(self) -> Iterator[int]:
        return numbers(self.done)

    def __getitem__(self, index: int) -> TileRecord:
        if index not in self:
            raise KeyError(index)
        start = index - index % PORTION_TILES
        if self._portion[0] != start:
            self._portion = start, self._read(start)
        rows = self._portion[1]
        return unpack(rows[np.searchsorted(rows["index"], index)], self.workers)

    def portions(self) -> Iterator[NDArray[Any]]:
        """Yield the rows (:data:`~tiledsim.scheduler.journal.record_dtype.ROW`), in tile order.

        A portion holds the tiles of one range of PORTION_TILES numbers, so that what is reduced
        from portions does not depend on who finished when.
        """
        for start in range(0, self.done.size, PORTION_TILES):
            yield self._read(start)

    def _read(self, start: int) -> NDArray[Any]:
        """Return the rows of the portion from tile ``start`` on."""
        done = self.done[start : start + PORTION_TILES]
        rows = np.zeros(done.size, dtype=ROW)
        have = np.zeros(done.size, dtype=np.bool_)
        number = {name: i for i, name in enumerate(self.workers)}
        for key, lowest, highest in self._reach:
            if lowest >= start + done.size or highest < start:
                continue
            part = self._journal.load(key, self.done.size)
            dropped = part.dropped[(part.dropped >= start) & (part.dropped < start + done.size)]
            have[dropped - start] = False
            places = part.rows["index"] - start
            mine = (places >= 0) & (places < done.size)
            mine[mine] = ~have[places[mine]]
            # The first record of a tile counts; assigning backwards lets it win in its own part.
            new, where = part.rows[mine][::-1], places[mine][::-1]
            names = np.array([number.get(name, -1) for name in part.workers], dtype=np.int32)
            new["worker"] = names[new["worker"]]
            rows[where] = new
            have[where] = True
        if (done & ~have).any():
            raise StoreError(f"{self._journal.url}: its journal changed while it was read")
        return rows[done]


def numbers(marked: NDArray[np.bool_]) -> Iterator[int]:
    """Yield the places that are marked, ascending; memory does not grow with their number."""
    for start in range(0, marked.size, PORTION_TILES):
        yield from (np.flatnonzero(marked[start : start + PORTION_TILES]) + start).tolist()
