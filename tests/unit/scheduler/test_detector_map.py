"""The map of the detector: what a character stands for, and that it fits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiledsim.scheduler.results.detector_map import FAILED_MARK, MARKS, Grid, draw


def test_a_character_pair_for_each_tile() -> None:
    done = np.array([[[True, True], [True, False]]]).astype(float)
    failed = np.zeros_like(done)
    assert draw(done, failed, columns=80, rows=20) == ["████", "██··"]
    failed[0, 1, 1] = 1
    assert draw(done, failed, columns=80, rows=20) == ["████", "██××"]
    assert draw(done, failed, columns=80, rows=20, plain=True) == ["####", "##xx"]


def test_shares_of_several_tiles_and_shots() -> None:
    grid = Grid(shots=4, panels=1, down=1, across=1)
    for shots, mark in enumerate(MARKS):
        marked = np.arange(4) < shots
        drawn = draw(grid.share(marked), np.zeros((1, 1, 1)), columns=9, rows=9)
        assert drawn == [2 * mark]


def test_one_failed_tile_is_seen_however_small_the_map() -> None:
    done = np.ones((1, 500, 500))
    failed = np.zeros_like(done)
    failed[0, 321, 123] = 1
    assert "".join(draw(done, failed, columns=20, rows=8)).count(FAILED_MARK) == 1


def test_panels_stand_side_by_side() -> None:
    done = np.zeros((3, 2, 2))
    done[1] = 1.0
    assert draw(done, np.zeros_like(done), columns=80, rows=20) == ["···· ████ ····"] * 2


def test_too_many_panels_are_counted() -> None:
    lines = draw(np.zeros((500, 4, 4)), np.zeros((500, 4, 4)), columns=20, rows=5)
    assert lines[-1] == "and 480 more panels"


@given(
    panels=st.integers(1, 300), down=st.integers(1, 60), across=st.integers(1, 60),
    columns=st.integers(10, 200), rows=st.integers(1, 60), seed=st.integers(0, 9),
)  # fmt: skip
def test_it_fits_and_tells_done_from_not(
    panels: int, down: int, across: int, columns: int, rows: int, seed: int
) -> None:
    done = (np.random.default_rng(seed).random((panels, down, across)) < 0.5).astype(float)
    nothing = np.zeros_like(done)
    lines = draw(done, nothing, columns=columns, rows=rows)
    assert 1 <= len(lines) <= rows
    assert max(map(len, lines)) <= columns
    drawn = set("".join(draw(np.ones_like(done), nothing, columns=columns, rows=rows)))
    if not lines[-1].startswith("and "):
        assert drawn <= {"█", " "}


@pytest.mark.parametrize(("share", "mark"), [(0.01, "░"), (0.34, "▒"), (0.67, "▓"), (0.999, "▓")])
def test_a_part_is_neither_nothing_nor_all(share: float, mark: str) -> None:
    assert draw(np.full((1, 1, 1), share), np.zeros((1, 1, 1)), columns=9, rows=9) == [2 * mark]
