"""The tiles of one task: how many, about a second's worth and fewer near the end; and which."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BATCH_SECONDS = 1.0
"""What a task should take.  It is also what is lost with a worker, or by Ctrl-C, a thread."""
TASKS_PER_SECOND = 300.0
"""Of all threads together; with more of them tasks get longer.  One scheduler and one driver take
some more, and then workers wait for them."""
LARGEST_BATCH = 250
RECENT_BATCHES = 32
"""Batches that the estimate of a tile's time is made from."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Tiles as (number, attempt), iterated in their order.

    Kept as runs: the scheduler remembers a thousand messages to each worker, so a task must be
    small however many tiles it has.
    """

    runs: tuple[tuple[int, int, int], ...]
    """First number, how many, attempt."""

    @classmethod
    def of(cls, tiles: Iterable[tuple[int, int]]) -> "Batch":
        """Make a batch of (number, attempt)."""
        runs: list[tuple[int, int, int]] = []
        for index, attempt in tiles:
            if runs and (runs[-1][0] + runs[-1][1], runs[-1][2]) == (index, attempt):
                runs[-1] = runs[-1][0], runs[-1][1] + 1, attempt
            else:
                runs.append((index, 1, attempt))
        return cls(tuple(runs))

    def __len__(self) -> int:
        return sum(count for _, count, _ in self.runs)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for first, count, attempt in self.runs:
            for index in range(first, first + count):
                yield index, attempt


def task_seconds(threads: int) -> float:
    """Return what a task should take where there are so many threads."""
    return max(BATCH_SECONDS, threads / TASKS_PER_SECOND)


class BatchSize:
    """The size of the next batch.

    Guided self-scheduling: never more than half of what a thread's even share of the tiles that
    are left would be, so that all threads finish together; but while each thread has a tile more
    to come, no task is shorter than half of what it should be.  From one batch to the next it may
    grow to twice at most: the tiles that come first may be the cheap ones.
    """

    def __init__(self, first: int) -> None:
        """``first`` is how many tiles are expected to take BATCH_SECONDS."""
        self._each = BATCH_SECONDS / max(first, 1)
        self._threads = 1
        self._whole = self._target()
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT_BATCHES)

    @property
    def tile_seconds(self) -> float:
        """What a tile takes, as far as is known."""
        return self._each

    def _target(self) -> int:
        """Return how many tiles a task should have."""
        each = max(self._each, BATCH_SECONDS / LARGEST_BATCH)
        return max(1, min(int(task_seconds(self._threads) / each), LARGEST_BATCH))

    def set_threads(self, threads: int) -> None:
        """Take note of how many threads there are."""
        self._threads = max(threads, 1)
        self._whole = min(self._whole, self._target()) if self._recent else self._target()

    def learn(self, tiles: int, seconds: float) -> None:
        """Take note of a batch that came back: its tiles, and what they took together."""
        self._recent.append((tiles, seconds))
        self._each = sum(s for _, s in self._recent) / max(sum(n for n, _ in self._recent), 1)
        self._whole = min(self._target(), 2 * self._whole)

    def is_near_the_end(self, left: int) -> bool:
        """Whether so few tiles are left that tasks get smaller."""
        return left < 2 * self._whole * self._threads

    def next(self, left: int) -> int:
        """Return how many of the ``left`` tiles to send together to one of the threads."""
        share = left // (2 * self._threads)
        if left >= self._threads:
            share = max(share, self._least())
        return max(1, min(self._whole, share))

    def _least(self) -> int:
        """Return how many tiles a task has at the least, until each thread has its last one."""
        if self._threads <= TASKS_PER_SECOND * BATCH_SECONDS:
            return 1
        return math.ceil(task_seconds(self._threads) / 2 / max(self._each, 1e-9))
