"""A time limit: no tile is begun that would not be ready in time."""

import time
from collections.abc import Iterable, Iterator

from tiledsim.scheduler.driver import BATCH_SECONDS
from tiledsim.scheduler.events import Event, TilesDone

AHEAD = 4
"""A batch waits behind three others of its thread, which the window of the driver holds."""


OVERTIME = "stopped at the time limit"


class Deadline:
    """Counts from when it is made.  Also a callback, from which it learns how long tiles take."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes
        self._slowest = BATCH_SECONDS
        self.passed = False
        """Whether tiles were left out."""

    def __call__(self, event: Event) -> None:
        """Take an event of a run."""
        if isinstance(event, TilesDone):
            slowest = max(r.render_seconds + r.write_seconds for r in event.records)
            self._slowest = max(self._slowest, slowest)

    def until(self, indices: Iterable[int]) -> Iterator[int]:
        """Yield tiles as long as there is time for them."""
        for index in indices:
            if time.monotonic() > self._end - AHEAD * self._slowest:
                self.passed = True
                return
            yield index
