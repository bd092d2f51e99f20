"""Batches: about a second's worth, fewer near the end, and small on the wire."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiledsim.scheduler.session.batches import LARGEST_BATCH, Batch, BatchSize

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
    sent = 0
    while left > 0:
        batch = size.next(left, threads)
        assert batch == 1 or batch <= left / (2 * max(threads, 1))
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
    for _ in range(40):
        batch = size.next(10**9, 4)
        size.learn(batch, batch * seconds)
    assert size.next(10**9, 4) == pytest.approx(expected, abs=1)


def test_it_grows_to_twice_at_most_and_shrinks_at_once() -> None:
    size = BatchSize(1)
    sizes = []
    for _ in range(5):
        size.learn(1, 1e-4)
        sizes.append(size.next(10**9, 1))
    assert sizes == [2, 4, 8, 16, 32]
    size.learn(1, 500.0)
    assert size.next(10**9, 1) == 1
