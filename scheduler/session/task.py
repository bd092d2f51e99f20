"""What a worker does: render tiles, write them, and return small records.

Everything a task needs travels in it or is named by a hash; nothing comes from the worker's own
configuration, and a worker that cannot honour a task fails instead of falling back.
"""

import logging
import os
import socket
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tiledsim import __version__
from tiledsim.detector_model.stage import start_stored, start_tile
from tiledsim.errors import BackendError
from tiledsim.kernels import Backend, get_backend
from tiledsim.kernels.rendered import Pending
from tiledsim.scheduler.journal.tile_record import (
    Outcome,
    TileFailure,
    TileRecord,
    Unfit,
    measure,
)
from tiledsim.scheduler.session.opening.photons import photons_of
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import ADVICE, LocalFiles, open_files
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.pyramid import Pyramid
from tiledsim.scheduler.store.shards import Shards, open_shards
from tiledsim.tile import Tile

SCENES = "run/scene"
LONGEST_BATCH_SECONDS = 5.0
LONGEST_LOG = 10_000
"""Characters of a traceback that are kept, the last ones."""
LOST_DEVICE_STATUS = 77
"""With which a worker ends whose GPU is lost; its nanny starts another."""


@dataclass(frozen=True)
class Job:
    """What all tasks of a run have in common."""

    location: str
    run: str
    """The identity of the run; a task writes into no other."""
    scene_hash: str
    layout: Layout
    backend: str
    dtype: str
    """Precision of the arithmetic."""
    fsync: bool
    photons: str = ""
    """A store whose photons are counted; without one they are rendered."""
    pyramid: Pyramid | None = None
    """The smaller copies that are written with each tile."""
    version: str = __version__
    """Of the driver.  Workers that join later were not asked for theirs."""


_LOADING = threading.Lock()
"""Threads of a worker that begin together load a scene once, and wait for it."""


def scene_of(location: str, scene_hash: str) -> Any:
    """Return the scene of a store; its tables are mapped from files, copied here from afar."""
    with _LOADING:
        return _load_scene(location, scene_hash)


def scene_anew(location: str, scene_hash: str) -> Any:
    """Return the scene as it is in the store now, whatever was loaded before.

    Raises InputFileError for one that is missing, or not the one of its hash.
    """
    with _LOADING:
        _load_scene.cache_clear()
        return _load_scene(location, scene_hash)


@lru_cache(maxsize=2)
def _load_scene(location: str, scene_hash: str) -> Any:
    from tiledsim.scene.files import read_scene

    files = open_files(location)
    if isinstance(files, LocalFiles):
        return read_scene(files.folder / SCENES, scene_hash)
    # The files go at once: what is mapped of them stays for as long as the scene is used, and
    # nothing is left behind however this process ends.
    with tempfile.TemporaryDirectory(prefix="tiledsim-scene-") as scratch:
        folder = f"{SCENES}/{scene_hash}/"
        copy = Path(scratch) / scene_hash
        copy.mkdir()
        for name in files.names(folder):
            (copy / name).write_bytes(files.read(folder + name) or b"")
        return read_scene(Path(scratch), scene_hash)


@lru_cache(maxsize=4)
def image_of(location: str, layout: Layout, run: str) -> tuple[Shards, Any]:
    """Open the image of a run and where its shards go; no other run's."""
    files = open_files(location)
    shards = open_shards(files, run)
    return shards, store.open_image(files, layout)


@lru_cache(maxsize=2)
def renderer_of(backend: str, dtype: str) -> Backend:
    """Make the backend that a task asks for; no other."""
    return get_backend(backend, dtype)


def worker_name() -> str:
    """Name the process, and the Dask worker in it where there is one."""
    from distributed import get_worker

    try:
        return str(get_worker().name)
    except ValueError:
        return socket.gethostname()


@dataclass(frozen=True)
class _Begun:
    """A tile that is being rendered."""

    index: int
    attempt: int
    tile: Tile
    scene: Any
    pending: Pending
    ahead: int


def render_tiles(
    job: Job, tiles: Iterable[tuple[int, int]],
    renderer_of: Callable[[str, str], Backend] = renderer_of,
) -> list[Outcome]:  # fmt: skip
    """Render and write tiles, given as (number, attempt); one that fails does not harm the others.

    A worker that cannot render at all says so, once, and touches none.  A GPU renders the next
    tile while this one is written.  Nothing is reported done that is not written.  Tiles may turn
    out much slower than those before them: after LONGEST_BATCH_SECONDS what is done is returned,
    and the rest is left to the driver.
    """
    try:
        renderer = _renderer(job, renderer_of)
    except Exception as error:
        return [Unfit(worker_name(), said(error))]
    results: list[Outcome] = []
    latest = time.monotonic() + LONGEST_BATCH_SECONDS
    begun: deque[_Begun] = deque()
    for index, attempt in tiles:
        made = _begin(job, index, attempt, renderer)
        if isinstance(made, TileFailure):
            results.append(made)
        else:
            begun.append(made)
        while begun and len(begun) > begun[0].ahead:
            results.append(_finish(job, begun.popleft()))
        if results and getattr(results[-1], "ends_the_worker", False):
            return results  # those begun came to nothing through no fault of theirs
        if time.monotonic() > latest:
            break
    return results + [_finish(job, made) for made in begun]


def _renderer(job: Job, renderer_of: Callable[[str, str], Backend]) -> Backend | None:
    """Make what renders the tiles of a run; None where its photons are stored already."""
    if job.version != __version__:
        raise BackendError(
            f"this worker has tiledsim {__version__}, the run {job.version}; install the same"
        )
    return None if job.photons else renderer_of(job.backend, job.dtype)


def _begin(job: Job, index: int, attempt: int, renderer: Backend | None) -> _Begun | TileFailure:
    tile = job.layout.tile_at(index)
    try:
        scene = scene_of(job.location, job.scene_hash)
        if renderer is None:
            pending = start_stored(photons_of(job.photons), scene, tile)
            return _Begun(index, attempt, tile, scene, pending, 0)
        pending = start_tile(renderer, scene, tile)
        return _Begun(index, attempt, tile, scene, pending, renderer.ahead)
    except Exception as error:
        return _failure(index, attempt, error)


def _finish(job: Job, begun: _Begun) -> TileRecord | TileFailure:
    index, attempt, tile = begun.index, begun.attempt, begun.tile
    try:
        started = time.perf_counter()
        made = begun.pending.result()  # first: a GPU may still write into its memory
        statistics = made.statistics(tile, begun.scene.roi)
        rendered = time.perf_counter()
        shards, image = image_of(job.location, job.layout, job.run)
        pixels = store.write_tile(shards, image, job.layout, tile, made.pixels, fsync=job.fsync)
        if pixels is not made.pixels:  # another task was first
            statistics = replace(made, pixels=pixels, rows=None).statistics(tile, begun.scene.roi)
        if job.pyramid is not None:
            job.pyramid.write_tile(shards, tile, pixels)
        written = time.perf_counter()
    except Exception as error:
        return _failure(index, attempt, error)
    return measure(
        begun.scene, tile, pixels, statistics, index=index, attempt=attempt,
        worker=worker_name(), render_seconds=rendered - started, write_seconds=written - rendered,
        bound=made.bound,
    )  # fmt: skip


def _failure(index: int, attempt: int, error: Exception) -> TileFailure:
    """Say what went wrong with a tile; where the process cannot go on, end it."""
    lost = getattr(error, "ends_the_process", False)
    if lost:
        _end_the_process(error)
    advice = ADVICE.get(error.errno or 0) if isinstance(error, OSError) else None
    what = said(error) if advice is None else f"{said(error)}; {advice}"
    log = "".join(traceback.format_exception(error))[-LONGEST_LOG:]
    return TileFailure(index, attempt, worker_name(), what, advice is not None, lost, log)


def said(error: Exception) -> str:
    """Return the kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _end_the_process(error: Exception) -> None:
    """Make room for a fresh process, which a nanny starts; without one, the worker is to leave.

    Every later CUDA call of this process would fail too, and its tiles with it.
    """
    from distributed import get_worker

    try:
        nanny = get_worker().nanny
    except ValueError:
        nanny = None
    if nanny:
        logging.getLogger("distributed.worker").error("%s", error)
        logging.shutdown()
        os._exit(LOST_DEVICE_STATUS)
