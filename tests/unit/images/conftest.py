from pathlib import Path

import pytest

from tests.unit.images.exports import make, tiledsim_run
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.store.files import open_files


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "run.zarr"
    tiledsim_run(make(), path)
    return path


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 2 x 2 tiles of which one has no record."""
    path = tmp_path_factory.mktemp("unfinished") / "run.zarr"
    tiledsim_run(make(detector={"size_px": (600, 700)}, shots={"count": 1}), path)
    Journal(open_files(path)).drop([1])
    return path
