"""The records of a run reduced to its summary, in tile order; no pixel is read back.

What is held does not grow with the run, but for two numbers a tile while the medians are taken.
Portions of records are ranges of tile numbers, so the result is the same to the last bit whoever
finished which tile when, and in how many sessions.
"""

import heapq
import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.scheduler.journal.record_dtype import RANGES
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileRecord
from tiledsim.scheduler.results.summary import (
    ImageSummary,
    SessionSummary,
    SlowTile,
    Summary,
    WorkerSummary,
)
from tiledsim.scheduler.store.layout import Layout

SLOWEST_TILES = 10
LISTED_IMAGES = 1000
"""Images that a summary has one by one, the first; all are in the store's table of tiles."""
NOTABLE = 1.2
"""A tile is called slow, or large, from so many times the median on."""


@dataclass
class _Image:
    """Sums over the tiles of one image, one number a portion in each list."""

    inside: int = 0
    rendered: int = 0
    totals: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)
    spreads: list[tuple[int, float, float]] = field(default_factory=list)
    """Pixels, their mean and Σ(x − mean)²."""
    bound: float = 0.0
    peak: tuple[float, int, int] = (math.inf, 0, 0)
    """− maximum, slow, fast: the smallest of these is the first of the largest."""

    def add(self, rows: NDArray[Any]) -> None:
        """Take the tiles of a portion, in tile order."""
        inside, total = rows["inside"], rows["total"]
        pixels, photons = int(inside.sum()), math.fsum(total)
        self.inside += pixels
        self.rendered += int(rows["rendered"].sum())
        self.totals.append(photons)
        self.squares.append(math.fsum(rows["total_sqr"]))
        if pixels:
            mean = photons / pixels
            off = total / np.maximum(inside, 1) - mean
            self.spreads.append(
                (pixels, mean, math.fsum(rows["spread"]) + math.fsum(inside * off * off))
            )
        self.bound = max(self.bound, float(rows["bound"].max()))
        highest = rows[rows["maximum"] == rows["maximum"].max()]
        first = highest[np.lexsort((highest["maximum_fast"], highest["maximum_slow"]))[0]]
        at = int(first["maximum_slow"]), int(first["maximum_fast"])
        self.peak = min(self.peak, (-float(first["maximum"]), *at))

    def summary(self, shot: int, panel: int) -> ImageSummary:
        photons = math.fsum(self.totals)
        mean = photons / max(self.rendered, 1)
        # Σ(x − mean)² over the region from the spreads about each portion's own mean.
        spread = math.fsum(s + n * (m - mean) ** 2 for n, m, s in self.spreads)
        return ImageSummary(
            shot=shot,
            panel=panel,
            maximum=-self.peak[0],
            maximum_slow=self.peak[1],
            maximum_fast=self.peak[2],
            photons=photons,
            mean=mean,
            rms=math.sqrt(math.fsum(self.squares) / max(self.rendered - 1, 1)),
            rmsd=math.sqrt(spread / max(self.inside - 1, 1)),
            pixels=self.inside,
            rendered=self.rendered,
            masked=self.inside - self.rendered,
            bound=self.bound,
        )


class _Workers:
    """Sums over the tiles of each worker."""

    def __init__(self, records: Records) -> None:
        self._names = records.workers
        self._sums = np.zeros((4, len(self._names)))
        self._present: dict[str, float] = {}
        for session, _, _ in records.sessions:
            for name, seconds in session.present.items():
                self._present[name] = self._present.get(name, 0.0) + seconds

    def add(self, rows: NDArray[Any]) -> None:
        """Take a portion."""
        weights = (None, rows["render_seconds"], rows["write_seconds"], rows["rendered"])
        for sums, weight in zip(self._sums, weights, strict=True):
            sums += np.bincount(rows["worker"], weights=weight, minlength=len(self._names))

    @property
    def present(self) -> float:
        """Σ seconds that threads were there."""
        return math.fsum(self._present.values())

    def summaries(self, steps_per_pixel: int) -> Iterator[WorkerSummary]:
        """Yield what each worker did, the workers that gave no tile left out."""
        for name, (tiles, render, write, pixels) in zip(self._names, self._sums.T, strict=True):
            if not tiles:
                continue
            # A worker may be done, and its tile counted, before its presence is noticed.
            there = max(self._present.get(name, 0.0), render + write, 1e-9)
            yield WorkerSummary(
                worker=name,
                tiles=int(tiles),
                render_seconds=float(render),
                write_seconds=float(write),
                busy_share=float(render / there),
                write_share=float(write / there),
                idle_share=max(0.0, float(1.0 - (render + write) / there)),
                steps_per_second=float(pixels * steps_per_pixel / max(render + write, 1e-9)),
            )


class _Images:
    """The images of a run, which come one after the other: what is kept does not grow with them,
    but for a number each.
    """

    def __init__(self, layout: Layout) -> None:
        self._panels = layout.shape[1]
        self._single = layout.grid[2] * layout.grid[3] == 1
        self._layout = layout
        self._open: tuple[int, _Image] | None = None
        self.first: list[ImageSummary] = []
        self.brightest: ImageSummary | None = None
        self.bound = 0.0
        self.photons = array("d")
        self.count = 0

    def add(self, rows: NDArray[Any]) -> None:
        """Take the tiles of a portion, in tile order."""
        if self._single:
            self._add_single(rows)
            return
        for number, part in _by_image(self._layout, rows):
            if self._open is None or self._open[0] != number:
                self.end()
                self._open = number, _Image()
            self._open[1].add(part)

    def end(self) -> None:
        """Close the image that is open."""
        if self._open is not None:
            number, image = self._open
            self._open = None
            self._keep(image.summary(*divmod(number, self._panels)))

    def _keep(self, image: ImageSummary) -> None:
        self.count += 1
        self.photons.append(image.photons)
        self.bound = max(self.bound, image.bound)
        if self.brightest is None or image.maximum > self.brightest.maximum:
            self.brightest = image
        if len(self.first) < LISTED_IMAGES:
            self.first.append(image)

    def _add_single(self, rows: NDArray[Any]) -> None:
        """Take images of one tile: one by one only those that are listed, and the brightest."""
        for i in range(min(LISTED_IMAGES - len(self.first), len(rows))):
            self.first.append(self._alone(rows, i))
        top = int(rows["maximum"].argmax())
        if self.brightest is None or rows["maximum"][top] > self.brightest.maximum:
            self.brightest = self._alone(rows, top)
        self.count += len(rows)
        self.photons.frombytes(np.ascontiguousarray(rows["total"]).tobytes())
        self.bound = max(self.bound, float(rows["bound"].max()))

    def _alone(self, rows: NDArray[Any], place: int) -> ImageSummary:
        image = _Image()
        image.add(rows[place : place + 1])
        return image.summary(*divmod(int(rows["index"][place]), self._panels))


def _by_image(layout: Layout, rows: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the number of each image in a portion, and its rows."""
    _, _, down, across = layout.grid
    image = rows["index"] // (down * across)
    starts = np.flatnonzero(np.diff(image, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        yield int(image[start]), rows[start:stop]


def summarise(
    layout: Layout, records: Records, *, scale: Mapping[str, float | int], steps_per_pixel: int
) -> Summary:
    """Reduce the records of a run, complete or not, in tile order."""
    images = _Images(layout)
    workers = _Workers(records)
    spans = np.full(len(RANGES), np.nan)
    seconds = np.zeros(len(records))
    pixels = np.zeros(len(records), dtype=np.int64)
    slowest: list[tuple[float, int]] = []
    filled = 0
    for rows in records.portions():
        if not len(rows):
            continue
        images.add(rows)
        workers.add(rows)
        for i, name in enumerate(RANGES):
            pick = np.fmin if name.endswith("_min") else np.fmax
            spans[i] = pick(spans[i], pick.reduce(rows[name]))
        spent = rows["render_seconds"] + rows["write_seconds"]
        seconds[filled : filled + len(rows)] = spent
        pixels[filled : filled + len(rows)] = rows["rendered"]
        filled += len(rows)
        longest = np.argsort(-spent, kind="stable")[:SLOWEST_TILES]
        found = [(float(spent[i]), -int(rows["index"][i])) for i in longest]
        slowest = heapq.nlargest(SLOWEST_TILES, slowest + found)
    images.end()
    sessions = tuple(
        SessionSummary(
            number=number,
            started=session.started,
            seconds=session.seconds,
            tiles=tiles,
            workers=session.workers,
            threads=session.threads,
            failed_attempts=failed,
            lost_workers=session.lost_workers,
        )
        for number, (session, tiles, failed) in enumerate(records.sessions, start=1)
    )
    wall = math.fsum(session.seconds for session in sessions)
    steps = int(pixels.sum()) * steps_per_pixel
    usual = (float(np.median(seconds)), float(np.median(pixels))) if filled else (0.0, 0.0)
    return Summary(
        images=tuple(images.first),
        more_images=images.count - len(images.first),
        brightest=images.brightest,
        bound=images.bound,
        photons=math.fsum(images.photons),
        scale=dict(scale)
        | {n: float(v) for n, v in sorted(zip(RANGES, spans, strict=True)) if not np.isnan(v)},
        tiles=filled,
        steps=steps,
        wall_seconds=wall,
        tile_seconds=_three(seconds),
        tile_steps_per_second=_three(pixels / np.maximum(seconds, 1e-9) * steps_per_pixel),
        steps_per_second=steps / wall if wall > 0 else 0.0,
        parallel_efficiency=math.fsum(seconds) / workers.present if workers.present > 0 else 0.0,
        workers=tuple(workers.summaries(steps_per_pixel)),
        workers_count=max((session.workers for session in sessions), default=0),
        threads=max((session.threads for session in sessions), default=0),
        attempts=records.given + len(records.failed_tiles),
        failed_attempts=len(records.failed_tiles),
        lost_workers=sum(session.lost_workers for session in sessions),
        slowest=tuple(
            _slow(layout, records, -index, steps_per_pixel, usual) for _, index in slowest
        ),
        sessions=sessions,
        retried=int(np.count_nonzero(records.done[np.unique(records.failed_tiles)])),
        session_tiles=sessions[-1].tiles if sessions else 0,
        unit="photons" if layout.dtype == "float32" else "ADU",
    )  # fmt: skip


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    if not values.size:
        return 0.0, 0.0, 0.0
    return float(values.min()), float(np.median(values)), float(values.max())


def _slow(
    layout: Layout, records: Records, index: int, steps_per_pixel: int, usual: tuple[float, float]
) -> SlowTile:
    """Describe one of the slowest tiles; ``usual`` are the median seconds and pixels of a tile."""
    record, place = records[index], layout.tile_at(index)
    attempts = 1 + int(np.count_nonzero(records.failed_tiles == index))
    return SlowTile(
        index=index,
        shot=place.shot,
        panel=place.panel,
        slow_start=place.slow_start,
        fast_start=place.fast_start,
        seconds=record.render_seconds + record.write_seconds,
        steps=record.rendered * steps_per_pixel,
        attempts=attempts,
        why=_why(record, attempts, *usual),
    )


def _why(record: TileRecord, attempts: int, usual_seconds: float, usual_pixels: float) -> str:
    """Say what makes a tile slower than the median one: steps, speed, writing, attempts."""
    spent = record.render_seconds + record.write_seconds
    slower = spent / max(usual_seconds, 1e-9)
    larger = record.rendered / max(usual_pixels, 1.0)
    reasons = []
    if larger >= NOTABLE:
        reasons.append(f"{larger:.2g} x the median's steps")
    if slower >= NOTABLE and record.write_seconds > record.render_seconds:
        reasons.append(f"{100 * record.write_seconds / spent:.0f} % of it writing")
    elif slower / max(larger, 1e-9) >= NOTABLE and slower >= NOTABLE:
        reasons.append(f"{larger / slower:.2g} x the median's speed, on worker {record.worker}")
    if attempts > 1:
        reasons.append(f"{attempts} attempts")
    return ", ".join(reasons) or "much as the others"
