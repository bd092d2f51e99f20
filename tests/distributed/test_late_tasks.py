"""A task writes into the run that it was made for, or nowhere, whatever is done to the store."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.distributed.conftest import image_bytes, make_experiment
from tiledsim.errors import StoreError
from tiledsim.scheduler import run
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.journal_file import Session
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileFailure, TileRecord
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.session.events import Event, TilesDone
from tiledsim.scheduler.session.task import Job, image_of, render_tiles
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import LocalFiles
from tiledsim.scheduler.store.image import read_attributes, write_tile
from tiledsim.scheduler.store.lease import Lease
from tiledsim.scheduler.store.open import layout_of
from tiledsim.scheduler.store.shards import ShardFolder, open_shards

OLD = make_experiment(size_px=(700, 600))
LAST = 3
"""The tile that a run which was cut short has not rendered."""
NEW = OLD.replace(structure_factors={"default_F": 7.0})


def job_of(place: Path) -> Job:
    files = LocalFiles(place)
    about = read_attributes(files)
    return Job(
        str(place), about["run"], about["scene_hash"], layout_of(files), "cpu", "float64", False
    )


class Late:
    """A task that has begun: it has opened its image and rendered, and is about to write."""

    def __init__(self, place: Path) -> None:
        self.job = job_of(place)
        self.shards, self.image = image_of(str(place), self.job.layout, self.job.run)

    def wakes(self) -> None:
        """Write every tile of its run, in pixels that nobody else would write."""
        for index in range(self.job.layout.tiles):
            tile = self.job.layout.tile_at(index)
            pixels = np.full((tile.rows, tile.cols), 1e6, np.float32)
            write_tile(self.shards, self.image, self.job.layout, tile, pixels, fsync=True)


def begun(place: Path) -> Late:
    """A run that was cut short, its store, and a task of it."""

    def stop(event: Event) -> None:
        if isinstance(event, TilesDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(OLD, place, threads=1, callbacks=[stop])
    Journal(LocalFiles(place)).drop([LAST])
    (place / "image" / "c" / "0" / "0" / "1" / "1").unlink(missing_ok=True)
    return Late(place)


def overwrite(place: Path) -> None:
    run(NEW, place, overwrite=True)


def delete_and_make_anew(place: Path) -> None:
    shutil.rmtree(place)
    run(NEW, place)


def move_and_make_anew(place: Path) -> None:
    place.rename(place.with_name("moved.zarr"))
    run(NEW, place)


def overwrite_with_the_same(place: Path) -> None:
    run(OLD, place, overwrite=True)


@pytest.mark.parametrize(
    "change", [overwrite, delete_and_make_anew, move_and_make_anew, overwrite_with_the_same]
)
def test_a_store_that_is_of_another_run_now(tmp_path: Path, change: Any) -> None:
    place = tmp_path / "a.zarr"
    late = begun(place)
    change(place)
    before = image_bytes(place)
    if change is move_and_make_anew:
        late.wakes()  # into its own run, where that is now
        moved = store.read_tile(
            store.open_image(LocalFiles(tmp_path / "moved.zarr")), late.job.layout.tile_at(LAST)
        )
        assert moved.max() == 1e6
    else:
        with pytest.raises(StoreError, match="overwritten, moved or deleted"):
            late.wakes()
    # A task that begins to write only now.
    image_of.cache_clear()
    (failure,) = render_tiles(late.job, [(0, 1)])
    assert isinstance(failure, TileFailure)
    assert "not there any more" in failure.error or "No such file" in failure.error
    assert image_bytes(place) == before
    assert verify(place).sound


def test_while_the_store_is_being_made_anew(tmp_path: Path) -> None:
    """Between the moment in which the old image goes and that in which the new run is named."""
    place = tmp_path / "a.zarr"
    late = begun(place)
    files = LocalFiles(place)
    with Lease(files) as lease:
        store.create(lease.files, late.job.layout, 0.05, "mark")
    with pytest.raises(StoreError, match="overwritten, moved or deleted"):
        late.wakes()
    with pytest.raises(StoreError, match="overwritten, moved or deleted"):
        open_shards(files, late.job.run)
    assert not (place / "image" / "c").exists()


def test_a_finished_run_keeps_what_was_recorded(tmp_path: Path) -> None:
    """Of two tasks of one tile the first wins: the record of a tile remains true."""
    place = tmp_path / "a.zarr"
    late = begun(place)
    summary = run(OLD, place, resume=True)
    before = image_bytes(place)
    late.wakes()
    assert image_bytes(place) == before
    assert verify(place).sound
    assert run(OLD, place, resume=True) == summary


def test_who_comes_second_records_what_is_stored(tmp_path: Path) -> None:
    place = tmp_path / "a.zarr"
    late = begun(place)
    late.wakes()
    (record,) = render_tiles(late.job, [(LAST, 1)])
    assert isinstance(record, TileRecord)
    assert record.maximum == 1e6


@pytest.mark.parametrize("content", [b"", b"torn"])
def test_a_torn_shard_is_replaced(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "a.zarr"
    late = begun(place)
    tile = late.job.layout.tile_at(LAST)
    key = late.image.metadata.encode_chunk_key(next(iter(late.job.layout.shards_of(tile)))[0])
    (place / "image" / key).parent.mkdir(parents=True, exist_ok=True)
    (place / "image" / key).write_bytes(content)
    run(OLD, place, resume=True)
    assert verify(place).sound


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a.zarr"
    late = begun(place)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    before = image_bytes(place)
    late.wakes()
    after = image_bytes(place)
    assert {key: after[key] for key in before} == before  # what was there stays
    assert len(after) > len(before)


def test_records_of_another_run_do_not_count(tmp_path: Path) -> None:
    """A driver that wakes when the store is another run's may write a last part of its journal."""
    place = tmp_path / "a.zarr"
    late = begun(place)
    files = LocalFiles(place)
    record = Records(Journal(files), late.job.layout.tiles)
    first = record[next(iter(record))]
    driver = Journal(files, late.job.run)
    summary = run(NEW, place, overwrite=True)
    driver.append([first], [], Session("m", "now", 1.0, 1, 1, 0, {}))
    assert verify(place).sound
    assert run(NEW, place, resume=True) == summary
    assert len(Records(Journal(files), late.job.layout.tiles).sessions) == 1
    with (
        Lease(files) as lease,
        pytest.raises(StoreError, match="overwritten, moved or deleted meanwhile"),
    ):
        store.update_attributes(lease.files, late.job.run, {"summary": {}})


def test_nothing_of_a_run_can_be_written_by_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run(OLD, tmp_path / "a.zarr")
    finally:
        os.umask(before)
    shards = list((tmp_path / "a.zarr" / "image" / "c").rglob("*"))
    assert shards
    assert not [path for path in shards if path.stat().st_mode & 0o022]


def test_an_image_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    place = tmp_path / "a.zarr"
    late = begun(place)
    (place / "image").rename(tmp_path / "elsewhere")
    (place / "image").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"Not a directory|overwritten, moved"):
        ShardFolder(place, late.job.run)
