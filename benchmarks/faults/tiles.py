"""What workers of the soak do: render and write as ever, disturbed on chosen tiles.

Orders are files in the folder TILEDSIM_SOAK_ORDERS, named ``WHAT-TILE-TIME``.  An order is taken
by renaming it, so that it is obeyed once, whoever is first; ``raise_always`` is never used up.  A
task that is told to hold waits at that point until there is a file ``release``.
"""

import errno
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from tiledsim.kernels.rendered import OnHost
from tiledsim.scheduler.journal.tile_record import Outcome
from tiledsim.scheduler.session import task as worker
from tiledsim.scheduler.store import answers, files
from tiledsim.scheduler.store.shards import Found, ShardFolder, ShardPrefix

TILE_SECONDS = 0.1
ANSWER_SECONDS = 1.0
HANG_SECONDS = 3.0
FAULTS_IN_TILES = {
    "tiles that raise": ("raise",),
    "a tile that always raises": ("raise_always",),
    "writes that fail": ("write_raise",),
    "writes that hang": ("write_hang",),
    "killed before the write": ("die_before_write",),
    "killed during the write": ("die_in_write",),
    "killed between write and record": ("die_after_write",),
}
HOLDS = ("hold_before_opening", "hold_before_write", "hold_in_write", "hold_after_write")
"""Where a task may be kept: it has rendered; it has opened its image and knows whose that is; its
shard is complete beside its place; it is in its place, and what belongs to it is not."""
HELD_SECONDS = 60.0


class _Tile(threading.local):
    number = -1


_TILE = _Tile()
"""The tile of this thread; of a task without orders, none."""


def _folder() -> Path:
    return Path(os.environ["TILEDSIM_SOAK_ORDERS"])


def _ordered(what: str) -> bool:
    """Take one order off, if there is one for the tile of this thread."""
    if _TILE.number < 0:
        return False
    for order in _folder().glob(f"{what}-{_TILE.number}-*"):
        taken = _folder() / f"taken-{order.name}"
        if what == "raise_always":
            taken.touch()
            return True
        try:
            order.rename(taken)
        except FileNotFoundError:
            continue
        return True
    return False


def _hold(what: str) -> None:
    """Wait to be released, if this tile is to be held here."""
    if not _ordered(what):
        return
    name = f"{what}-{_TILE.number}"
    (_folder() / f"held-{name}").touch()
    end = time.monotonic() + HELD_SECONDS
    while not (_folder() / "release").exists() and time.monotonic() < end:
        time.sleep(0.01)
    _HELD.append(name)


_HELD: list[str] = []
"""What this process has released and not finished."""


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit


class _Renderer:
    ahead = 0

    def __init__(self, job: worker.Job, numbers: dict[Any, int]) -> None:
        self._real = _real_renderer(job.backend, job.dtype)
        self._numbers = numbers

    def start(self, scene: Any, tile: Any) -> OnHost:
        return OnHost(self, scene, tile)

    def render_bounded(self, scene: Any, tile: Any) -> Any:
        _TILE.number = self._numbers[tile]
        (_folder() / "started").touch()
        time.sleep(TILE_SECONDS)
        if _ordered("raise") or _ordered("raise_always"):
            raise ArithmeticError("told to fail")
        pixels = self._real.render_bounded(scene, tile)
        if _ordered("die_before_write"):
            _die()
        _hold("hold_before_opening")
        return pixels


_TILE_OF: dict[str, int] = {}
"""The tile of a shard that is being put: its bytes are written by another thread."""


class _Folder(ShardFolder):
    def _complete(self, array: int, key: str, data: bytes, *, durable: bool) -> str:
        _TILE.number = _TILE_OF.get(key, -1)
        if _ordered("write_raise"):
            raise OSError(errno.EIO, "Input/output error (told so)")
        if _ordered("write_hang"):
            time.sleep(HANG_SECONDS)
        if _ordered("die_in_write"):
            super()._complete(array, key, data[: len(data) // 2], durable=durable)
            _die()
        made = super()._complete(array, key, data, durable=durable)
        _hold("hold_in_write")
        return made

    def put(self, key: str, data: bytes, /, *, durable: bool) -> Found | None:
        _TILE_OF[key.partition("/")[2]] = _TILE.number
        _hold("hold_before_write")
        found = super().put(key, data, durable=durable)
        if _ordered("die_after_write"):
            _die()
        _hold("hold_after_write")
        return found


class _Prefix(ShardPrefix):
    def put(self, key: str, data: bytes, /, *, durable: bool) -> Found | None:
        _hold("hold_before_write")
        found = super().put(key, data, durable=durable)
        _hold("hold_after_write")
        return found

    def _check_current(self) -> None:
        super()._check_current()
        _hold("hold_in_write")  # it has seen its run named, and goes on to write


_real_renderer, _real_image = worker.renderer_of, worker.image_of


def _disturbed_image(location: str, layout: Any, run: str) -> Any:
    _, image = _real_image(location, layout, run)
    opened = files.open_files(location)
    if isinstance(opened, files.LocalFiles):
        return _Folder(opened.folder, run), image
    assert isinstance(opened, files.ObjectFiles)
    return _Prefix(opened, run), image


def disturbed_render_tiles(job: worker.Job, tiles: list[tuple[int, int]]) -> list[Outcome]:
    """Do what a worker does, disturbed on chosen tiles as the orders say."""
    numbers = {job.layout.tile_at(index): index for index, _ in tiles}
    answers.ANSWER_SECONDS = ANSWER_SECONDS if any(_folder().glob("*write_hang*")) else HELD_SECONDS
    worker.image_of = _disturbed_image  # type: ignore[assignment]
    try:
        return worker.render_tiles(job, tiles, lambda backend, dtype: _Renderer(job, numbers))
    finally:
        _TILE.number = -1
        while _HELD:
            (_folder() / f"ended-{_HELD.pop()}").touch()
