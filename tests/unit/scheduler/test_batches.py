"""Batches: about a second's worth, fewer near the end, and small on the wire."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiledsim.scheduler.session.batches import (
    LARGEST_BATCH,
    TASKS_PER_SECOND,
    Batch,
    BatchSize,
)

tiles = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=30)


@given(tiles)
def test_a_batch_is_the_tiles_that_it_was_made_of(pairs: list[tuple[int, int]]) -> None:
    batch = Batch.of(pairs)
    assert list(batch) == pairs
    assert list(batch) == pairs  # again: it is no iterator
    assert len(batch) == len(pairs)
    assert pickle.loads(pickle.dumps(batch)) == batch


def test_a_task_is_small_however_many_tiles_it_has() -> None:
    few, many = (pickle.dumps(Batch.of((i, 1) for i in range(n))) for n in (1, LARGEST_BATCH))
    assert len(many) < len(few) + 20


@given(st.integers(0, 10_000), st.integers(0, 500), st.integers(1, 2000))
def test_all_tiles_are_sent_and_never_too_many_to_one(left: int, threads: int, first: int) -> None:
    size = BatchSize(first)
    size.set_threads(threads)
    few = threads <= TASKS_PER_SECOND
    sent = 0
    while left > 0:
        batch = size.next(left)
        assert batch == 1 or batch <= left / (2 * max(threads, 1)) or (not few and left >= threads)
        assert 1 <= batch <= min(left, LARGEST_BATCH)
        left -= batch
        sent += 1
        if sent > 3000:
            return


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1e-9, LARGEST_BATCH), (0.01, 100), (0.1, 10), (0.6, 1), (100.0, 1)],
)
def test_a_batch_takes_about_a_second(seconds: float, expected: int) -> None:
    size = BatchSize(1)
    size.set_threads(4)
    for _ in range(40):
        batch = size.next(10**9)
        size.learn(batch, batch * seconds)
    assert size.next(10**9) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("threads", [1, 64, 300, 1000, 5000])
@pytest.mark.parametrize("seconds", [0.03, 0.5, 1.0, 4.0, 60.0])
def test_tasks_get_longer_with_the_number_of_threads(threads: int, seconds: float) -> None:
    """All threads together ask for no more tasks than one scheduler can give, but at the end."""
    size = BatchSize(1)
    size.set_threads(threads)
    for _ in range(40):
        size.learn(1, seconds)
    rates = {left: threads / (size.next(left) * seconds) for left in (10**9, 3 * threads, threads)}
    capped = LARGEST_BATCH * seconds < threads / TASKS_PER_SECOND
    whole = max(TASKS_PER_SECOND, threads)
    assert capped or rates[10**9] <= 2 * TASKS_PER_SECOND or threads <= TASKS_PER_SECOND
    assert rates[threads] <= whole / min(seconds, 1.0)
    if threads > TASKS_PER_SECOND and not capped:
        assert rates[threads] <= 2 * TASKS_PER_SECOND
    assert size.next(max(threads - 1, 1)) == 1


def test_it_grows_to_twice_at_most_and_shrinks_at_once() -> None:
    size = BatchSize(1)
    sizes = []
    for _ in range(5):
        size.learn(1, 1e-4)
        sizes.append(size.next(10**9))
    assert sizes == [2, 4, 8, 16, 32]
    size.learn(1, 500.0)
    assert size.next(10**9) == 1
