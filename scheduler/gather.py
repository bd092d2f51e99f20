"""The summary of a run, from the records of its tiles, in tile order; no pixel is read back."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tiledsim.scheduler.plan import human_seconds
from tiledsim.scheduler.records import TileRecord
from tiledsim.scheduler.tiles import Layout


@dataclass(frozen=True)
class ImageSummary:
    """One panel of one shot.  mean, rms and rmsd are nanoBragg's (docs/physics.md, section 7)."""

    shot: int
    panel: int
    maximum: float
    maximum_slow: int
    maximum_fast: int
    photons: float
    mean: float
    rms: float
    rmsd: float
    pixels: int
    """Inside the region of interest."""
    rendered: int
    masked: int


@dataclass(frozen=True)
class WorkerSummary:
    """What one worker did in the last session, and how it spent its threads' time."""

    worker: str
    tiles: int
    render_seconds: float
    """Of all its threads together, as write_seconds."""
    write_seconds: float
    busy_share: float
    """Rendering; with write_share and idle_share it makes 1."""
    write_share: float
    idle_share: float
    """The rest of the time that its threads were there: waiting, statistics, transport."""
    steps_per_second: float
    """While it rendered or wrote."""


@dataclass(frozen=True)
class SlowTile:
    """One of the tiles that took longest, and why."""

    index: int
    shot: int
    panel: int
    slow_start: int
    fast_start: int
    seconds: float
    """Rendering and writing."""
    steps: int
    attempts: int
    """Over all sessions, the one that succeeded included."""
    why: str
    """In words, against the median of the tiles."""


@dataclass(frozen=True)
class SessionSummary:
    """One session of a run: a driver from its first task to its end, however it ended."""

    number: int
    """1 for the first."""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    """Up to its last record."""
    tiles: int
    workers: int
    """The most that were there at one time, as threads."""
    threads: int
    failed_attempts: int
    lost_workers: int


@dataclass(frozen=True)
class Summary:
    """A finished run.

    images, photons, scale, tiles and steps are the images' part, which no fault and no order of
    events may change (:meth:`physical`); the rest is how the run went.
    """

    images: tuple[ImageSummary, ...]
    photons: float
    scale: dict[str, float]
    """Factors between sums and photons, and the spans of the corrections."""
    tiles: int
    steps: int
    wall_seconds: float
    """Of the last session that rendered tiles, from the first task to the last record; the speeds
    and the workers below are of this session as well."""
    tile_seconds: tuple[float, float, float]
    """Smallest, median and largest."""
    tile_steps_per_second: tuple[float, float, float]
    steps_per_second: float
    parallel_efficiency: float
    """Σ seconds of the session's tiles / Σ seconds that threads were there."""
    workers: tuple[WorkerSummary, ...]
    workers_count: int
    """The most that were there at one time, as threads."""
    threads: int
    attempts: int
    """Of all tiles over all sessions: those that gave a tile and those that failed."""
    failed_attempts: int
    lost_workers: int
    """Workers that left without being asked, over all sessions."""
    slowest: tuple[SlowTile, ...]
    """Of all sessions, the slowest first."""
    sessions: tuple[SessionSummary, ...]
    retried: int
    """Tiles that took more than one attempt."""
    session_tiles: int
    """Tiles of the last session; the others were done before."""

    def physical(self) -> dict[str, Any]:
        """Return the images' part: the same for every way in which a run may come to its end."""
        whole = self.to_json()
        return {name: whole[name] for name in ("images", "photons", "scale", "tiles", "steps")}

    def to_json(self) -> dict[str, Any]:
        """Return the summary as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Summary":
        """Make a summary of what :meth:`to_json` returned."""
        values = dict(data)
        values["images"] = tuple(ImageSummary(**image) for image in data["images"])
        values["workers"] = tuple(WorkerSummary(**worker) for worker in data["workers"])
        values["slowest"] = tuple(SlowTile(**tile) for tile in data["slowest"])
        values["sessions"] = tuple(SessionSummary(**session) for session in data["sessions"])
        values["tile_seconds"] = tuple(data["tile_seconds"])
        values["tile_steps_per_second"] = tuple(data["tile_steps_per_second"])
        return cls(**values)

    def text(self) -> str:
        """Return the summary for people."""
        lines = []
        for image in self.images[:8]:
            lines += [
                f"shot {image.shot} panel {image.panel}: max {image.maximum:.6g} at slow "
                f"{image.maximum_slow}, fast {image.maximum_fast}",
                f"  photons {image.photons:.10g}  mean {image.mean:.6g}  rms {image.rms:.6g}  "
                f"rmsd {image.rmsd:.6g}  ({image.rendered:,} pixels, {image.masked:,} masked)",
            ]
        if len(self.images) > 8:
            lines.append(f"… and {len(self.images) - 8:,} more images; see --json")
        lines.append(f"photons in all {self.photons:.10g}")
        lines.append("  ".join(f"{name} {value:.8g}" for name, value in self.scale.items()))
        low, middle, high = self.tile_seconds
        lines.append(
            f"{self.tiles:,} tiles, {self.session_tiles:,} of them in "
            f"{human_seconds(self.wall_seconds)} ({self.steps_per_second:.4g} steps/s); a tile "
            f"took {low:.3g} / {middle:.3g} / {high:.3g} s (min / median / max); "
            f"parallel efficiency {100 * self.parallel_efficiency:.0f} %"
        )
        for worker in self.workers[:8]:
            lines.append(
                f"  {worker.worker}: {worker.tiles:,} tiles, {worker.steps_per_second:.4g} steps/s, "
                f"rendering {100 * worker.busy_share:.0f} %, writing "
                f"{100 * worker.write_share:.0f} %, idle {100 * worker.idle_share:.0f} %"
            )
        if len(self.workers) > 8:
            lines.append(f"  … and {len(self.workers) - 8:,} more workers")
        if self.retried:
            lines.append(f"{self.retried:,} tiles took more than one attempt")
        return "\n".join(lines)


def summarise(
    layout: Layout, records: Mapping[int, TileRecord], *, scale: Mapping[str, float | int],
    steps_per_pixel: int, session: Iterable[int], wall_seconds: float, threads: int,
) -> Summary:  # fmt: skip
    """Reduce the records of a run, complete or not, in tile order.

    ``session`` are the tiles of the last session, which the speeds are about.
    """
    by_image: dict[tuple[int, int], list[TileRecord]] = {}
    for index in sorted(records):
        tile = layout.tile_at(index)
        by_image.setdefault((tile.shot, tile.panel), []).append(records[index])
    images = tuple(_image(shot, panel, part) for (shot, panel), part in by_image.items())
    mine = [records[index] for index in sorted(session) if index in records]
    seconds = [record.render_seconds + record.write_seconds for record in mine]
    speeds = [
        record.rendered * steps_per_pixel / max(spent, 1e-9)
        for record, spent in zip(mine, seconds, strict=True)
    ]
    steps = sum(record.rendered for record in mine) * steps_per_pixel
    return Summary(
        images=images,
        photons=math.fsum(image.photons for image in images),
        scale=dict(scale) | _spans(records),
        tiles=len(records),
        steps=sum(record.rendered for record in records.values()) * steps_per_pixel,
        wall_seconds=wall_seconds,
        tile_seconds=_three(seconds),
        tile_steps_per_second=_three(speeds),
        steps_per_second=steps / wall_seconds if wall_seconds > 0 else 0.0,
        parallel_efficiency=sum(seconds) / (threads * wall_seconds) if wall_seconds > 0 else 0.0,
        workers=_workers(mine, steps_per_pixel, wall_seconds, threads),
        workers_count=len({record.worker for record in mine}),
        threads=threads,
        attempts=sum(record.attempt for record in records.values()),
        failed_attempts=sum(record.attempt - 1 for record in records.values()),
        lost_workers=0,
        slowest=(),
        sessions=(),
        retried=sum(record.attempt > 1 for record in records.values()),
        session_tiles=len(mine),
    )


def _three(values: list[float]) -> tuple[float, float, float]:
    return (min(values), median(values), max(values)) if values else (0.0, 0.0, 0.0)


def _image(shot: int, panel: int, records: list[TileRecord]) -> ImageSummary:
    inside = sum(record.inside for record in records)
    rendered = sum(record.rendered for record in records)
    photons = math.fsum(record.total for record in records)
    mean = photons / max(rendered, 1)
    # Σ(x − mean)² over the region from the spreads about each tile's own mean.
    spread = math.fsum(
        record.spread + record.inside * (record.total / record.inside - mean) ** 2
        for record in records
        if record.inside
    )
    peak = min(records, key=lambda r: (-r.maximum, r.maximum_slow, r.maximum_fast))
    return ImageSummary(
        shot=shot,
        panel=panel,
        maximum=peak.maximum,
        maximum_slow=peak.maximum_slow,
        maximum_fast=peak.maximum_fast,
        photons=photons,
        mean=mean,
        rms=math.sqrt(math.fsum(r.total_sqr for r in records) / max(rendered - 1, 1)),
        rmsd=math.sqrt(spread / max(inside - 1, 1)),
        pixels=inside,
        rendered=rendered,
        masked=inside - rendered,
    )


def _spans(records: Mapping[int, TileRecord]) -> dict[str, float]:
    spans: dict[str, float] = {}
    for record in records.values():
        for name, value in record.ranges.items():
            pick = min if name.endswith("_min") else max
            spans[name] = pick(spans.get(name, value), value)
    return dict(sorted(spans.items()))


def _workers(
    records: list[TileRecord], steps_per_pixel: int, wall_seconds: float, threads: int
) -> tuple[WorkerSummary, ...]:
    by_worker: dict[str, list[TileRecord]] = {}
    for record in records:
        by_worker.setdefault(record.worker, []).append(record)
    there = max(wall_seconds * threads / max(len(by_worker), 1), 1e-9)
    summaries = []
    for worker, part in sorted(by_worker.items()):
        render = math.fsum(r.render_seconds for r in part)
        write = math.fsum(r.write_seconds for r in part)
        steps = sum(r.rendered for r in part) * steps_per_pixel
        summaries.append(
            WorkerSummary(
                worker,
                len(part),
                render,
                write,
                render / there,
                write / there,
                1.0 - (render + write) / there,
                steps / max(render + write, 1e-9),
            )  # fmt: skip
        )
    return tuple(summaries)
