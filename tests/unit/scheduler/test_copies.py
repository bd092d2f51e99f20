"""Which tasks take too long, and for which of them nobody waits any more."""

import pytest

from tiledsim.scheduler.session import copies
from tiledsim.scheduler.session.batches import Batch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(copies.time, "monotonic", lambda: now[0])
    return now


def test_stragglers_have_one_copy_of_each_tile(clock: list[float]) -> None:
    made = copies.Copies()
    waiting = {"a": Batch.of([(1, 1), (2, 1)]), "b": Batch.of([(3, 1)])}
    made.note("a")
    clock[0] = 3.0
    made.note("b")
    assert not list(made.due(waiting, 1.0))
    clock[0] = 6.5  # three times what two tiles take, and less than that of the later one
    assert list(made.due(waiting, 1.0)) == [(1, 1), (2, 1)]
    assert made.any
    clock[0] = 100.0
    assert list(made.due(waiting, 1.0)) == [(3, 1)]
    assert not list(made.due(waiting, 1.0))


def test_a_task_that_hangs(clock: list[float]) -> None:
    made = copies.Copies()
    waiting = {"quick": Batch.of([(1, 1)]), "slow": Batch.of([(2, 1)] * 2)}
    for key in waiting:
        made.note(key)
    clock[0] = 1799.0
    assert not list(made.hung(waiting, 0.01))
    clock[0] = 1801.0
    assert list(made.hung(waiting, 0.01)) == [("quick", 1801.0), ("slow", 1801.0)]
    assert not list(made.hung(waiting, 20.0))
    clock[0] = 2500.0
    assert list(made.hung(waiting, 20.0)) == [("quick", 2500.0)]


def test_time_without_workers_does_not_count(clock: list[float]) -> None:
    made = copies.Copies()
    waiting = {"a": Batch.of([(1, 1)])}
    made.note("a")
    clock[0] = 10_000.0
    made.begin_anew()
    assert not list(made.hung(waiting, 1.0))
    assert not list(made.due(waiting, 1.0))
    clock[0] = 12_000.0
    assert list(made.hung(waiting, 1.0)) == [("a", 2000.0)]
