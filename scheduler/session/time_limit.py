"""A time limit: no task is sent that would not be ready in time."""

import time

from tiledsim.scheduler.session.batches import BATCH_SECONDS

OVERTIME = "stopped at the time limit"
AHEAD = 3
"""A batch waits for up to two others of its thread (driver.TASKS_PER_THREAD), then runs."""


class Deadline:
    """Counts from when it is made, and learns how long a task takes."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes
        self._slowest = BATCH_SECONDS

    def learn(self, seconds: float) -> None:
        """Take note of what a batch took."""
        self._slowest = max(self._slowest, seconds)

    def is_near(self) -> bool:
        """Whether a batch that is sent now would be late."""
        return time.monotonic() > self._end - AHEAD * self._slowest
