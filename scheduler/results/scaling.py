"""Finished runs with different numbers of workers, held against each other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tiledsim.errors import BackendError, StoreError
from tiledsim.scheduler.results.stored_summary import load_summary
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files

PROPORTIONAL = 0.1
"""Runs are weak scaling if their steps a thread differ by no more than this part."""


@dataclass(frozen=True)
class Run:
    """One of the runs that are compared."""

    store: str
    workers: int
    threads: int
    """Of all workers together; what speed-up and efficiency are counted in."""
    steps: int
    wall_seconds: float
    """Of all sessions together."""
    steps_per_second: float
    speed_up: float
    """Steps a second against the run with the fewest threads."""
    efficiency: float
    """Steps a second and thread against the same run."""
    retried: int
    lost_workers: int
    resumed: bool
    """Whether several sessions did it: workers and threads are then the most of any of them."""


@dataclass(frozen=True)
class Comparison:
    """Runs by their number of threads, fewest first."""

    kind: Literal["strong", "weak"]
    """strong: the same images by more threads; weak: steps that grow with the threads."""
    runs: tuple[Run, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return asdict(self)

    def text(self) -> str:
        """Return the comparison as a table for people."""
        head = ("workers", "threads", "steps", "wall s", "steps/s", "speed-up", "efficiency",
                "retried", "lost", "store")  # fmt: skip
        rows = [head] + [
            (
                f"{run.workers:,}", f"{run.threads:,}", f"{run.steps:.4g}",
                f"{run.wall_seconds:.4g}{'*' if run.resumed else ''}",
                f"{run.steps_per_second:.4g}", f"{run.speed_up:.3g}",
                f"{100 * run.efficiency:.1f} %", f"{run.retried:,}", f"{run.lost_workers:,}",
                run.store,
            )
            for run in self.runs
        ]  # fmt: skip
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        what = "the same images" if self.kind == "strong" else "steps that grow with the threads"
        lines = [f"{self.kind} scaling ({what}); against {self.runs[0].threads:,} thread(s):"]
        for row in rows:
            cells = [cell.rjust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
            lines.append("  ".join([*cells, row[-1]]))
        if any(run.resumed for run in self.runs):
            lines.append("* of several sessions together, whose workers may have differed")
        return "\n".join(lines)


def compare(locations: Sequence[str | Path]) -> Comparison:
    """Compare finished runs by their stores.

    Raises StoreError for runs that differ in more than their workers, or not in them.
    """
    files = [open_files(location) for location in locations]
    about = [store.read_attributes(each) for each in files]
    summaries = [load_summary(each) for each in files]
    for key in ("backend", "dtype", "mode"):
        for found, each in zip(about, files, strict=True):
            if found.get(key) != about[0].get(key):
                raise StoreError(
                    f"{files[0].url} and {each.url} differ in {key} ({about[0].get(key)}, "
                    f"{found.get(key)}); compare runs that differ in their workers"
                )
    if len({summary.threads for summary in summaries}) < 2:
        raise StoreError(
            f"all runs had {summaries[0].threads} thread(s); scaling needs different numbers"
        )
    kind = _kind([found.get("scene_hash") for found in about], summaries)
    base = min(summaries, key=lambda summary: summary.threads)
    if not base.steps_per_second > 0:
        raise StoreError("the run with the fewest threads did no steps; nothing to compare with")
    runs = [
        Run(
            store=str(location),
            workers=summary.workers_count,
            threads=summary.threads,
            steps=summary.steps,
            wall_seconds=summary.wall_seconds,
            steps_per_second=summary.steps_per_second,
            speed_up=summary.steps_per_second / base.steps_per_second,
            efficiency=(summary.steps_per_second / summary.threads)
            / (base.steps_per_second / base.threads),
            retried=summary.retried,
            lost_workers=summary.lost_workers,
            resumed=summary.session_tiles < summary.tiles,
        )
        for location, summary in zip(locations, summaries, strict=True)
    ]
    return Comparison(kind, tuple(sorted(runs, key=lambda run: (run.threads, run.store))))


def _kind(hashes: list[Any], summaries: list[Summary]) -> Literal["strong", "weak"]:
    if len(set(hashes)) == 1:
        return "strong"
    shares = [summary.steps / max(summary.threads, 1) for summary in summaries]
    if max(shares) <= (1 + PROPORTIONAL) * min(shares):
        return "weak"
    raise StoreError(
        "the runs are of different experiments, and their steps do not grow with their threads "
        f"({min(shares):.3g} to {max(shares):.3g} steps a thread); neither strong nor weak scaling"
    )


def plot(comparison: Comparison, file: Path) -> None:
    """Draw speed and efficiency over threads into a PNG file.

    Raises BackendError without matplotlib, StoreError where the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise BackendError('a plot needs matplotlib: pip install "tiledsim[plot]"') from None
    threads = [run.threads for run in comparison.runs]
    ideal = [run.threads / threads[0] for run in comparison.runs]
    figure = Figure(figsize=(9, 4), layout="constrained")
    speed, efficiency = figure.subplots(1, 2)
    speed.plot(threads, ideal, "--", color="0.6", label="ideal")
    speed.plot(threads, [run.speed_up for run in comparison.runs], "o-", label="measured")
    speed.set(
        xscale="log", yscale="log", xlabel="threads",
        ylabel=f"steps/s against {threads[0]} thread(s)", title=f"{comparison.kind} scaling",
    )  # fmt: skip
    speed.legend()
    efficiency.plot(threads, [100 * run.efficiency for run in comparison.runs], "o-")
    efficiency.axhline(100, linestyle="--", color="0.6")
    top = max(110.0, *(105 * run.efficiency for run in comparison.runs))
    efficiency.set(xscale="log", xlabel="threads", ylabel="efficiency / %", ylim=(0, top))
    speed.set_yticks(ideal, [f"{ratio:.3g}" for ratio in ideal])
    for axes in (speed, efficiency):
        axes.set_xticks(sorted(set(threads)), [str(n) for n in sorted(set(threads))])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    try:
        figure.savefig(file, format="png", dpi=120)
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from None
