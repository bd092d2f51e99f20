"""What happens in a run, told to callbacks as it happens."""

from collections.abc import Callable
from dataclasses import dataclass

from tiledsim.scheduler.plan import Plan
from tiledsim.scheduler.records import TileRecord


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


@dataclass(frozen=True)
class TilesDone:
    """Tiles that are written and recorded."""

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
    """Nothing is left to do."""

    seconds: float
    failed: int


Event = Connecting | RunStarted | TilesDone | TileRetried | TileFailed | RunFinished
Callback = Callable[[Event], None]
