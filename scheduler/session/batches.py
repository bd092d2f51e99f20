"""The tiles of one task: how many, about a second's worth and fewer near the end; and which."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BATCH_SECONDS = 1.0
"""What a task should take.  It is also what is lost with a worker, or by Ctrl-C, a thread."""
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


class BatchSize:
    """The size of the next batch.

    Guided self-scheduling: never more than half of what a thread's even share of the tiles that
    are left would be, so that all threads finish together.  From one batch to the next it may
    grow to twice at most: the tiles that come first may be the cheap ones.
    """

    def __init__(self, first: int) -> None:
        self._size = min(max(1, first), LARGEST_BATCH)
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT_BATCHES)

    def learn(self, tiles: int, seconds: float) -> None:
        """Take note of a batch that came back: its tiles, and what they took together."""
        self._recent.append((tiles, seconds))
        each = sum(s for _, s in self._recent) / max(sum(n for n, _ in self._recent), 1)
        target = int(BATCH_SECONDS / max(each, BATCH_SECONDS / LARGEST_BATCH))
        self._size = max(1, min(target, 2 * self._size, LARGEST_BATCH))

    def next(self, left: int, threads: int) -> int:
        """Return how many of the ``left`` tiles to send together to one of the threads."""
        return max(1, min(self._size, left // (2 * max(threads, 1))))
