"""What a worker does: render tiles, write them, and return small records.

Everything a task needs travels in it or is named by a hash; nothing comes from the worker's own
configuration, and a worker that cannot honour a task fails instead of falling back.
"""

import atexit
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.scheduler import store
from tiledsim.scheduler.files import NO_ROOM, Files, LocalFiles, open_files
from tiledsim.scheduler.records import TileFailure, TileRecord, measure
from tiledsim.scheduler.tiles import Layout
from tiledsim.tile import Tile

SCENES = "run/scene"
LONGEST_BATCH_SECONDS = 5.0


class Renderer(Protocol):
    """What a worker needs of a backend."""

    def render(self, scene: Any, tile: Tile) -> NDArray[np.float64]:
        """Render a tile [rows, cols]."""


@dataclass(frozen=True)
class Job:
    """What all tasks of a run have in common."""

    location: str
    scene_hash: str
    layout: Layout
    backend: str
    dtype: str
    """Precision of the arithmetic."""
    fsync: bool


@lru_cache(maxsize=2)
def scene_of(location: str, scene_hash: str) -> Any:
    """Load the scene of a store; its tables are mapped from files, copied here from afar."""
    from tiledsim.scene import Scene

    files = open_files(location)
    if isinstance(files, LocalFiles):
        return Scene.load(files.folder / SCENES, scene_hash)
    scratch = Path(tempfile.mkdtemp(prefix="tiledsim-scene-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    folder = f"{SCENES}/{scene_hash}/"
    (scratch / scene_hash).mkdir()
    for name in files.names(folder):
        (scratch / scene_hash / name).write_bytes(files.read(folder + name) or b"")
    return Scene.load(scratch, scene_hash)


@lru_cache(maxsize=4)
def image_of(location: str) -> tuple[Files, Any]:
    """Open a store and its image."""
    files = open_files(location)
    return files, store.open_image(files)


@lru_cache(maxsize=2)
def renderer_of(backend: str, dtype: str) -> Renderer:
    """Make the backend that a task asks for; no other."""
    from tiledsim.kernels import get_backend

    return get_backend(backend, dtype)


def worker_name() -> str:
    """Name the process, and the Dask worker in it where there is one."""
    from distributed import get_worker

    try:
        return str(get_worker().name)
    except ValueError:
        return socket.gethostname()


def render_tiles(job: Job, tiles: Iterable[tuple[int, int]]) -> list[TileRecord | TileFailure]:
    """Render and write tiles, given as (number, attempt); one that fails does not harm the others.

    Nothing is reported done that is not written.  Tiles may turn out much slower than those before
    them: after LONGEST_BATCH_SECONDS what is done is returned, and the rest is left to the driver.
    """
    results = []
    latest = time.monotonic() + LONGEST_BATCH_SECONDS
    for index, attempt in tiles:
        results.append(_render_tile(job, index, attempt))
        if time.monotonic() > latest:
            break
    return results


def _render_tile(job: Job, index: int, attempt: int) -> TileRecord | TileFailure:
    tile = job.layout.tile_at(index)
    name = worker_name()
    try:
        scene = scene_of(job.location, job.scene_hash)
        files, image = image_of(job.location)
        started = time.perf_counter()
        pixels = renderer_of(job.backend, job.dtype).render(scene, tile).astype(image.dtype)
        if not np.isfinite(pixels).all():
            raise FloatingPointError("a pixel is not a finite number; is the fluence too large?")
        rendered = time.perf_counter()
        store.write_tile(files, image, job.layout, tile, pixels, fsync=job.fsync)
        written = time.perf_counter()
    except Exception as error:
        if getattr(error, "ends_the_process", False):
            raise
        full = isinstance(error, OSError) and error.errno in NO_ROOM
        return TileFailure(index, attempt, name, f"{type(error).__name__}: {error}", full)
    return measure(
        scene, tile, pixels, index=index, attempt=attempt, worker=name,
        render_seconds=rendered - started, write_seconds=written - rendered,
    )  # fmt: skip
