"""Where a store is, as people write it."""

from pathlib import Path

import pytest

from tiledsim.errors import StoreError
from tiledsim.scheduler.files import LocalFiles, open_files


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("/data/my run.zarr/", "/data/my run.zarr"),
        ("file:///data/my%20run.zarr", "/data/my run.zarr"),
        ("file://localhost/data/run.zarr", "/data/run.zarr"),
    ],
)
def test_folders(location: str, folder: str) -> None:
    files = open_files(location)
    assert isinstance(files, LocalFiles)
    assert files.folder == Path(folder)


def test_workers_are_told_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may have another working directory."""
    monkeypatch.chdir(tmp_path)
    assert open_files("run.zarr").url == str(tmp_path / "run.zarr")


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file://run.zarr", "is file:///folder"),
        ("file://data/run.zarr", "is file:///folder"),
        ("S3://bucket/run.zarr", "S3:// is no address of a store; use file://, s3://"),
        ("gcs://user:hushhush@bucket/x", "gcs:// is no address"),
    ],
)
def test_addresses_that_are_none(location: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as error:
        open_files(location)
    assert "hushhush" not in str(error.value)
