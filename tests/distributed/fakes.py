"""A renderer that misbehaves on chosen tiles; importable by worker processes."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels import get_backend
from tiledsim.kernels.rendered import OnHost
from tiledsim.scheduler.journal.tile_record import Outcome
from tiledsim.scheduler.session.collaborators import Collaborators
from tiledsim.scheduler.session.task import Job, render_tiles, worker_name
from tiledsim.tile import Tile


class Faulty:
    """Renders as the CPU does, but raises, waits or dies as files in a folder tell it.

    ``raise-SLOW-FAST`` holds the number of times that the tile at this corner still raises;
    ``wait`` holds seconds that every tile takes, ``hang-SLOW-FAST`` those of one tile, once; on the
    worker named in ``raise-on`` every tile raises, and that named in ``die-on`` dies once.
    """

    ahead = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, scene: Any, tile: Tile) -> OnHost:
        """Put a tile off."""
        return OnHost(self, scene, tile)

    def render_bounded(self, scene: Any, tile: Tile) -> tuple[NDArray[np.float64], float]:
        """Render a tile, or not."""
        order = self._folder / f"raise-{tile.slow_start}-{tile.fast_start}"
        if order.exists() and (times := int(order.read_text())) > 0:
            order.write_text(str(times - 1))
            raise ArithmeticError("told to fail")
        broken = self._folder / "raise-on"
        if broken.exists() and broken.read_text() == worker_name():
            raise ArithmeticError("told to fail here")
        deadly = self._folder / "die-on"
        if deadly.exists() and deadly.read_text() == worker_name():
            deadly.unlink()
            os._exit(1)
        hanging = self._folder / f"hang-{tile.slow_start}-{tile.fast_start}"
        with suppress(FileNotFoundError):  # once: whoever takes the order hangs
            hanging.rename(taken := hanging.with_name(f"taken-{hanging.name}"))
            time.sleep(float(taken.read_text()))
        wait = self._folder / "wait"
        if wait.exists():
            time.sleep(float(wait.read_text()))
        return get_backend("cpu").render_bounded(scene, tile)


def faulty_render_tiles(job: Job, tiles: Iterable[tuple[int, int]]) -> list[Outcome]:
    """Do what a worker does, with the faulty renderer of TILEDSIM_TEST_FAULTS."""
    folder = Path(os.environ["TILEDSIM_TEST_FAULTS"])
    return render_tiles(job, tiles, lambda backend, dtype: Faulty(folder))


FAULTY = Collaborators(task=faulty_render_tiles)
