"""Tasks that take much longer than they should: second copies of their tiles, of which the first to
finish wins; and the limit after which nobody waits for a task any more.
"""

import time
from collections.abc import Iterable, Iterator

from tiledsim.scheduler.session.batches import Batch

SLOW_TIMES = 3.0
"""So many times what its tiles usually take makes a task a straggler,"""
SLOW_SECONDS = 5.0
"""and at least so long."""
HUNG_TIMES = 100.0
"""After so many times what its tiles usually take a task counts as one that hangs,"""
HUNG_SECONDS = 1800.0
"""and after so long at the least."""


class Copies:
    """Which tasks were sent when, and which tiles have been sent a second time."""

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}
        self._copied: set[int] = set()

    @property
    def any(self) -> bool:
        """Whether any tile was sent a second time."""
        return bool(self._copied)

    def note(self, key: str) -> None:
        """Take note of a task that was sent."""
        self._sent[key] = time.monotonic()

    def forget(self, key: str) -> None:
        """Take note of a task that has ended."""
        self._sent.pop(key, None)

    def begin_anew(self) -> None:
        """Count the time of all tasks from now on: nobody was there to do them."""
        self._sent = dict.fromkeys(self._sent, time.monotonic())

    def hung(self, waiting: dict[str, Batch], tile_seconds: float) -> Iterator[tuple[str, float]]:
        """Yield the tasks that nobody waits for any more, and how long [s] they were waited for."""
        now = time.monotonic()
        for key, sent in self._sent.items():
            usual = HUNG_TIMES * tile_seconds * len(waiting.get(key) or ())
            if now - sent > max(usual, HUNG_SECONDS):
                yield key, now - sent

    def due(self, waiting: dict[str, Batch], tile_seconds: float) -> Iterable[tuple[int, int]]:
        """Yield the tiles of stragglers that have no copy yet, the oldest first.

        Only where no tile waits to be sent: then each task under way has been begun when it was
        sent, or soon after.
        """
        now = time.monotonic()
        for key, sent in self._sent.items():  # in the order of sending
            batch = waiting.get(key)
            usual = SLOW_TIMES * tile_seconds * len(batch or ())
            if batch is None or now - sent < max(usual, SLOW_SECONDS):
                continue
            for index, attempt in batch:
                if index not in self._copied:
                    self._copied.add(index)
                    yield index, attempt
