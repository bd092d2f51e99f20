"""What a run will do, before it does it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.detector_model.shot_background import kept_bytes
from tiledsim.detector_model.spreading import working_bytes
from tiledsim.errors import ExperimentError, StoreError
from tiledsim.reach.choice import choose
from tiledsim.scheduler.cluster.local import memory_bytes
from tiledsim.scheduler.store.files import Files, LocalFiles
from tiledsim.scheduler.store.layout import Layout

SECONDS_PER_STEP = 8e-9
"""One core: what the estimate assumes; benchmarks/cpu.py measures it."""
SECONDS_PER_PIXEL = 6e-8
"""Directions, corrections, statistics, compression and writing, a pixel."""
BYTES_PER_SERIAL_PIXEL = 16
"""Of a whole shot, whose noise is drawn at once: photons, what is detected and spread, counts."""
SECONDS_PER_COUNT = 5e-8
"""Noise, a pixel; benchmarks/noise.py measures it."""
PROCESS_BYTES = 400 * 2**20
"""Python, NumPy, Numba, Dask and Zarr in one worker process."""


@dataclass(frozen=True)
class Plan:
    """The size of a run."""

    shape: tuple[int, int, int, int]
    pixels: int
    rendered_pixels: int
    steps: int
    tiles: int
    tile: tuple[int, int]
    bytes_to_write: int
    """Before compression."""
    worker_bytes: int
    """Memory of one worker process, all its threads."""
    workers: int
    threads: int
    device_bytes: int
    """Memory of the GPU that one worker process takes; 0 without GPUs."""
    seconds: float | None
    """Estimate, without start-up; None for GPUs, whose speed is not known beforehand."""
    backend: str
    dtype: str
    method: str
    """Whether every step is evaluated, and why."""
    counts: str | None = None
    """Type of the counts that are kept instead of photons."""
    halo: int = 0
    """Pixels around a tile that its point spread needs, and that are rendered with it."""
    float64_cost: float | None = None
    """How many times as long as in mixed a step takes in float64 on the GPU, by count; None without
    one whose kind is known."""

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan for people.

        Returns
        -------
        list of tuple of str
            What is told, and its value with the unit.
        """
        shots, panels, slow, fast = self.shape
        where = f"{self.workers} process(es) x {self.threads} thread(s)"
        lines = [
            (
                "images",
                f"{shots} shot(s) x {panels} panel(s) of {slow} x {fast} pixels (slow x fast)",
            ),
            ("pixels", f"{self.pixels:,}, {self.rendered_pixels:,} of them rendered"),
            ("steps", f"{self.steps:,} ({self.steps / max(self.rendered_pixels, 1):,.0f} a pixel)"),
            ("evaluated", self.method),
            ("tiles", f"{self.tiles:,} of up to {self.tile[0]} x {self.tile[1]} pixels"),
            ("to write", f"{human_bytes(self.bytes_to_write)} before compression"),
            ("memory", f"{human_bytes(self.worker_bytes)} a worker process"),
            (
                "workers",
                f"{where}, {self.backend} {self.dtype}",
            ),
        ]
        if self.counts is not None:
            around = f", {self.halo} pixels around each tile rendered too" if self.halo else ""
            lines.insert(2, ("noise", f"counts as {self.counts}{around}"))
        if self.device_bytes:
            lines.insert(-1, ("GPU", f"{human_bytes(self.device_bytes)} of its memory"))
        if self.float64_cost is not None and self.float64_cost > 1.0:
            lines.append(("precision", self._precision()))
        if self.seconds is not None:
            lines.append(("time", f"about {human_seconds(self.seconds)} after start-up (estimate)"))
        return lines

    def _precision(self) -> str:
        """Say what the other precision would cost, or has cost already."""
        cost = f"{self.float64_cost:.2g} times as long as in mixed on this card, by count"
        if self.dtype == "mixed":
            return f"mixed, exact to some 1e-4 of a pixel; in float64 a step takes {cost}"
        return f"float64: a step takes {cost}; mixed is exact to some 1e-4 of a pixel"


def human_bytes(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def human_seconds(seconds: float) -> str:
    """Write a time for people."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def make_plan(
    scene: Any, layout: Layout, *, workers: int, threads: int, backend: str, dtype: str,
    capability: str = "",
) -> Plan:  # fmt: skip
    """Work out the size of a run of a scene.

    ``capability`` is the compute capability of the GPUs, where it is known.
    """
    itemsize = np.dtype(layout.dtype).itemsize
    shots, panels, slow, fast = scene.shape
    pixels = shots * panels * slow * fast
    steps = scene.rendered_pixels * scene.steps_per_pixel
    halo = scene.halo
    tile_pixels = min(layout.tile[0] + 2 * halo, slow) * min(layout.tile[1] + 2 * halo, fast)
    own_pixels = min(layout.tile[0], slow) * min(layout.tile[1], fast)
    # A tile in float64, as it is stored, its mask, and what statistics and compression copy of it.
    per_thread = tile_pixels * (8 + itemsize + 1 + 24) + working_bytes(halo, *layout.tile)
    whole = 0
    if scene.noise is not None and scene.noise.serial:
        whole = panels * slow * fast * BYTES_PER_SERIAL_PIXEL
    choice = choose(scene, backend)
    cost = (
        choice.share * steps * (tile_pixels / own_pixels) * SECONDS_PER_STEP
        + pixels * SECONDS_PER_PIXEL
    )
    if scene.noise is not None:
        cost += pixels * SECONDS_PER_COUNT
    cuda = backend == "cuda"
    return Plan(
        shape=scene.shape,
        pixels=pixels,
        rendered_pixels=scene.rendered_pixels,
        steps=steps,
        tiles=layout.tiles,
        tile=(min(layout.tile[0], slow), min(layout.tile[1], fast)),
        bytes_to_write=pixels * itemsize,
        worker_bytes=(
            PROCESS_BYTES + scene.table_bytes + kept_bytes(scene) + threads * per_thread + whole
        ),
        workers=workers,
        threads=threads,
        device_bytes=_device_bytes(scene, layout, dtype) if cuda else 0,
        seconds=None if cuda else cost / max(workers * threads, 1),
        backend=backend,
        dtype=dtype,
        method=choice.line(),
        counts=None if scene.noise is None else layout.dtype,
        halo=halo,
        float64_cost=_float64_cost(scene, capability) if cuda else None,
    )


def _device_bytes(scene: Any, layout: Layout, dtype: str) -> int:
    """Memory of a GPU besides its context: the tables of the scene and two bands of a tile."""
    from tiledsim.kernels.cuda.backend import device_bytes

    return device_bytes(scene, layout.tile_at(0), dtype)


def _float64_cost(scene: Any, capability: str) -> float | None:
    from tiledsim.kernels.cuda.cost import float64_cost

    return float64_cost(scene, capability)


def refuse_what_does_not_fit(
    plan: Plan, files: Files, *, local: bool, missing: float = 1.0, overwrite: bool = False
) -> None:
    """Raise ExperimentError or StoreError where memory or disk cannot hold the run.

    ``local`` says that the workers are on this machine; ``missing`` is the share of the tiles that
    a store does not have yet; ``overwrite`` says that what is there goes first.
    """
    needed = plan.workers * plan.worker_bytes
    available = memory_bytes()
    if local and needed > available:
        raise ExperimentError(
            f"{plan.workers} worker(s) need {human_bytes(needed)} of memory, "
            f"{human_bytes(available)} are free; give fewer `workers` or a smaller `tile`"
        )
    if isinstance(files, LocalFiles):
        free = shutil.disk_usage(_existing_parent(files.folder)).free
        needed = round(plan.bytes_to_write * missing)
        if needed > free and overwrite:
            free += _bytes_in(files.folder)
        if needed > free:
            raise StoreError(
                f"{files.url}: up to {human_bytes(needed)} are to be written and "
                f"{human_bytes(free)} are free on that disk; free some or write elsewhere"
            )


def _bytes_in(folder: Path) -> int:
    """Return the room that the files of a folder take."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def _existing_parent(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
