"""Render an experiment into a store: checks, the store, the cluster, a session, the summary."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.errors import BackendError, InputFileError, RunError, StoreError
from tiledsim.experiment import Experiment
from tiledsim.kernels import choose_backend_name
from tiledsim.kernels.choice import BACKENDS, check_names
from tiledsim.scene import Scene
from tiledsim.scene.build import build_scene
from tiledsim.scheduler.cluster.choose import Place, choose_place
from tiledsim.scheduler.cluster.local import wait_for_workers
from tiledsim.scheduler.cluster.remote import Tls
from tiledsim.scheduler.cluster.slurm import ClusterConfig
from tiledsim.scheduler.journal.failure_logs import clear_logs, write_logs
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.zarr_columns import write_columns
from tiledsim.scheduler.results.dask_report import check_report, performance_report
from tiledsim.scheduler.results.summarise import summarise
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.results.verify import check_scene, find_damage, layout_of, read_records
from tiledsim.scheduler.session.batches import BATCH_SECONDS
from tiledsim.scheduler.session.create import create_store, record_devices, save_scene
from tiledsim.scheduler.session.driver import Driver
from tiledsim.scheduler.session.events import Callback, Connecting, RunFinished, RunStarted
from tiledsim.scheduler.session.plan import Plan, make_plan, refuse_what_does_not_fit
from tiledsim.scheduler.session.preflight import (
    ask_for_backend,
    check_folder,
    check_workers,
    describe_devices,
    release_devices,
)
from tiledsim.scheduler.session.task import SCENES, Job
from tiledsim.scheduler.session.time_limit import OVERTIME, Deadline
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.experiment_diff import first_difference
from tiledsim.scheduler.store.files import NO_ROOM, Files, LocalFiles, open_files
from tiledsim.scheduler.store.layout import Layout, choose_layout
from tiledsim.scheduler.store.lease import Lease


def run(
    experiment: Experiment, location: str | Path, *, client: Any = None,
    scheduler: str | None = None, scheduler_file: str | Path | None = None,
    cluster: str | None = None, cluster_config: str | Path | ClusterConfig | None = None,
    gpus: str | None = None, tls: Tls | None = None,
    workers: int | None = None, threads: int | None = None,
    tile: tuple[int, int] | None = None,
    backend: str = "auto", dtype: str = "float64", overwrite: bool = False, resume: bool = False,
    repair: bool = False, attempts: int = 3, fsync: bool = True, callbacks: Iterable[Callback] = (),
    time_limit_minutes: float | None = None, report: str | Path | None = None,
    command: str = "", scene: Scene | None = None,
) -> Summary:  # fmt: skip
    """Render all images of an experiment into a Zarr store and return the summary.

    Where: ``client`` is a Dask client of the caller's, ``scheduler`` the address of a scheduler
    and ``scheduler_file`` its file, with ``tls`` for its certificates.  Without them, workers are
    started: on this machine (``cluster="local"``, the default) one process with a thread a core, or
    ``workers`` processes with ``threads`` each; with ``cluster="cuda"`` or ``gpus`` ("all", "2",
    "0,2") one process for each GPU; with ``cluster="slurm"`` jobs of ``cluster_config``.

    ``backend="auto"`` takes CUDA where this machine, or all workers elsewhere, can use it, and what
    the store was begun with on ``resume``; ``"any"`` lets each worker elsewhere take what it has.

    ``tile`` (rows, cols) is rounded up to whole shards.  ``resume`` continues a run that was cut
    short; ``repair`` with it reads the finished tiles back and renders those again that are
    damaged; ``overwrite`` deletes one.  ``fsync`` makes every tile durable before it counts as
    done.  After ``time_limit_minutes`` no tile is begun that would not be ready.  ``report`` is
    the name of an HTML file for Dask's performance report.

    Raises ExperimentError, StoreError or BackendError before anything is written, and RunError
    for a run that could not be finished; what it did is kept for ``resume``.
    """
    if resume and overwrite:
        raise StoreError("--resume and --overwrite are both given: one keeps a store, one does not")
    if repair and not resume:
        raise StoreError("repair needs resume: it renders damaged tiles of a run again")
    deadline = None if time_limit_minutes is None else Deadline(time_limit_minutes)
    files = open_files(location)
    if backend == "auto" and resume and (kept_backend := _backend_of(files)):
        backend = kept_backend
        if "summary" in store.read_attributes(files) and not repair:  # here nothing need render
            scene = scene or build_scene(experiment)
            _check_same_run(files, experiment, scene, backend, dtype, tile, repair=False)
            return load_summary(files)
    place, name = choose_workers(
        backend, dtype,
        client=client, scheduler=scheduler, scheduler_file=scheduler_file, cluster=cluster,
        cluster_config=cluster_config, gpus=gpus, workers=workers, threads=threads, tls=tls,
    )  # fmt: skip
    if report is not None:
        check_report(Path(report))
    scene = scene or build_scene(experiment)

    def find_kept() -> Layout | None:
        """Return the layout of the run to continue, None where a store is to be made."""
        if not store.exists(files):
            return None
        if resume:
            return _check_same_run(files, experiment, scene, name, dtype, tile, repair=repair)
        if not overwrite:
            raise StoreError(
                f"{files.url} exists; --overwrite it, --resume it or give another name"
            )
        _check_deletable(files)
        return None

    kept = find_kept()
    if kept and "summary" in store.read_attributes(files) and not repair:
        return load_summary(files)
    layout = kept or choose_layout(scene, tile)
    plan = make_plan(
        scene, layout, workers=place.workers, threads=place.threads, backend=name, dtype=dtype
    )
    missing = 1.0
    if kept and isinstance(files, LocalFiles):
        missing = float(np.mean(~read_records(files, layout).done))
    refuse_what_does_not_fit(plan, files, local=place.on_this_machine, missing=missing)
    told = tuple(callbacks)
    for callback in told:
        callback(Connecting(place.kind, place.workers))
    with place.connect(keys_folder=_folder_beside(files)) as connected:
        there, in_all = wait_for_workers(connected)
        if not place.on_this_machine:
            check_workers(connected)
            check_folder(connected, files)
            if name == "auto":
                name = ask_for_backend(connected)
        devices = [] if name == "cpu" else describe_devices(connected, name, dtype)
        if not place.on_this_machine:
            plan = make_plan(
                scene, layout, workers=there, threads=max(1, in_all // there), backend=name,
                dtype=dtype,
            )  # fmt: skip
        with performance_report(connected, report), Lease(files) as lease:
            if find_kept() != kept:  # by another driver, before the lease was ours
                raise StoreError(f"{files.url} has changed at this moment; try again")
            if kept is None:
                create_store(files, experiment, scene, layout, plan, command)
            elif repair:
                _repair(files, scene, layout)
            if devices:
                record_devices(files, scene, dtype, devices)
            if "summary" in store.read_attributes(files):
                return load_summary(files)
            job = Job(files.url, scene.hash, layout, name, dtype, fsync)
            try:
                return _session(connected, files, lease, job, scene, plan, attempts, told, deadline)
            finally:
                if devices and not place.on_this_machine:
                    release_devices(connected, name, dtype)


def choose_workers(backend: str, dtype: str, **where: Any) -> tuple[Place, str]:
    """Check where to run (the options of :func:`choose_place`) and resolve the backend for it.

    Where this machine is to render and CUDA is taken, it is one process for each GPU.
    """
    place = choose_place(**where)
    name = _backend_for(place, backend, dtype)
    if name == "cuda" and place.kind == "local":
        place = choose_place(**where | {"cluster": "cuda"})
    return place, name


def _backend_for(place: Place, backend: str, dtype: str) -> str:
    """Resolve the backend for a place: GPUs that were asked for are used.

    What workers elsewhere have is not known from here: ``auto`` stays, until they can be asked.
    Raises BackendError for what does not go together or cannot be used here.
    """
    if place.has_gpus:
        if backend == "cpu":
            raise BackendError(
                "--backend cpu on workers with GPUs; leave out --backend, or --gpus, --cluster "
                "cuda and gpus_per_job"
            )
        backend = "cuda"
    if place.on_this_machine:
        return choose_backend_name(backend, dtype)[0]
    check_names(backend, dtype)
    return "cuda" if backend == "auto" and dtype == "mixed" else backend


def _backend_of(files: Files) -> str | None:
    """Return the backend of a store, to go on with; None where there is no store."""
    if not store.exists(files):
        return None
    backend = store.read_attributes(files).get("backend")
    return backend if isinstance(backend, str) and backend in BACKENDS else None


def _folder_beside(files: Files) -> Path:
    """A folder that this machine and the workers see: that of the store, or the home."""
    if isinstance(files, LocalFiles) and files.folder.absolute().parent.is_dir():
        return files.folder.absolute().parent
    return Path.home()


def _repair(files: Files, scene: Scene, layout: Layout) -> None:
    """Put a damaged scene right, and take back the records of damaged tiles, and the summary with
    them.  With the lease held.
    """
    try:
        check_scene(files, scene.hash)
    except InputFileError:
        files.remove(f"{SCENES}/{scene.hash}/")
        save_scene(files, scene)
    journal = Journal(files)
    records = read_records(files, layout)
    damaged = [damage.index for damage in find_damage(files, layout, records)]
    if damaged:
        store.remove_attribute(files, "summary")
        journal.drop(damaged)


def _check_deletable(files: Files) -> None:
    try:
        store.read_attributes(files)
    except StoreError as error:
        raise StoreError(f"{error}; --overwrite deletes stores of tiledsim only") from None
    if others := store.foreign(files):
        raise StoreError(
            f"{files.url} holds {others[0][:80]!r}, which is not of tiledsim; move it elsewhere "
            "before --overwrite"
        )


def _check_same_run(
    files: Files, experiment: Experiment, scene: Scene, backend: str, dtype: str,
    tile: tuple[int, int] | None, *, repair: bool,
) -> Layout:  # fmt: skip
    """Return the layout of a store, or refuse to continue it with the first difference named."""
    about = store.read_attributes(files)
    layout = layout_of(files)
    try:
        kept = {key: about[key] for key in ("mode", "scene_hash", "dtype", "backend")}
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{files.url}: its attributes are damaged: {error!r}") from None
    if kept["backend"] == "any":  # then tiles of every backend may stand beside each other
        backend = "any"
    asked = {"mode": scene.mode, "scene_hash": scene.hash, "dtype": dtype, "backend": backend}
    for key, value in asked.items():
        if kept[key] != value:
            what = f"{key} is {str(kept[key])[:80]} in the store, {value} now"
            if key == "scene_hash":
                what = first_difference(str(about.get("experiment", "")), experiment)
                what = f"the experiment differs: {what}"
            raise StoreError(
                f"{files.url} cannot be resumed: {what}; resume with the same, or --overwrite"
            )
    if layout.shape != scene.shape or (tile and choose_layout(scene, tile).tile != layout.tile):
        raise StoreError(
            f"{files.url} cannot be resumed: its tiles are {layout.tile[0]} x {layout.tile[1]}; "
            "leave --tile out or give the same"
        )
    if repair:
        return layout
    try:
        check_scene(files, scene.hash)
    except InputFileError as error:
        raise StoreError(
            f"{files.url} cannot be resumed: {error}; --resume --repair puts it right"
        ) from None
    return layout


def _session(
    client: Any, files: Files, lease: Lease, job: Job, scene: Scene, plan: Plan, attempts: int,
    callbacks: tuple[Callback, ...], deadline: Deadline | None,
) -> Summary:  # fmt: skip
    journal = Journal(files)
    done = read_records(files, job.layout).done
    store.sweep_partial_files(files)
    clear_logs(files)
    before = int(np.count_nonzero(done))
    workers = wait_for_workers(client)[0] if before < done.size else 0
    for callback in callbacks:
        callback(RunStarted(plan, before, workers, client.dashboard_link, job.layout.grid, done))
    # How fast a GPU is shows with its first tile.
    seconds = BATCH_SECONDS * plan.tiles if plan.seconds is None else plan.seconds
    guess = seconds * max(plan.workers * plan.threads, 1) / max(plan.tiles, 1)
    driver = Driver(
        client, job, journal, lease, done, attempts=attempts, callbacks=callbacks,
        first_batch=int(BATCH_SECONDS / max(guess, 1e-6)), deadline=deadline,
    )  # fmt: skip
    started = time.perf_counter()
    try:
        driver.work_through()
    except (KeyboardInterrupt, RunError, OSError) as error:
        advice = f"{before + driver.recorded:,} of {done.size:,} tiles are done; --resume continues"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"stopped: {advice}") from None
        raise RunError(f"{_what_failed(files, error)}; {advice}") from None
    for callback in callbacks:
        callback(RunFinished(time.perf_counter() - started, len(driver.failed)))
    reached = before + driver.recorded
    if deadline is not None and reached + len(driver.failed) < done.size:
        raise RunError(
            f"{OVERTIME}: {reached:,} of {done.size:,} tiles are done; --resume continues"
        )
    if driver.failed:
        first = driver.failed[min(driver.failed)]
        try:
            log = f"log: {write_logs(files, job.layout, driver.failed)}"
        except OSError as error:  # it may not hide what failed
            log = f"no log: {_what_failed(files, error)}"
        raise RunError(
            f"{len(driver.failed):,} of {done.size:,} tiles failed {attempts} times, the "
            f"first at {job.layout.tile_at(first.index)}: {first.error} ({log}); the others "
            "are done, and --resume tries these again"
        )
    records = journal.read(job.layout.tiles)
    if not records.done.all():  # an object store may let an old write win over a new one
        raise RunError(
            f"{files.url}: the journal has {len(records):,} of {done.size:,} tiles, though all "
            "were written to it; --resume renders the others again"
        )
    summary = summarise(
        job.layout, records, scale=scene.scale_factors(), steps_per_pixel=scene.steps_per_pixel
    )
    try:
        lease.renew()
        store.sweep_partial_files(files)
        write_columns(files, job.layout, records)
        store.update_attributes(files, {"summary": summary.to_json()})
    except OSError as error:
        raise RunError(
            f"{_what_failed(files, error)}; all tiles are done, but not the summary; --resume "
            "makes it"
        ) from None
    return summary


def _what_failed(files: Files, error: Exception) -> str:
    """Name what ended a run, for its last line."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"{files.url}: {error.strerror}; free some room there"
    return str(error)


def load_summary(files: Files) -> Summary:
    """Return the summary that a finished run left in its store; StoreError if it did not finish."""
    about = store.read_attributes(files)
    if "summary" not in about:
        raise StoreError(f"{files.url}: the run is not finished; tiledsim run --resume finishes it")
    try:
        return Summary.from_json(about["summary"])
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{files.url}: its summary is damaged, or of an earlier tiledsim: {error!r}"
        ) from None
