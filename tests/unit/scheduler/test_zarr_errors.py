"""What an object store says while zarr uses it."""

from pathlib import Path

import pytest
import zarr
from obstore.exceptions import GenericError

from tests.distributed.conftest import make_experiment
from tiledsim.errors import RunError, StoreError
from tiledsim.scene.build import build_scene
from tiledsim.scheduler import run
from tiledsim.scheduler.journal import zarr_columns as columns
from tiledsim.scheduler.results.stored_summary import load_summary
from tiledsim.scheduler.store import files
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.layout import choose_layout

SAID = "Generic S3 error: Error performing PUT http://127.0.0.1:9: no answer"


def refuse(*_: object, **__: object) -> None:
    raise GenericError(f"{SAID}\n\nDebug source:\nGeneric {{ … }}")


def test_a_store_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = choose_layout(build_scene(make_experiment(size_px=(9, 9))))
    monkeypatch.setattr(zarr, "open_group", refuse)
    with pytest.raises(StoreError) as error:
        store.create(open_files("memory:///x"), layout, 0.1)
    assert str(error.value) == f"memory:///x: {SAID}"


def test_a_summary_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiles are there, and the next session goes on from them."""
    monkeypatch.setattr(files, "ObjectFiles", files.LocalFiles)  # a disk that speaks as S3 does
    small = make_experiment(size_px=(9, 9))
    with monkeypatch.context() as broken:
        broken.setattr(columns, "_write", refuse)
        with pytest.raises(RunError) as error:
            run(small, tmp_path / "image.zarr")
    assert SAID in str(error.value)
    assert str(error.value).endswith("all tiles are done, but not the summary; `resume` makes it")
    assert "\n" not in str(error.value)
    assert run(small, tmp_path / "image.zarr", resume=True).tiles == 1
    assert load_summary(open_files(tmp_path / "image.zarr")).tiles == 1
