"""Render an experiment into a store: the driver.

Batches of tiles go to workers in a bounded window; a batch that died with its worker is sent again
tile by tile, and a tile that keeps failing is reported while the others finish.
"""

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tiledsim.errors import RunError, StoreError
from tiledsim.experiment import Experiment
from tiledsim.kernels import choose_backend_name
from tiledsim.scene import Scene, build_scene
from tiledsim.scheduler import store
from tiledsim.scheduler.cluster import cores, local_client, remote_client, wait_for_workers
from tiledsim.scheduler.columns import write_columns
from tiledsim.scheduler.events import (
    Callback,
    Event,
    RunFinished,
    RunStarted,
    TileFailed,
    TileRetried,
    TilesDone,
)
from tiledsim.scheduler.files import Files, LocalFiles, open_files
from tiledsim.scheduler.gather import Summary, summarise
from tiledsim.scheduler.journal import Journal
from tiledsim.scheduler.lease import Lease
from tiledsim.scheduler.plan import Plan, make_plan, refuse_what_does_not_fit
from tiledsim.scheduler.records import TileFailure, TileRecord
from tiledsim.scheduler.tiles import Layout, choose_layout
from tiledsim.scheduler.worker import SCENES, Job, render_tiles

BATCH_SECONDS = 1.0
FLUSH_SECONDS = 1.0
LARGEST_BATCH = 1000


class Driver:
    """One session of a run: what is to do, what is done, what has failed."""

    def __init__(
        self, client: Any, job: Job, journal: Journal, lease: Lease, *, attempts: int,
        first_batch: int, callbacks: tuple[Callback, ...],
    ) -> None:  # fmt: skip
        self._client = client
        self._job = job
        self._journal = journal
        self._lease = lease
        self._attempts = attempts
        self._callbacks = callbacks
        self._batch = max(1, first_batch)
        self._again: deque[tuple[int, int]] = deque()
        self._unwritten: list[TileRecord] = []
        self._flushed = time.monotonic()
        self._tasks = 0
        self.records: dict[int, TileRecord] = {}
        self.failed: dict[int, TileFailure] = {}

    def _tell(self, event: Event) -> None:
        for callback in self._callbacks:
            callback(event)

    def _batches(self, indices: Iterator[int]) -> Iterator[list[tuple[int, int]]]:
        """Yield what to send next: repeated tiles one by one, then batches of new ones."""
        while True:
            if self._again:
                yield [self._again.popleft()]
                continue
            batch = []
            for index in indices:
                batch.append((index, 1))
                if len(batch) >= self._batch:
                    break
            if batch:
                yield batch
            elif not self._again:
                return

    def work_through(self, indices: Iterable[int], threads: int) -> None:
        """Render tiles until all have a record or have failed for good."""
        from distributed import as_completed

        window = max(4, 3 * threads)
        waiting: dict[str, list[tuple[int, int]]] = {}
        source = iter(indices)
        running: Any = as_completed(
            [], loop=self._client.loop, with_results=True, raise_errors=False
        )

        def refill() -> None:
            for batch in self._batches(source):
                self._tasks += 1
                future = self._client.submit(
                    render_tiles, self._job, batch, pure=False, retries=0,
                    key=f"tiles-{self._job.scene_hash[:8]}-{time.time_ns():x}-{self._tasks}",
                )  # fmt: skip
                waiting[future.key] = batch
                running.add(future)
                if len(waiting) >= window:
                    return

        try:
            refill()
            while waiting:
                for future, result in running.next_batch(block=True):
                    batch = waiting.pop(future.key)
                    if future.status == "finished":
                        self._take(result)
                    else:
                        self._recover(batch, future.status, result)
                self._flush(at_least=FLUSH_SECONDS)
                if len(waiting) < window:
                    refill()
        finally:
            self._flush(at_least=0.0)

    def _take(self, results: list[TileRecord | TileFailure]) -> None:
        done = [result for result in results if isinstance(result, TileRecord)]
        for record in done:
            self.records.setdefault(record.index, record)
        self._unwritten += done
        if done:
            self._tell(TilesDone(tuple(done)))
            spent = sum(r.render_seconds + r.write_seconds for r in done) / len(done)
            self._batch = min(LARGEST_BATCH, max(1, int(BATCH_SECONDS / max(spent, 1e-6))))
        for result in results:
            if isinstance(result, TileFailure):
                self._retry(result)

    def _recover(self, batch: list[tuple[int, int]], status: str, result: Any) -> None:
        """Deal with a task that brought no results: its worker died, or the scheduler did."""
        if self._client.status != "running" or status == "lost":
            raise RunError("the connection to the Dask scheduler is lost")
        error = result[1] if isinstance(result, tuple) and len(result) > 1 else status
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if status == "cancelled" and len(batch) == 1:
            reason = "the task was cancelled, with its worker or by the scheduler"
        for index, attempt in batch:
            if len(batch) > 1:  # which of them it was is not known: none is charged
                self._again.append((index, attempt))
            else:
                self._retry(TileFailure(index, attempt, "?", reason))

    def _retry(self, failure: TileFailure) -> None:
        if failure.attempt < self._attempts:
            self._again.append((failure.index, failure.attempt + 1))
            self._tell(TileRetried(failure.index, failure.attempt, failure.error))
        else:
            self.failed[failure.index] = failure
            self._tell(TileFailed(failure.index, failure.attempt, failure.error))

    def _flush(self, *, at_least: float) -> None:
        if time.monotonic() - self._flushed >= at_least:
            self._journal.append(self._unwritten)
            self._unwritten = []
            self._flushed = time.monotonic()
            self._lease.renew()


def run(
    experiment: Experiment, location: str | Path, *, client: Any = None,
    scheduler: str | None = None, workers: int | None = None, threads: int | None = None,
    tile: tuple[int, int] | None = None,
    backend: str = "auto", dtype: str = "float64", overwrite: bool = False, resume: bool = False,
    attempts: int = 3, fsync: bool = True, callbacks: Iterable[Callback] = (), command: str = "",
    scene: Scene | None = None,
) -> Summary:  # fmt: skip
    """Render all images of an experiment into a Zarr store and return the summary.

    ``client`` is a Dask client of the caller's, ``scheduler`` the address of a scheduler; without
    either, workers are started on this machine: one process with a thread a core, or ``workers``
    processes with ``threads`` each.  ``tile`` (rows, cols) is rounded up to whole shards.
    ``resume`` continues a run that was cut short; ``overwrite`` deletes one.  ``fsync`` makes
    every tile durable before it counts as done.

    Raises ExperimentError, StoreError or BackendError before anything is written, and RunError
    for a run that could not be finished; what it did is kept for ``resume``.
    """
    name, _ = choose_backend_name(backend, dtype)
    scene = scene or build_scene(experiment)
    layout = choose_layout(scene, tile)
    files = open_files(location)
    there = store.exists(files)
    if there and not (overwrite or resume):
        raise StoreError(f"{files.url} exists; --overwrite it, --resume it or give another name")
    if there and overwrite and not resume:
        _check_deletable(files)
    if resume and there:
        layout = _check_same_run(files, scene, name, dtype, tile)
        if "summary" in store.read_attributes(files):
            return load_summary(files)
    local = client is None and scheduler is None
    processes, each = workers_and_threads(workers, threads) if local else (1, 1)
    plan = make_plan(scene, layout, workers=processes, threads=each, backend=name, dtype=dtype)
    refuse_what_does_not_fit(plan, files, local=local)
    connection: AbstractContextManager[Any]
    if client is not None:
        connection = nullcontext(client)
    elif scheduler is not None:
        connection = remote_client(scheduler)
    else:
        connection = local_client(processes, each)
    with connection as connected:
        if not (resume and there):
            if there:
                files.clear()
            create_store(files, experiment, scene, layout, plan, command)
        job = Job(files.url, scene.hash, layout, name, dtype, fsync)
        with Lease(files) as lease:
            return _session(connected, files, lease, job, scene, plan, attempts, tuple(callbacks))


def workers_and_threads(workers: int | None, threads: int | None) -> tuple[int, int]:
    """Complete what the caller says of a local cluster: one process, a thread a core."""
    processes = workers or 1
    return processes, threads or max(1, cores() // processes)


def _check_deletable(files: Files) -> None:
    try:
        store.read_attributes(files)
    except StoreError as error:
        empty = isinstance(files, LocalFiles) and files.folder.is_dir() and not store.exists(files)
        if not empty:
            raise StoreError(f"{error}; --overwrite deletes stores of tiledsim only") from None


def _check_same_run(
    files: Files, scene: Scene, backend: str, dtype: str, tile: tuple[int, int] | None
) -> Layout:
    """Return the layout of a store, or refuse to continue it with the first difference named."""
    about = store.read_attributes(files)
    try:
        layout = Layout(**{key: tuple(value) for key, value in about["layout"].items()})
        kept = {key: about[key] for key in ("mode", "scene_hash", "dtype", "backend")}
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{files.url}: its attributes are damaged: {error!r}") from None
    asked = {"mode": scene.mode, "scene_hash": scene.hash, "dtype": dtype, "backend": backend}
    for key, value in asked.items():
        if kept[key] != value:
            what = "the experiment" if key == "scene_hash" else key
            raise StoreError(
                f"{files.url} cannot be resumed: {what} differs ({kept[key]} in the store, {value} "
                "now); resume with the same, or --overwrite"
            )
    if layout.shape != scene.shape or (tile and choose_layout(scene, tile).tile != layout.tile):
        raise StoreError(
            f"{files.url} cannot be resumed: its tiles are {layout.tile[0]} x {layout.tile[1]}; "
            "leave --tile out or give the same"
        )
    return layout


def create_store(
    files: Files, experiment: Experiment, scene: Scene, layout: Layout, plan: Plan, command: str
) -> None:
    """Make the store of a run, its scene beside the image."""
    if isinstance(files, LocalFiles):
        try:
            files.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{files.url}: cannot be made: {error.strerror}") from None
    attributes = {
        "experiment": experiment.to_toml(),
        "title": experiment.title,
        "mode": scene.mode,
        "quirks": list(scene.quirks),
        "scene_hash": scene.hash,
        "steps_per_pixel": scene.steps_per_pixel,
        "scale": scene.scale_factors(),
        "dtype": plan.dtype,
        "backend": plan.backend,
        "layout": {"shape": layout.shape, "chunk": layout.chunk, "shard": layout.shard,
                   "tile": layout.tile},
        "versions": versions(),
        "command": command or " ".join(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    store.create(files, layout, "float32", experiment.detector.pixel_mm, attributes)
    save_scene(files, scene)


def save_scene(files: Files, scene: Scene) -> None:
    """Put the scene where workers find it."""
    if isinstance(files, LocalFiles):
        scene.save(files.folder / SCENES)
        return
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        scene.save(Path(scratch))
        for path in sorted((Path(scratch) / scene.hash).iterdir()):
            files.write(f"{SCENES}/{scene.hash}/{path.name}", path.read_bytes())


def versions() -> dict[str, str]:
    """Versions of what computed a run."""
    found = {}
    for package in ("tiledsim", "numpy", "numba", "zarr", "dask", "distributed"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def _session(
    client: Any, files: Files, lease: Lease, job: Job, scene: Scene, plan: Plan, attempts: int,
    callbacks: tuple[Callback, ...],
) -> Summary:  # fmt: skip
    store.sweep_partial_files(files)
    journal = Journal(files)
    before = journal.read(job.layout.tiles)
    to_do = [index for index in range(job.layout.tiles) if index not in before]
    workers, threads = wait_for_workers(client) if to_do else (0, 1)
    for callback in callbacks:
        callback(RunStarted(plan, len(before), workers, client.dashboard_link))
    guess = plan.seconds * max(plan.workers * plan.threads, 1) / max(plan.tiles, 1)
    share = max(1, len(to_do) // (4 * threads))
    driver = Driver(
        client, job, journal, lease, attempts=attempts, callbacks=callbacks,
        first_batch=min(share, LARGEST_BATCH, int(BATCH_SECONDS / max(guess, 1e-6))),
    )  # fmt: skip
    started = time.perf_counter()
    try:
        driver.work_through(to_do, threads)
    except (KeyboardInterrupt, RunError) as error:
        done = len(before) + len(driver.records)
        advice = f"{done:,} of {job.layout.tiles:,} tiles are done; --resume continues"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"stopped: {advice}") from None
        raise RunError(f"{error}; {advice}") from None
    seconds = time.perf_counter() - started
    records = before | driver.records
    for callback in callbacks:
        callback(RunFinished(seconds, len(driver.failed)))
    if driver.failed:
        first = driver.failed[min(driver.failed)]
        raise RunError(
            f"{len(driver.failed):,} of {job.layout.tiles:,} tiles failed {attempts} times, the "
            f"first at {job.layout.tile_at(first.index)}: {first.error}; the others are done, and "
            "--resume tries these again"
        )
    summary = summarise(
        job.layout, records, scale=scene.scale_factors(), steps_per_pixel=scene.steps_per_pixel,
        session=driver.records, wall_seconds=seconds, threads=threads,
    )  # fmt: skip
    journal.rewrite(records)
    write_columns(files, job.layout, records)
    store.update_attributes(files, {"summary": summary.to_json()})
    return summary


def load_summary(files: Files) -> Summary:
    """Return the summary that a finished run left in its store; StoreError if it did not finish."""
    about = store.read_attributes(files)
    if "summary" not in about:
        raise StoreError(f"{files.url}: the run is not finished; tiledsim run --resume finishes it")
    try:
        return Summary.from_json(about["summary"])
    except (KeyError, TypeError) as error:
        raise StoreError(f"{files.url}: its summary is damaged: {error!r}") from None
