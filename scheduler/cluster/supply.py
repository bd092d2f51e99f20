"""Whoever brings workers to a run, and what it has to say while the run goes on."""

from dataclasses import dataclass
from typing import Any, Protocol

LEAVES = "tiledsim-worker-leaves"
"""The action of an event by which a worker says that it leaves as planned."""


@dataclass(frozen=True)
class News:
    """What is new of the workers that were asked for."""

    state: str
    """In a few words, for a line of progress; empty where all is as it should be."""
    lines: tuple[str, ...] = ()
    """What happened, for a log."""


class Supply(Protocol):
    """Brings workers, and replaces those that went, while it can."""

    def news(self) -> News | None:
        """Return what is new since the last call; None where nothing is."""

    def why_over(self) -> str:
        """Say why no worker will come any more; empty while some may."""


@dataclass(frozen=True)
class Connection:
    """A client of the workers, and who brings more of them; None where nobody does."""

    client: Any
    supply: Supply | None = None
