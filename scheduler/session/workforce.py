"""The workers of a session: who is there, for how long, and who was lost."""

import time
import uuid
from collections import deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from tiledsim.scheduler.cluster.dask_errors import CONNECTION_LOST, told_as
from tiledsim.scheduler.cluster.supply import LEAVES
from tiledsim.scheduler.journal.journal_file import Session

TOPIC = "all"
"""The scheduler's own topic, on which it tells of workers that come and go."""
HEARD = ("add-worker", "remove-worker", LEAVES)


class Crew:
    """Listens to what the scheduler tells of its workers.  A context manager.

    While it is entered it takes the client's subscription to the topic "all".
    """

    def __init__(self, client: Any, mark: str | None = None) -> None:
        self._client = client
        self._mark = mark or uuid.uuid4().hex[:12]
        self._heard: deque[dict[str, Any]] = deque()
        self._names: dict[str, tuple[str, int]] = {}
        self._present: dict[str, float] = {}
        self._leaving: set[str] = set()
        self._most_workers = self._most_threads = self._lost = 0
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._began = self._counted = self._manned = time.monotonic()

    def __enter__(self) -> "Crew":
        with told_as(CONNECTION_LOST):
            self._client.subscribe_topic(TOPIC, self._hear)
        self._look()
        self._began = self._counted = self._manned = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client.status == "running":
            self._client.unsubscribe_topic(TOPIC)

    def _hear(self, event: tuple[float, Any]) -> None:
        """Keep an event for later; called by the client's own thread."""
        _, message = event
        if isinstance(message, dict) and message.get("action") in HEARD:
            self._heard.append(message)

    def _look(self) -> None:
        """Ask the scheduler who is there; one that does not answer is noticed by its tasks."""
        try:
            workers = self._client.scheduler_info()["workers"]
        except (OSError, TimeoutError):
            return
        self._names = {
            address: (str(about["name"]), int(about["nthreads"]))
            for address, about in workers.items()
        }
        self._most_workers = max(self._most_workers, len(self._names))
        self._most_threads = max(self._most_threads, self.threads)

    def address_of(self, name: str) -> str | None:
        """Return where a worker is, as far as is known."""
        return next((a for a, (other, _) in self._names.items() if other == name), None)

    def others(self, name: str) -> list[str]:
        """Return where all workers but one are, as far as is known."""
        return [address for address, (other, _) in self._names.items() if other != name]

    def has_any(self, addresses: set[str]) -> bool:
        """Whether one of these is there, as far as is known."""
        return not addresses.isdisjoint(self._names)

    @property
    def workers(self) -> int:
        """Workers that are there, as far as is known."""
        return len(self._names)

    @property
    def threads(self) -> int:
        """Threads of the workers that are there, as far as is known."""
        return sum(threads for _, threads in self._names.values())

    @property
    def seconds_without(self) -> float:
        """How long no worker was there, at the last update; 0 while one is."""
        return 0.0 if self._names else self._counted - self._manned

    def update(self) -> None:
        """Take note of the time, and of who came and went since the last call."""
        now = time.monotonic()
        for name, threads in self._names.values():
            self._present[name] = self._present.get(name, 0.0) + threads * (now - self._counted)
        self._counted = now
        if self._names:
            self._manned = now
        changed = False
        while self._heard:
            message = self._heard.popleft()
            changed = True
            worker = message.get("worker")
            if message["action"] == LEAVES:
                self._leaving.add(str(worker))
            elif message["action"] == "remove-worker":
                as_planned = message.get("expected", False) or worker in self._leaving
                self._lost += not as_planned
        if changed and self._client.status == "running":
            self._look()

    def session(self) -> Session:
        """Return what is known of the session so far."""
        self.update()
        return Session(
            mark=self._mark,
            started=self._started,
            seconds=self._counted - self._began,
            workers=self._most_workers,
            threads=self._most_threads,
            lost_workers=self._lost,
            present=dict(self._present),
        )
