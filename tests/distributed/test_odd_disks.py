"""Disks without links, without room, or not to be written; names that no folder can have."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import NoReturn

import pytest

from tests.distributed.conftest import make_experiment
from tests.distributed.forks import refusal
from tiledsim.errors import RunError, StoreError
from tiledsim.scheduler import run
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.store import lease
from tiledsim.scheduler.store.files import LocalFiles, why_not_made

SMALL = make_experiment(size_px=(99, 99))
Usage = namedtuple("Usage", "total used free")


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    run(SMALL, tmp_path / "a.zarr")
    assert verify(tmp_path / "a.zarr").sound
    files = LocalFiles(tmp_path)
    assert files.create("key", b"one")
    assert not files.create("key", b"two")
    assert files.read("key") == b"one"


def test_a_lease_that_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty for an instant, it is another driver's a moment later."""
    files = LocalFiles(tmp_path)
    with lease.Lease(files):
        (key,) = lease.leases(files)
        whole = files.read(key) or b""

        def written(seconds: float) -> None:
            files.write(key, whole)

        files.write(key, b"")
        monkeypatch.setattr(lease.time, "sleep", written)
        with pytest.raises(StoreError, match="is writing this store"), lease.Lease(files):
            pass


def test_room_that_is_there_once_the_old_store_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a.zarr"
    run(SMALL, place)
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 30_000))
    with pytest.raises(StoreError, match="are free on that disk"):
        run(SMALL, tmp_path / "b.zarr")
    run(SMALL, place, overwrite=True)
    monkeypatch.setattr(shutil, "disk_usage", real)
    assert verify(place).sound


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "free some room"), (errno.EDQUOT, "a larger quota"),
     (errno.EROFS, "mounted for writing")],
)  # fmt: skip
def test_what_to_do_about_a_disk(tmp_path: Path, number: int, advice: str) -> None:
    error = why_not_made(LocalFiles(tmp_path), OSError(number, os.strerror(number)))
    assert isinstance(error, RunError)
    assert advice in str(error)
    assert os.strerror(number) in str(error)


def test_names_that_no_folder_has(tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(SMALL.to_toml())
    long = "x" * 5000
    for arguments in (("run", "experiment.toml", "-o", long), ("verify", long), ("summary", long)):
        said = refusal(*arguments, cwd=tmp_path)
        assert "File name too long; give a shorter name" in said
        assert len(said) < 300
    with pytest.raises(StoreError, match="is no name of a folder"):
        run(SMALL, "a\0b")
