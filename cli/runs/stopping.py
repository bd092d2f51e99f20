"""What ends a run from outside: SIGTERM of a batch system, and the hard end of a time limit."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

SPARE_SECONDS = 10.0
"""Of a time limit, kept for saying what is done and ending workers; a twentieth, if less."""


class Stopping:
    """Turns these signals into a KeyboardInterrupt, as Ctrl-C is, and remembers which it was."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Stop the run; a second signal while it stops changes nothing."""
        if self.by is None:
            self.by = signal.Signals(number)
            raise KeyboardInterrupt


def minutes_left(limit_minutes: float) -> float:
    """Return what is left of a time limit that counts from the start of this process."""
    started: float = psutil.Process().create_time()
    return limit_minutes - (time.time() - started) / 60


@contextmanager
def stopping(minutes: float | None) -> Iterator[Stopping]:
    """Stop what runs inside on SIGTERM, and shortly before ``minutes`` have passed."""
    stop = Stopping()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGALRM)}
    if minutes is not None:
        seconds = 60 * minutes
        signal.setitimer(signal.ITIMER_REAL, max(seconds - min(SPARE_SECONDS, seconds / 20), 1e-3))
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)
