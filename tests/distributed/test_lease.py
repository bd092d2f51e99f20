"""One driver at a time, whatever the others see and whenever they wake."""

import json
import os
import socket
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.distributed.conftest import make_experiment
from tests.distributed.journals import write_journal
from tiledsim.errors import StoreError
from tiledsim.scheduler import run
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileRecord
from tiledsim.scheduler.store import lease
from tiledsim.scheduler.store.files import Files, LocalFiles
from tiledsim.scheduler.store.lease import PREFIX, Lease, leases

FIRST = f"{PREFIX}00000001.json"


def record(index: int) -> TileRecord:
    return TileRecord(index, 1, "w", 0.1, 0.1, 4, 4, 1.0, 1.0, 0.0, 1.0, 0, 0, 7)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "image.zarr")


def leave(
    files: Files, *, host: str, pid: int, started: float = 0.0, age: float = 0.0, **more: str
) -> None:
    """Leave a lease as another driver would."""
    said = {"host": host, "pid": pid, "started": started, "mark": "m", "renewed": time.time() - age}
    said |= more
    assert files.create(FIRST, json.dumps(said).encode())


def test_it_is_given_back(files: LocalFiles) -> None:
    with Lease(files):
        assert list(leases(files)) == [FIRST]
        with pytest.raises(StoreError, match=f"process {os.getpid()} on .* is writing this store"):
            Lease(files).__enter__()
    assert not leases(files)
    with Lease(files):
        pass


def test_a_dead_process_of_this_machine(files: LocalFiles) -> None:
    leave(files, host=socket.gethostname(), pid=2**22 + 1)
    with Lease(files):
        assert list(leases(files)) == [f"{PREFIX}00000002.json"]


def test_a_process_number_that_was_given_again(files: LocalFiles) -> None:
    """This process lives, but it began later than the holder says."""
    leave(files, host=socket.gethostname(), pid=os.getpid(), started=time.time() - 1e6)
    with Lease(files):
        pass


def test_a_container_or_machine_of_the_same_name(files: LocalFiles) -> None:
    """Its process numbers are not ours: that we have no such process says nothing."""
    leave(files, host=socket.gethostname(), pid=2**22 + 1, numbering="another boot")
    with pytest.raises(StoreError, match="is writing this store"):
        Lease(files).__enter__()
    files.delete(FIRST)
    with Lease(files):
        (mine,) = leases(files).values()
    assert mine is not None
    files.create(FIRST, json.dumps(asdict(mine) | {"pid": 2**22 + 1}).encode())
    with Lease(files):
        pass


def test_another_machine(files: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is believed while its lease is fresh; after that it is watched before it is taken."""
    leave(files, host="elsewhere", pid=1, age=lease.STALE_SECONDS / 2)
    with pytest.raises(StoreError, match="process 1 on elsewhere is writing this store"):
        Lease(files).__enter__()
    files.delete(FIRST)
    leave(files, host="elsewhere", pid=1, age=2 * lease.STALE_SECONDS)
    monkeypatch.setattr(lease, "WATCH_SECONDS", 0.5)

    def renew_with_a_wrong_clock() -> None:
        time.sleep(0.1)
        said = json.loads(files.read(FIRST) or b"")
        files.write(FIRST, json.dumps(said | {"renewed": said["renewed"] + 10}).encode())

    thread = threading.Thread(target=renew_with_a_wrong_clock)
    thread.start()
    with pytest.raises(StoreError, match="is writing this store"):
        Lease(files).__enter__()
    thread.join()
    with Lease(files):
        pass


@pytest.mark.parametrize("said", [b"", b"{}", b"\xff\x00", b'{"host": 1, "pid": "x"}', b"[" * 9999])
def test_a_lease_that_says_nothing(
    files: LocalFiles, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No driver leaves one: its writes are whole."""
    monkeypatch.setattr(lease, "HALF_MADE_SECONDS", 0.01)
    files.create(FIRST, said)
    with Lease(files):
        pass


def test_of_many_that_see_a_stale_lease_one_takes_it(files: LocalFiles) -> None:
    for _ in range(20):
        leave(files, host=socket.gethostname(), pid=2**22 + 1)
        start, holders, refused = threading.Barrier(6), [], []

        def take(
            start: threading.Barrier = start,
            holders: list[Lease] = holders,
            refused: list[str] = refused,
        ) -> None:
            start.wait()
            try:
                holders.append(Lease(files).__enter__())
            except StoreError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(holders) == 1, refused
        assert len(refused) == 5
        holders[0].renew()
        holders[0].__exit__(None, None, None)
        assert not leases(files)


class Slow(LocalFiles):
    """Files on which something happens between seeing a stale lease and taking it."""

    def __init__(self, folder: Path, meanwhile: list[object]) -> None:
        super().__init__(folder)
        self._meanwhile = meanwhile

    def create(self, key: str, data: bytes, /) -> bool:
        if self._meanwhile:
            self._meanwhile.pop().__enter__()  # type: ignore[attr-defined]
        return super().create(key, data)


def test_a_driver_that_is_late_withdraws(files: LocalFiles) -> None:
    """It saw the stale lease; meanwhile another took it, and the stale one is gone."""
    leave(files, host=socket.gethostname(), pid=2**22 + 1)
    first = Lease(files)
    with pytest.raises(StoreError, match="took the store at this moment"):
        Lease(Slow(files.folder, [first])).__enter__()
    first.renew()
    assert len(leases(files)) == 1
    first.__exit__(None, None, None)


def test_numbers_that_began_anew(files: LocalFiles) -> None:
    """The store was taken, given back and taken by a third, which counts from one again."""
    leave(files, host=socket.gethostname(), pid=2**22 + 1)
    third = Lease(files)

    class Meanwhile:
        def __enter__(self) -> None:
            with Lease(files):
                pass
            third.__enter__()

    with pytest.raises(StoreError, match="took the store at this moment"):
        Lease(Slow(files.folder, [Meanwhile()])).__enter__()
    assert list(leases(files)) == [FIRST]
    third.__exit__(None, None, None)


def test_it_is_renewed_while_nothing_happens(
    files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    with Lease(files):
        before = leases(files)[FIRST]
        time.sleep(0.5)
        after = leases(files)[FIRST]
    assert before is not None
    assert after is not None
    assert after.renewed > before.renewed


def test_a_driver_that_slept_too_long_stops(
    files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped, its lease was taken by another machine: it may write nothing more."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    with Lease(files) as mine:
        taken = json.loads(files.read(FIRST) or b"") | {"mark": "other", "host": "elsewhere"}
        files.create(f"{PREFIX}00000002.json", json.dumps(taken).encode())
        time.sleep(0.5)
        with pytest.raises(StoreError, match="another process has taken this store over"):
            mine.renew()
    assert list(leases(files)) == [f"{PREFIX}00000002.json"]


def test_the_journal_of_another_driver_is_not_replaced(files: LocalFiles) -> None:
    """Even where both believe to hold the store."""
    write_journal(files, [record(0), record(1)])
    write_journal(files, [record(2)])
    assert set(Records(Journal(files), 9)) == {0, 1, 2}


def test_overwrite_leaves_a_store_that_is_being_written(tmp_path: Path) -> None:
    small = make_experiment(size_px=(100, 100))
    store = tmp_path / "image.zarr"
    run(small, store)
    with Lease(LocalFiles(store)):
        before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
        with pytest.raises(StoreError, match="is writing this store"):
            run(small, store, overwrite=True)
        assert {p: p.read_bytes() for p in store.rglob("*") if p.is_file()} == before
