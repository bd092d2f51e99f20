"""What the processes of the soak do.  Imported once, before they are forked: kernel and all."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import distributed
import distributed.deploy
import zarr
import zarr.storage  # noqa: F401

from faults import sleeper, tiles
from tiledsim.errors import TiledsimError
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.scene.build import build_scene
from tiledsim.scheduler import run
from tiledsim.scheduler.session.collaborators import Collaborators
from tiledsim.scheduler.store import lease
from tiledsim.tile import Tile

SHAPE_PX = (2200, 2700)
TILES = 30
OLD = Experiment(
    beam={"wavelength_A": 1.0},
    crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (9, 8, 7)},
    structure_factors={"default_F": 100.0},
    detector={"size_px": SHAPE_PX, "pixel_mm": 0.05},
    sampling={"oversample": 1},
)
NEW = OLD.replace(structure_factors={"default_F": 7.0})
EXPERIMENTS = {"old": OLD, "new": NEW}
get_backend("cpu", "float64").render_bounded(build_scene(OLD), Tile(0, 0, 0, 8, 0, 8))


def begin(target: Callable[..., None], log: str, *arguments: Any) -> None:
    """Do one of the functions below, with a log instead of a terminal."""
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(said, standard)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    target(*arguments)


def render(about: dict[str, Any]) -> None:
    """Render one experiment, as ``about`` says; end with the status that the command would."""
    if about.get("orders"):
        os.environ["TILEDSIM_SOAK_ORDERS"] = about["orders"]
    collaborators = Collaborators()
    if about.get("disturbed"):
        collaborators = Collaborators(task=tiles.disturbed_render_tiles)
    if about.get("elsewhere"):  # as if its leases came from another machine
        lease.socket.gethostname = lambda: "elsewhere"  # type: ignore[attr-defined]
    if about.get("impatient"):
        lease.STALE_SECONDS, lease.WATCH_SECONDS = 0.5, 0.2
    if about.get("sleep") is not None:
        sleeper.install(Path(about["orders"]), about["sleep"])
    try:
        run(
            EXPERIMENTS[about["experiment"]], about["store"], fsync=about.get("fsync", False),
            collaborators=collaborators, **about["how"],
        )  # fmt: skip
    except KeyboardInterrupt as stopped:
        sys.exit(f"KeyboardInterrupt: {stopped}")
    except TiledsimError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def serve_scheduler(file: str) -> None:
    """Be a scheduler, whose address is then in a file."""

    async def serve() -> None:
        options = {"host": "127.0.0.1", "port": 0, "dashboard": False}
        async with distributed.Scheduler(**options) as scheduler:
            made = Path(file + ".partial")
            made.write_text(json.dumps({"address": scheduler.address}))
            made.rename(file)
            await scheduler.finished()

    asyncio.run(serve())


def serve_worker(address: str, folder: str, orders: str, threads: int, nanny: bool) -> None:
    """Be a worker, or the nanny of one."""
    os.environ["TILEDSIM_SOAK_ORDERS"] = orders

    async def serve() -> None:
        kind = distributed.Nanny if nanny else distributed.Worker
        about = {"host": "127.0.0.1", "nthreads": threads, "death_timeout": 120}
        async with kind(address, local_directory=folder, **about) as worker:
            await worker.finished()

    asyncio.run(serve())
