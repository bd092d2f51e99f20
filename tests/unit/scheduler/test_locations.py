"""Where a store is, as people write it."""

from pathlib import Path

import pytest

from tiledsim.errors import StoreError
from tiledsim.scheduler.store.files import LocalFiles, open_files
from tiledsim.scheduler.store.objects import what_it_says


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


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("error performing PUT http://169.254.169.254/latest/api/token", "AWS_ACCESS_KEY_ID"),
        ("HTTP error: builder error\nwith a request", "AWS_ALLOW_HTTP=true"),
    ],
)
def test_what_an_object_store_says_comes_with_advice(said: str, advice: str) -> None:
    found = what_it_says(RuntimeError(said))
    assert found.startswith(said.splitlines()[0])
    assert advice in found
    assert "\n" not in found
    assert what_it_says(RuntimeError("else")) == "else"
