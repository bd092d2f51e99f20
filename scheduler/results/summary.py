"""The summary of a run: what is in it, as data and as text."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from tiledsim.scheduler.session.plan import human_seconds


@dataclass(frozen=True)
class ImageSummary:
    """One panel of one shot.  mean, rms and rmsd are nanoBragg's (docs/physics.md, section 7)."""

    shot: int
    panel: int
    maximum: float
    maximum_slow: int
    maximum_fast: int
    photons: float
    """Sum of the pixels, in the summary's unit, as maximum and mean."""
    mean: float
    rms: float
    rmsd: float
    pixels: int
    """Inside the region of interest."""
    rendered: int
    masked: int
    bound: float = 0.0
    """By how many photons a pixel may be too small at most, for steps that were left out."""


@dataclass(frozen=True)
class WorkerSummary:
    """What one worker did, in all sessions together, and how it spent its threads' time."""

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


PHYSICAL = (
    "images", "photons", "scale", "tiles", "steps", "more_images", "brightest", "bound",
)  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """A finished run.

    PHYSICAL are the images' part, which no fault and no order of events may change
    (:meth:`physical`); the rest is how the run went.
    """

    images: tuple[ImageSummary, ...]
    photons: float
    """Sum of all pixels, in ``unit``."""
    scale: dict[str, float]
    """Factors between sums and photons, and the spans of the corrections."""
    tiles: int
    steps: int
    wall_seconds: float
    """Σ over the sessions, each from its first task to its last record."""
    tile_seconds: tuple[float, float, float]
    """Smallest, median and largest."""
    tile_steps_per_second: tuple[float, float, float]
    steps_per_second: float
    parallel_efficiency: float
    """Σ seconds of the tiles / Σ seconds that threads were there."""
    workers: tuple[WorkerSummary, ...]
    workers_count: int
    """The most that were there at one time in any session, as threads."""
    threads: int
    attempts: int
    """Those that gave a tile and those that failed; what was under way when a worker or a driver
    was lost is in neither."""
    failed_attempts: int
    lost_workers: int
    """Workers that left without being asked to."""
    slowest: tuple[SlowTile, ...]
    """The slowest first."""
    sessions: tuple[SessionSummary, ...]
    retried: int
    """Tiles that took more than one attempt."""
    session_tiles: int
    """Tiles of the last session; the others were done before."""
    more_images: int = 0
    """Images that are not in ``images``, which has the first thousand; the store's table of tiles
    has them all."""
    brightest: ImageSummary | None = None
    """Of all images, the first where several are."""
    bound: float = 0.0
    """Largest of all images."""
    unit: str = "photons"
    """Of the pixels: expected photons, or ``ADU`` where counts are stored."""

    def physical(self) -> dict[str, Any]:
        """Return the images' part: the same for every way in which a run may come to its end.

        Returns
        -------
        dict
            The fields that PHYSICAL names, as plain data.
        """
        whole = self.to_json()
        return {name: whole[name] for name in PHYSICAL}

    def to_json(self) -> dict[str, Any]:
        """Return the summary as plain data.

        Returns
        -------
        dict
            Every field by name, lists and dicts in place of tuples and parts.
        """
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Summary":
        """Make a summary of plain data.

        Parameters
        ----------
        data
            What :meth:`to_json` returned.

        Returns
        -------
        Summary
            Equal to the one it was made of.

        Raises
        ------
        ValueError
            For anything else.
        """
        return TypeAdapter(cls).validate_python(data)

    def _repr_html_(self) -> str:
        """Show the summary in a notebook: its images as a table, then how the run went."""
        from html import escape

        names = ("shot", "panel", "maximum", "photons", "mean", "rendered", "masked")
        rows = [
            "".join(f"<td>{getattr(image, name):.6g}</td>" for name in names)
            for image in self.images[:20]
        ]
        more = len(self.images) + self.more_images - len(rows)
        heads = (self.unit if name == "photons" else name for name in names)
        head = "".join(f"<th>{name}</th>" for name in heads)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        rest = f"<p>… and {more:,} more images</p>" if more else ""
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"
            f"<details><summary>{self.tiles:,} tiles in {human_seconds(self.wall_seconds)}, "
            f"{self.photons:.6g} {escape(self.unit)}</summary>"
            f"<pre>{escape(self.text())}</pre></details>"
        )

    def brief(self, store: str) -> str:
        """Return two lines: what came out, and how long it took.

        Parameters
        ----------
        store
            Where the rest is, which the second line names.

        Returns
        -------
        str
            For people.
        """
        top = self.brightest or max(self.images, key=lambda image: image.maximum)
        return (
            f"{self.unit} in all {self.photons:.10g}; brightest shot {top.shot} panel {top.panel}: "
            f"max {top.maximum:.6g} at slow {top.maximum_slow}, fast {top.maximum_fast}\n"
            f"{self.tiles:,} tiles in {human_seconds(self.wall_seconds)}; more: tiledsim summary "
            f"{shlex.quote(store)}"
        )

    def text(self) -> str:
        """Return the summary for people.

        Returns
        -------
        str
            Several lines: images, photons, factors, tiles, workers.
        """
        lines = []
        shown = self.images[:8]
        for image in shown:
            lines += [
                f"shot {image.shot} panel {image.panel}: max {image.maximum:.6g} at slow "
                f"{image.maximum_slow}, fast {image.maximum_fast}",
                f"  {self.unit} {image.photons:.10g}  mean {image.mean:.6g}  rms {image.rms:.6g}  "
                f"rmsd {image.rmsd:.6g}  ({image.rendered:,} pixels, {image.masked:,} masked)",
            ]
        if (more := len(self.images) + self.more_images - len(shown)) > 0:
            where = "the store's tiles/ have" if self.more_images else "to_json() has"
            lines.append(f"… and {more:,} more images; {where} all")
        lines.append(f"{self.unit} in all {self.photons:.10g}")
        if self.bound > 0.0:
            lines.append(
                f"steps left out: no pixel lacks more than {self.bound:.3g} photons by them"
            )
        lines.append("  ".join(f"{name} {value:.8g}" for name, value in self.scale.items()))
        low, middle, high = self.tile_seconds
        lines.append(
            f"{self.tiles:,} tiles in {human_seconds(self.wall_seconds)} "
            f"({self.steps_per_second:.4g} steps/s) on up to {self.workers_count:,} workers with "
            f"{self.threads:,} threads; a tile took {low:.3g} / {middle:.3g} / {high:.3g} s (min / "
            f"median / max); parallel efficiency {100 * self.parallel_efficiency:.0f} %"
        )
        if len(self.sessions) > 1:
            for part in self.sessions[-8:]:
                lines.append(
                    f"  session {part.number}, {part.started}: {part.tiles:,} tiles in "
                    f"{human_seconds(part.seconds)}, {part.workers:,} workers"
                )
        for worker in self.workers[:8]:
            lines.append(
                f"  {worker.worker}: {worker.tiles:,} tiles, "
                f"{worker.steps_per_second:.4g} steps/s, "
                f"rendering {100 * worker.busy_share:.0f} %, writing "
                f"{100 * worker.write_share:.0f} %, idle {100 * worker.idle_share:.0f} %"
            )
        if len(self.workers) > 8:
            lines.append(f"  … and {len(self.workers) - 8:,} more workers")
        for tile in self.slowest[:3]:
            lines.append(
                f"  slow: shot {tile.shot} panel {tile.panel} slow {tile.slow_start} fast "
                f"{tile.fast_start}: {tile.seconds:.3g} s, {tile.why}"
            )
        if self.failed_attempts or self.lost_workers:
            lines.append(
                f"{self.attempts:,} attempts, {self.failed_attempts:,} of them failed; "
                f"{self.retried:,} tiles took more than one; {self.lost_workers:,} workers were "
                "lost"
            )
        return "\n".join(lines)
