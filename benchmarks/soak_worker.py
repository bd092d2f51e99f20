"""What workers of the soak do: render and write as ever, disturbed on chosen tiles.

Orders are files in the folder TILEDSIM_SOAK_ORDERS, named ``WHAT-TILE-TIME``.  An order is taken
by renaming it, so that it is obeyed once, whoever is first; ``raise_always`` is never used up.
"""

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any, NoReturn

from tiledsim.kernels.rendered import OnHost
from tiledsim.scheduler.journal.tile_record import Outcome
from tiledsim.scheduler.session import task as worker
from tiledsim.scheduler.store import files
from tiledsim.scheduler.store.shards import Found, ShardFolder

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


def _folder() -> Path:
    return Path(os.environ["TILEDSIM_SOAK_ORDERS"])


def _ordered(what: str, tile: int) -> bool:
    """Take one order off, if there is one."""
    for order in _folder().glob(f"{what}-{tile}-*"):
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
        _Files.tile = self._numbers[tile]
        (_folder() / "started").touch()
        time.sleep(TILE_SECONDS)
        if _ordered("raise", _Files.tile) or _ordered("raise_always", _Files.tile):
            raise ArithmeticError("told to fail")
        pixels = self._real.render_bounded(scene, tile)
        if _ordered("die_before_write", _Files.tile):
            _die()
        return pixels


class _Files(ShardFolder):
    tile = -1

    def _complete(self, key: str, data: bytes, *, durable: bool) -> str:
        if _ordered("write_raise", _Files.tile):
            raise OSError(errno.EIO, "Input/output error (told so)")
        if _ordered("write_hang", _Files.tile):
            time.sleep(HANG_SECONDS)
        if _ordered("die_in_write", _Files.tile):
            super()._complete(key, data[: len(data) // 2], durable=durable)
            _die()
        return super()._complete(key, data, durable=durable)

    def put(self, key: str, data: bytes, /, *, durable: bool) -> Found | None:
        found = super().put(key, data, durable=durable)
        if _ordered("die_after_write", _Files.tile):
            _die()
        return found


_real_renderer, _real_image = worker.renderer_of, worker.image_of


def disturbed_render_tiles(job: worker.Job, tiles: list[tuple[int, int]]) -> list[Outcome]:
    """Do what a worker does, disturbed on chosen tiles as the orders say."""
    numbers = {job.layout.tile_at(index): index for index, _ in tiles}
    files.ANSWER_SECONDS = ANSWER_SECONDS
    worker.image_of = lambda location, layout, run: (  # type: ignore
        _Files(Path(location), run), _real_image(location, layout, run)[1],
    )  # fmt: skip
    return worker.render_tiles(job, tiles, lambda backend, dtype: _Renderer(job, numbers))
