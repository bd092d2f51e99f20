"""Who was there and who was lost, from what a scheduler tells."""

from collections.abc import Callable
from typing import Any

import pytest

from tiledsim.scheduler.session import workforce as crew_module
from tiledsim.scheduler.session.workforce import Crew


class FakeClient:
    """A client whose scheduler's workers can be changed."""

    status = "running"

    def __init__(self) -> None:
        self.workers = {"tcp://a": ("a", 2), "tcp://b": ("b", 1)}
        self.told: Callable[[tuple[float, Any]], None] | None = None
        self.asked = 0

    def subscribe_topic(self, topic: str, handler: Callable[[tuple[float, Any]], None]) -> None:
        assert topic == "all"
        self.told = handler

    def unsubscribe_topic(self, topic: str) -> None:
        self.told = None

    def scheduler_info(self) -> dict[str, Any]:
        self.asked += 1
        return {"workers": {address: {"name": name, "nthreads": threads}
                            for address, (name, threads) in self.workers.items()}}  # fmt: skip

    def tell(self, **message: Any) -> None:
        assert self.told is not None
        self.told((0.0, message))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(crew_module.time, "monotonic", lambda: now[0])
    return now


def test_presence_and_loss(clock: list[float]) -> None:
    client = FakeClient()
    with Crew(client, "mark") as crew:
        assert crew.threads == 3
        clock[0] += 10
        client.workers["tcp://c"] = ("c", 4)
        client.tell(action="add-worker", worker="tcp://c")
        client.tell(action="gather", count=1)
        crew.update()
        assert crew.threads == 7
        clock[0] += 5
        del client.workers["tcp://a"], client.workers["tcp://b"]
        client.tell(action="remove-worker", worker="tcp://a", expected=False)
        client.tell(action="remove-worker", worker="tcp://b", expected=True)
        crew.update()
        clock[0] += 1
        session = crew.session()
    assert client.told is None
    assert client.asked == 3
    assert session.mark == "mark"
    assert session.present == {"a": 30.0, "b": 15.0, "c": 24.0}
    assert (session.seconds, session.workers, session.threads) == (16.0, 3, 7)
    assert session.lost_workers == 1


def test_a_scheduler_that_is_gone_is_no_error_here(clock: list[float]) -> None:
    client = FakeClient()
    with Crew(client) as crew:
        client.tell(action="remove-worker", worker="tcp://a", expected=False)
        client.status = "closed"
        clock[0] += 1
        assert crew.session().lost_workers == 1
    assert client.asked == 1

    def unreachable() -> dict[str, Any]:
        raise OSError("closed")

    client.status = "running"
    client.scheduler_info = unreachable  # type: ignore[method-assign]
    with Crew(client) as crew:
        assert crew.threads == 0


def test_how_long_nobody_was_there(clock: list[float]) -> None:
    client = FakeClient()
    with Crew(client) as crew:
        clock[0] += 5
        client.workers.clear()
        client.tell(action="remove-worker", worker="tcp://a", expected=False)
        crew.update()
        clock[0] += 40
        crew.update()
        assert crew.seconds_without == 40
        client.workers["tcp://a"] = ("a", 1)
        client.tell(action="add-worker", worker="tcp://a")
        crew.update()
        assert crew.seconds_without == 0
