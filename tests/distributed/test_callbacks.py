"""What a callback raises is its own, and what it is shown it cannot change."""

from pathlib import Path

import numpy as np
import pytest

from tests.distributed.conftest import make_experiment
from tiledsim.scheduler import run
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.session.events import Connecting, Event, RunStarted, TilesDone

SMALL = make_experiment(size_px=(99, 99))


@pytest.mark.parametrize("kind", [Connecting, RunStarted, TilesDone])
@pytest.mark.parametrize("error", [OSError(28, "mine"), RuntimeError("mine"), ValueError("mine")])
def test_its_error_reaches_the_caller(tmp_path: Path, kind: type[Event], error: Exception) -> None:
    """Nobody else is blamed, and what is done is kept."""

    def callback(event: Event) -> None:
        if isinstance(event, kind):
            raise error

    with pytest.raises(type(error)) as caught:
        run(SMALL, tmp_path / "a.zarr", callbacks=[callback])
    assert caught.value is error
    assert run(SMALL, tmp_path / "a.zarr", resume=True).tiles == 1
    assert verify(tmp_path / "a.zarr").sound


def test_which_tiles_are_done_is_read_only(tmp_path: Path) -> None:
    seen: list[np.ndarray] = []

    def callback(event: Event) -> None:
        if isinstance(event, RunStarted):
            assert not event.done_tiles.any()
            with pytest.raises(ValueError, match="read-only"):
                event.done_tiles[0] = True
            seen.append(event.done_tiles)

    assert run(SMALL, tmp_path / "a.zarr", callbacks=[callback]).photons > 0
    assert seen[0].all()
