"""How far a run is, from its store alone: nothing is written and no lease is taken.

The journal is read once, and then what is new in it: of its files only the newest still grows.
"""

import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.journal_file import Part, Session
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.lease import STALE_SECONDS, leases
from tiledsim.scheduler.store.open import layout_of

RECENT_SECONDS = 60.0
"""The rate is that of the last minute, once the store was watched for a while."""


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment."""

    state: str
    """``finished``; ``running``; ``stopped``, to be resumed."""
    tiles: int
    done: int
    failed: int
    """Tiles that failed and are not done: they are tried again, or were given up."""
    retried: int
    """Tiles that are done after they had failed."""
    failed_attempts: int
    lost_workers: int
    workers: int
    """The most that were there at one time in the last session, and their threads."""
    threads: int
    tiles_per_second: float
    seconds_left: float | None
    """None where there is no rate to tell it from."""

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as plain data."""
        return asdict(self)


class Watcher:
    """Follows one store."""

    def __init__(self, files: Files) -> None:
        """StoreError where there is no store of tiledsim."""
        self._files = files
        self.layout = layout_of(files)
        self._journal = Journal(files)
        self._complete: set[str] = set()
        self._sessions: dict[str, Session] = {}
        self._failures: dict[str, NDArray[np.int64]] = {}
        self._session_of: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._history: deque[tuple[float, int]] = deque()
        self.done: NDArray[np.bool_] = np.zeros(self.layout.tiles, dtype=np.bool_)
        """[tiles]: whether a tile has a record."""
        self.failed: NDArray[np.bool_] = np.zeros(self.layout.tiles, dtype=np.bool_)
        """[tiles]: whether a tile failed and has no record."""

    def look(self) -> Snapshot:
        """Read what is new; StoreError where the journal is damaged or the store was replaced."""
        keys = self._journal.parts()
        for key in keys:
            if key not in self._complete:
                self._take(key, self._journal.load(key, self.layout.tiles))
                if key != keys[-1]:
                    self._complete.add(key)
        tiles = np.concatenate([*self._failures.values(), np.zeros(0, np.int64)])
        had_failed = np.zeros(self.layout.tiles, dtype=np.bool_)
        had_failed[tiles] = True
        self.failed = had_failed & ~self.done
        done = int(np.count_nonzero(self.done))
        rate = self._rate(done)
        left = self.layout.tiles - done
        last = next(reversed(self._sessions.values()), None)
        return Snapshot(
            state=self._state(),
            tiles=self.layout.tiles,
            done=done,
            failed=int(np.count_nonzero(self.failed)),
            retried=int(np.count_nonzero(had_failed & self.done)),
            failed_attempts=len(tiles),
            lost_workers=sum(session.lost_workers for session in self._sessions.values()),
            workers=last.workers if last else 0,
            threads=last.threads if last else 0,
            tiles_per_second=rate,
            seconds_left=0.0 if not left else left / rate if rate > 0 else None,
        )

    def _take(self, key: str, part: Part) -> None:
        self.done[part.dropped] = False
        self.done[part.rows["index"]] = True
        self._failures[key] = part.failures["index"].astype(np.int64)
        if part.session is not None:
            self._sessions[part.session.mark] = part.session
            self._session_of[key] = part.session.mark
            self._counts[key] = len(part.rows)

    def _rate(self, done: int) -> float:
        """Tiles a second: of the last minute, or else of the last session as a whole."""
        now = time.monotonic()
        self._history.append((now, done))
        while now - self._history[0][0] > RECENT_SECONDS and len(self._history) > 2:
            self._history.popleft()
        since, before = self._history[0]
        if now - since > RECENT_SECONDS / 6 and done > before:
            return (done - before) / (now - since)
        last = next(reversed(self._sessions.values()), None)
        if last is None or last.seconds <= 0:
            return 0.0
        tiles = sum(n for key, n in self._counts.items() if self._session_of[key] == last.mark)
        return tiles / last.seconds

    def _state(self) -> str:
        if "summary" in store.read_attributes(self._files):
            return "finished"
        return "running" if _is_driven(self._files) else "stopped"


def _is_driven(files: Files) -> bool:
    """Whether a driver has renewed its lease of late, by its own clock."""
    renewed = (holder.renewed for holder in leases(files).values() if holder is not None)
    return any(abs(time.time() - moment) < STALE_SECONDS for moment in renewed)
