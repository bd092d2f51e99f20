"""What happens in a run, told to callbacks as it happens."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiledsim.scheduler.journal.tile_record import TileRecord
from tiledsim.scheduler.session.plan import Plan


@dataclass(frozen=True)
class Connecting:
    """Workers are started or asked for; nothing is written yet."""

    kind: str
    """``local``, ``cuda``, ``slurm``, ``scheduler`` or ``client``."""
    workers: int
    """That are started or asked for."""


@dataclass(frozen=True)
class RunStarted:
    """The store is open and the first tasks are about to be sent."""

    plan: Plan
    done: int
    """Tiles that an earlier run has finished."""
    workers: int
    dashboard: str | None
    grid: tuple[int, int, int, int]
    """Tiles along (shot, panel, slow, fast)."""
    done_tiles: NDArray[np.bool_]
    """[tiles]: which have a record.  The driver keeps it up to date; read-only."""


@dataclass(frozen=True)
class WorkersCounted:
    """Who is there; told about once a second."""

    workers: int
    threads: int
    lost: int
    """Of this session, so far."""


@dataclass(frozen=True)
class WorkersAwaited:
    """All workers have left some time ago, and tiles are to be done; told once until some come.

    The run waits: whoever keeps the scheduler may start workers again.
    """

    seconds: float
    """Since the last one was there."""


@dataclass(frozen=True)
class WorkerDismissed:
    """A worker that can render no tile of the run leaves it; its tiles go to others."""

    worker: str
    reason: str


@dataclass(frozen=True)
class JobsTold:
    """What a batch system says of the jobs that bring the workers."""

    state: str
    """In a few words; empty when all is as it should be."""
    lines: tuple[str, ...]
    """What happened, for a log."""


@dataclass(frozen=True)
class TilesDone:
    """Tiles that are written.  The journal has them at its next flush, within seconds."""

    records: tuple[TileRecord, ...]


@dataclass(frozen=True)
class TileRetried:
    """A tile that failed and will be tried again."""

    index: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class TileFailed:
    """A tile that failed for the last time."""

    index: int
    attempts: int
    reason: str


@dataclass(frozen=True)
class RunFinished:
    """No tile is under way any more.  At a time limit some may be left, for `resume`."""

    seconds: float
    failed: int


Event = (
    Connecting
    | RunStarted
    | WorkersCounted
    | WorkersAwaited
    | WorkerDismissed
    | JobsTold
    | TilesDone
    | TileRetried
    | TileFailed
    | RunFinished
)
Callback = Callable[[Event], None]
