"""The summary of records: right, and the same whoever finished what when."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.memory_files import MemoryFiles
from tests.unit.scheduler.test_journal import record, session
from tiledsim.scheduler.journal import journal as journal_module
from tiledsim.scheduler.journal import record_table as table
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileFailure, TileRecord
from tiledsim.scheduler.results import summarise as summarising
from tiledsim.scheduler.results.summarise import summarise
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.store.layout import Layout

LAYOUT = Layout((2, 2, 30, 25), (10, 10), (10, 10), (10, 10))
"""Four images of 3 x 3 tiles, those at the edge cut."""


@pytest.fixture(autouse=True, scope="module")
def small_portions() -> Any:
    """Portions and files of few tiles, so that images lie across several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "SEALED_ROWS", 6)
        patch.setattr(table, "PORTION_TILES", 5)
        yield


def pixels_of(index: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Some pixels for a tile."""
    tile = LAYOUT.tile_at(index)
    return np.random.default_rng(index).lognormal(3.0, 2.0, (tile.rows, tile.cols))


def measured(index: int, **values: Any) -> TileRecord:
    """The record of those pixels, the first of which is masked."""
    tile, pixels = LAYOUT.tile_at(index), pixels_of(index)
    row, col = np.unravel_index(int(pixels.argmax()), pixels.shape)
    return record(
        index,
        **{"inside": pixels.size, "rendered": pixels.size - 1, "total": float(pixels.sum()),
           "total_sqr": float((pixels**2).sum()),
           "spread": float(((pixels - pixels.mean()) ** 2).sum()),
           "maximum": float(pixels.max()), "maximum_slow": tile.slow_start + int(row),
           "maximum_fast": tile.fast_start + int(col),
           "ranges": {"omega_min": 1.0 - index / 100, "omega_max": 1.0 + index / 100}} | values,
    )  # fmt: skip


def summary_of(sessions: Sequence[Sequence[Sequence[TileRecord]]]) -> Summary:
    """Write the flushes of sessions to a journal, and reduce it."""
    files = MemoryFiles()
    for flushes in sessions:
        journal = Journal(files)
        for records in flushes:
            journal.append(records, [], session(journal))
    records = Records(Journal(files), LAYOUT.tiles)
    return summarise(LAYOUT, records, scale={"photons_per_F2": 2.0}, steps_per_pixel=7)


def test_the_statistics_are_those_of_the_pixels() -> None:
    summary = summary_of([[[measured(i) for i in range(LAYOUT.tiles)]]])
    assert [(image.shot, image.panel) for image in summary.images] == [
        (0, 0), (0, 1), (1, 0), (1, 1)
    ]  # fmt: skip
    for number, image in enumerate(summary.images):
        whole = np.concatenate([pixels_of(9 * number + i).ravel() for i in range(9)])
        rendered = whole.size - 9
        mean = whole.sum() / rendered
        assert (image.pixels, image.rendered, image.masked) == (whole.size, rendered, 9)
        assert image.photons == pytest.approx(whole.sum(), rel=1e-14)
        assert image.mean == pytest.approx(mean, rel=1e-14)
        assert image.rms == pytest.approx(math.sqrt((whole**2).sum() / (rendered - 1)), rel=1e-14)
        spread = ((whole - mean) ** 2).sum()
        assert image.rmsd == pytest.approx(math.sqrt(spread / (whole.size - 1)), rel=1e-13)
        assert image.maximum == whole.max()
        tiles = [measured(9 * number + i) for i in range(9)]
        peak = max(tiles, key=lambda tile: tile.maximum)
        assert (image.maximum_slow, image.maximum_fast) == (peak.maximum_slow, peak.maximum_fast)
    assert summary.scale == {"photons_per_F2": 2.0, "omega_min": 0.65, "omega_max": 1.35}
    assert summary.steps == 7 * sum(image.rendered for image in summary.images)
    assert summary.tiles == 36


@cache
def in_order() -> dict[str, Any]:
    """What it is when the tiles finish in their order, one by one."""
    return summary_of([[[measured(i)] for i in range(LAYOUT.tiles)]]).physical()


@given(
    order=st.permutations(range(LAYOUT.tiles)),
    cuts=st.lists(st.integers(0, LAYOUT.tiles), max_size=8),
    sessions=st.integers(1, 3),
    repeated=st.lists(st.integers(0, LAYOUT.tiles - 1), max_size=5),
)
def test_it_does_not_depend_on_who_finished_when(
    order: list[int], cuts: list[int], sessions: int, repeated: list[int]
) -> None:
    """To the last bit, however the tiles came in, in how many flushes and sessions, some twice."""
    edges = [0, *sorted(cuts), len(order)]
    flushes = [
        [measured(i, worker=f"w{i * len(cuts) % 5}", render_seconds=0.1 * i) for i in order[a:b]]
        for a, b in pairwise(edges)
    ]
    again = [[measured(i, attempt=2, worker="late", write_seconds=9.0) for i in repeated]]
    summary = summary_of([*(flushes[i::sessions] for i in range(sessions)), again])
    assert summary.physical() == in_order()


SINGLE = Layout((9, 2, 10, 10), (10, 10), (10, 10), (10, 10))
"""Images of one tile."""


@pytest.mark.parametrize("layout", [LAYOUT, SINGLE])
def test_only_the_first_images_are_listed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    files = MemoryFiles()
    journal = Journal(files)
    places = np.random.default_rng(2).permutation(layout.tiles)
    tiles = [
        replace(
            measured(int(i) % 9 * 4, maximum=float(i * 7 % 31), bound=float(i % 5)), index=int(i)
        )
        for i in places
    ]
    journal.append(tiles, [], session(journal))

    def reduced(listed: int) -> Summary:
        monkeypatch.setattr(summarising, "LISTED_IMAGES", listed)
        records = Records(Journal(files), layout.tiles)
        return summarise(layout, records, scale={}, steps_per_pixel=7)

    whole, few = reduced(1000), reduced(3)
    images = layout.shape[0] * layout.shape[1]
    assert [(image.shot, image.panel) for image in whole.images] == [
        divmod(number, layout.shape[1]) for number in range(images)
    ]
    assert few.images == whole.images[:3]
    assert (whole.more_images, few.more_images) == (0, images - 3)
    assert few.brightest == whole.brightest == max(whole.images, key=lambda one: one.maximum)
    assert few.bound == whole.bound == max(image.bound for image in whole.images)
    assert few.photons == whole.photons == math.fsum(image.photons for image in whole.images)
    assert f"{images - 3:,} more images; the store's tiles/ have all" in few.text()
    assert Summary.from_json(json.loads(json.dumps(few.to_json()))) == few
    assert few.brightest is not None
    assert f"brightest shot {few.brightest.shot}" in few.brief("a.zarr")


def test_the_first_of_equal_maxima_is_named() -> None:
    records = [measured(i, maximum=5.0) for i in reversed(range(9))]
    image = summary_of([[records[:4], records[4:]]]).images[0]
    first = min((r.maximum_slow, r.maximum_fast) for r in records)
    assert (image.maximum_slow, image.maximum_fast) == first


def test_workers_and_slow_tiles() -> None:
    files = MemoryFiles()
    journal = Journal(files)
    usual = {"render_seconds": 1.0, "write_seconds": 0.5, "worker": "a"}
    tiles = {i: measured(i, **usual, rendered=50) for i in range(12)}
    tiles[3] = measured(3, **usual | {"render_seconds": 4.0}, rendered=100)
    tiles[5] = measured(5, **usual | {"write_seconds": 9.0}, rendered=50)
    tiles[7] = measured(7, **usual | {"render_seconds": 5.5, "worker": "b"}, rendered=50)
    failures = [TileFailure(7, 1, "b", "OSError: full"), TileFailure(20, 1, "b", "again")]
    told = session(journal, seconds=20.0, workers=2, threads=3, lost_workers=1,
                   present={"a": 40.0, "b": 20.0})  # fmt: skip
    journal.append(list(tiles.values()), failures, told)
    summary = summarise(LAYOUT, Records(journal, 36), scale={}, steps_per_pixel=7)
    a, b = summary.workers
    assert (a.worker, a.tiles, b.worker, b.tiles) == ("a", 11, "b", 1)
    assert (a.render_seconds, a.write_seconds) == (14.0, 14.0)
    assert (a.busy_share, a.write_share, a.idle_share) == pytest.approx((0.35, 0.35, 0.3))
    assert a.steps_per_second == pytest.approx(7 * (9 * 50 + 100 + 50) / 28)
    assert (summary.workers_count, summary.threads, summary.wall_seconds) == (2, 3, 20.0)
    assert summary.parallel_efficiency == pytest.approx((28 + 6) / 60)
    assert (summary.attempts, summary.failed_attempts) == (14, 2)
    assert (summary.retried, summary.lost_workers) == (1, 1)
    assert summary.tile_seconds == (1.5, 1.5, 9.0 + 1.0)
    write, speed, steps = summary.slowest[:3]
    assert (write.index, write.seconds, write.why) == (5, 10.0, "90 % of it writing")
    assert (speed.index, speed.attempts) == (7, 2)
    assert speed.why == "0.25 x the median's speed, on worker b, 2 attempts"
    assert (steps.index, steps.steps) == (3, 700)
    assert steps.why == "2 x the median's steps, 0.67 x the median's speed, on worker a"
    assert (steps.shot, steps.panel, steps.slow_start, steps.fast_start) == (0, 0, 10, 0)
    assert summary.slowest[3].why == "much as the others"
    assert [tile.seconds for tile in summary.slowest] == sorted(
        (tile.seconds for tile in summary.slowest), reverse=True
    )
    assert len(summary.slowest) == 10
    (only,) = summary.sessions
    assert (only.number, only.tiles, only.failed_attempts, only.lost_workers) == (1, 12, 2, 1)
    assert "14 attempts, 2 of them failed" in summary.text()
    assert "1 workers were lost" in summary.text()


def test_json_gives_the_same_summary() -> None:
    summary = summary_of([[[measured(i) for i in range(20)]], [[measured(i) for i in (30, 25)]]])
    assert Summary.from_json(json.loads(json.dumps(summary.to_json()))) == summary
    assert [part.tiles for part in summary.sessions] == [20, 2]
    assert "session 2" in summary.text()


def test_a_run_without_records() -> None:
    summary = summary_of([])
    assert (summary.tiles, summary.images, summary.attempts) == (0, (), 0)
    assert summary.text()


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 70), st.integers(1, 70))
def test_places_of_many_tiles_are_those_of_each(
    shots: int, panels: int, slow: int, fast: int
) -> None:
    layout = Layout((shots, panels, slow, fast), (8, 8), (8, 8), (16, 24))
    places = layout.places(np.arange(layout.tiles))
    for index in range(layout.tiles):
        tile = layout.tile_at(index)
        assert {name: int(values[index]) for name, values in places.items()} == {
            name: getattr(tile, name) for name in places
        }
