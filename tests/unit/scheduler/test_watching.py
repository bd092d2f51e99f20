"""What is seen of a run from its store alone."""

import contextlib
import json
import time
from pathlib import Path

import pytest

from tests.unit.scheduler.test_journal import record, session
from tiledsim.errors import StoreError
from tiledsim.scheduler.journal import journal as journal_module
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.tile_record import TileFailure
from tiledsim.scheduler.results.watch import Watcher
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import LocalFiles
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.lease import PREFIX

LAYOUT = Layout(shape=(1, 1, 50, 40), chunk=(10, 10), shard=(10, 10), tile=(10, 10))
TILES = 20
RUN = "a"


class CountingFiles(LocalFiles):
    """Counts what is read of the journal."""

    reads = 0

    def read(self, key: str) -> bytes | None:
        self.reads += key.startswith("run/journal/")
        return super().read(key)


@pytest.fixture
def files(tmp_path: Path) -> CountingFiles:
    """A store without a tile."""
    made = CountingFiles(tmp_path / "image.zarr")
    cut = {"shape": LAYOUT.shape, "chunk": LAYOUT.chunk, "shard": LAYOUT.shard,
           "tile": LAYOUT.tile}  # fmt: skip
    with contextlib.closing(made.writer("mark", lambda: None)) as writer:
        store.create(writer, LAYOUT, 0.1, "mark")
        store.publish(writer, {"layout": cut, "run": RUN}, "mark")
    return made


def held(files: CountingFiles, seconds_ago: float) -> None:
    """A lease that its holder renewed some time ago."""
    holder = {"host": "a", "pid": 1, "started": 1.0, "mark": "m",
              "renewed": time.time() - seconds_ago}  # fmt: skip
    files.write(f"{PREFIX}00000001.json", json.dumps(holder).encode())


def test_a_run_from_nothing_to_its_end(
    files: CountingFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SEALED_ROWS", 6)
    held(files, 1)
    watcher = Watcher(files)
    first = watcher.look()
    assert (first.state, first.tiles, first.done) == ("running", TILES, 0)
    assert first.seconds_left is None
    journal = Journal(files)
    failures = [TileFailure(3, 1, "w0", "x"), TileFailure(3, 2, "w0", "x"),
                TileFailure(4, 1, "w1", "y")]  # fmt: skip
    journal.append([record(0), record(1)], failures, session(journal, seconds=4.0))
    seen = watcher.look()
    assert (seen.done, seen.failed, seen.retried, seen.failed_attempts) == (2, 2, 0, 3)
    assert seen.tiles_per_second == pytest.approx(0.5)
    assert seen.seconds_left == pytest.approx(36)
    assert list(watcher.failed.nonzero()[0]) == [3, 4]
    journal.append([record(4)], [], session(journal, lost_workers=1, workers=7, threads=14))
    seen = watcher.look()
    assert (seen.done, seen.failed, seen.retried, seen.failed_attempts) == (3, 1, 1, 3)
    assert (seen.lost_workers, seen.workers, seen.threads) == (1, 7, 14)
    for index in set(range(TILES)) - {0, 1, 4}:
        journal.append([record(index)], [], session(journal))
    with contextlib.closing(files.writer("mark", lambda: None)) as writer:
        store.update_attributes(writer, RUN, {"summary": {}})
    seen = watcher.look()
    assert (seen.state, seen.done, seen.failed, seen.retried) == ("finished", TILES, 0, 2)
    assert seen.seconds_left == 0.0


def test_only_what_grew_is_read_again(
    files: CountingFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SEALED_ROWS", 2)
    journal = Journal(files)
    for index in range(10):
        journal.append([record(index)], [], session(journal))
    assert len(journal.parts()) == 5
    watcher = Watcher(files)
    watcher.look()
    files.reads = 0
    assert watcher.look().done == 10
    assert files.reads == 1


def test_records_taken_back_are_not_done(files: CountingFiles) -> None:
    journal = Journal(files)
    journal.append([record(0), record(1)], [], session(journal))
    watcher = Watcher(files)
    assert watcher.look().done == 2
    journal.drop([1])
    assert watcher.look().done == 1
    again = Journal(files)
    again.append([record(1)], [], session(again))
    assert watcher.look().done == 2


@pytest.mark.parametrize(("seconds", "state"), [(1, "running"), (600, "stopped")])
def test_a_driver_that_is_there_or_gone(files: CountingFiles, seconds: float, state: str) -> None:
    held(files, seconds)
    assert Watcher(files).look().state == state


def test_without_a_lease_it_has_stopped(files: CountingFiles) -> None:
    assert Watcher(files).look().state == "stopped"


def test_a_damaged_journal(files: CountingFiles) -> None:
    files.write("run/journal/00000000-0123456789ab.npz", b"nothing")
    with pytest.raises(StoreError, match="the journal is damaged"):
        Watcher(files).look()
