"""Render an experiment into a store: checks, the store, the cluster, a session, the summary."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.errors import BackendError, ExperimentError, RunError, StoreError
from tiledsim.experiment import Experiment
from tiledsim.kernels import choose_backend_name
from tiledsim.kernels.choice import check_names
from tiledsim.scene import Scene
from tiledsim.scene.build import build_scene
from tiledsim.scheduler.cluster.choose import Place, choose_place
from tiledsim.scheduler.cluster.dask_errors import CONNECTION_LOST, told_as
from tiledsim.scheduler.cluster.local import wait_for_workers
from tiledsim.scheduler.cluster.supply import Connection, News
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.options import RunOptions, Where
from tiledsim.scheduler.pictures.target import check_target
from tiledsim.scheduler.presets import resolve
from tiledsim.scheduler.results.dask_report import check_report, performance_report
from tiledsim.scheduler.results.finish import finish
from tiledsim.scheduler.results.stored_summary import (
    forget_wrong_summary,
    has_summary,
    load_summary,
)
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.session.collaborators import Collaborators
from tiledsim.scheduler.session.events import Callback, Connecting, JobsTold
from tiledsim.scheduler.session.opening.create import (
    check_versions,
    create_store,
    record_continuation,
    record_devices,
)
from tiledsim.scheduler.session.opening.existing import backend_of, check_deletable, check_same_run
from tiledsim.scheduler.session.opening.extend import extend, extends
from tiledsim.scheduler.session.opening.preflight import (
    ask_for_backend,
    check_folder,
    check_workers,
    describe_devices,
    release_devices,
)
from tiledsim.scheduler.session.opening.repair import repair
from tiledsim.scheduler.session.plan import make_plan, refuse_what_does_not_fit
from tiledsim.scheduler.session.session import run_session
from tiledsim.scheduler.session.task import Job
from tiledsim.scheduler.session.tile_order import cost_classes
from tiledsim.scheduler.session.time_limit import OVERTIME, Deadline
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store import pyramid
from tiledsim.scheduler.store.files import Files, LocalFiles, open_files
from tiledsim.scheduler.store.layout import Layout, usual_tile
from tiledsim.scheduler.store.lease import Lease


def run(
    experiment: Experiment, location: str | Path, options: RunOptions | None = None, *,
    client: Any = None, callbacks: Iterable[Callback] = (), command: str = "",
    scene: Scene | None = None, photons: str = "", collaborators: Collaborators | None = None,
    **given: Any,
) -> Summary:  # fmt: skip
    """Render all images of an experiment into a Zarr store and return the summary.

    Parameters
    ----------
    experiment
        What to render.
    location
        The store: a folder, or a URL such as ``s3://bucket/run.zarr``.
    options
        How, and where; excludes ``given``.  Nothing is added from the environment or the
        experiment's ``[run]`` table.
    client
        A Dask client of the caller's, whose workers render; excludes the options that say where.
    callbacks
        Called with each event (:mod:`tiledsim.scheduler.session.events`).
    command
        Recorded in the store; the command line of this process by default.
    scene
        What ``build_scene(experiment)`` has returned, if it is there already.
    photons
        A store whose photons are counted instead of rendering any (:func:`add_noise`).
    collaborators
        What stands in for parts of the run, in tests.
    **given
        Options by name, such as ``workers=4``: the fields of
        :class:`~tiledsim.scheduler.options.RunOptions` and of
        :class:`~tiledsim.scheduler.options.Where`.  Those left out are preset by variables
        (``TILEDSIM_WORKERS``), else by the experiment's ``[run]`` table.

    Returns
    -------
    Summary
        Statistics of the images, and how the run went.

    Raises
    ------
    ExperimentError, OptionError, StoreError, BackendError
        Before anything is written.
    RunError
        For a run that could not be finished; what it did is kept for ``resume``.
    """
    if not isinstance(experiment, Experiment):
        raise ExperimentError(
            f"experiment: must be an Experiment, not {type(experiment).__name__}; "
            "tiledsim.load(file) reads one"
        )
    if options is None:
        options = resolve(given, experiment.run, placed=client is not None)
    elif given:
        raise TypeError(f"options is given, and {', '.join(given)} beside it; give one of both")
    return _Run(
        experiment, open_files(location), options, client, tuple(callbacks), command, scene,
        photons, collaborators or Collaborators(),
    ).run()  # fmt: skip


class _Run:
    """The steps of :func:`run`, and what they share."""

    def __init__(
        self, experiment: Experiment, files: Files, options: RunOptions, client: Any,
        callbacks: tuple[Callback, ...], command: str, scene: Scene | None,
        photons: str, collaborators: Collaborators,
    ) -> None:  # fmt: skip
        limit = options.time_limit_minutes
        self._deadline = None if limit is None else Deadline(limit)
        self._experiment = experiment
        self._files = files
        self._options = options
        self._client = client
        self._callbacks = callbacks
        self._command = command
        self._scene = scene
        self._photons = photons
        self._with = collaborators

    def run(self) -> Summary:
        """Render, and draw a picture where one is asked for."""
        target = self._options.picture
        if target is not None:
            check_target(target, overwrite=True)
        summary = self._render()
        if target is not None:
            from tiledsim.scheduler.pictures.picture import draw_first_shot

            draw_first_shot(self._files, target)
        return summary

    def _render(self) -> Summary:
        """Check, connect, render and summarise."""
        files, options = self._files, self._options
        backend = options.backend
        if backend == "auto" and options.resume and (kept_backend := backend_of(files)):
            backend = kept_backend
            if self._is_finished():  # here nothing need render
                self._find_kept(backend, self._build())
                return self._export(load_summary(files), self._client)
        place, name = choose_workers(backend, options.dtype, options.where, self._client)
        if options.report is not None:
            check_report(options.report)
        scene = self._build()
        kept = self._find_kept(name, scene)
        if kept and self._is_finished():
            return self._export(load_summary(files), self._client)
        if kept:
            check_versions(files, allowed=options.other_versions)
        layout = kept or self._with.cut(scene, options.tile or usual_tile(scene, name))
        if options.export is not None:
            from tiledsim.scheduler.export.files import check_at_the_end

            check_at_the_end(
                options.export, self._experiment, scene, layout, overwrite=options.overwrite
            )
        plan = make_plan(
            scene, layout, workers=place.workers, threads=place.threads, backend=name,
            dtype=options.dtype, capability=place.capability,
        )  # fmt: skip
        missing = 1.0
        if kept and isinstance(files, LocalFiles):
            missing = _missing(files, layout, damaged=options.repair)
        refuse_what_does_not_fit(
            plan, files, local=place.on_this_machine, missing=missing,
            overwrite=options.overwrite,
        )  # fmt: skip
        for callback in self._callbacks:
            callback(Connecting(place.kind, place.workers))
        with place.connect(_folder_beside(files), files.url, tell=self._tell_news) as connected:
            summary = self._on(connected, place, name, scene, layout, kept)
            return self._export(summary, connected.client)

    def _tell_news(self, news: News) -> None:
        for callback in self._callbacks:
            callback(JobsTold(news.state, news.lines))

    def _on(
        self, connected: Connection, place: Place, name: str, scene: Scene, layout: Layout,
        kept: Layout | None,
    ) -> Summary:  # fmt: skip
        """Make or continue the store with the workers of a client."""
        files, options, client = self._files, self._options, connected.client
        threads = place.threads
        with told_as(CONNECTION_LOST):
            there, in_all = wait_for_workers(client)
            if not place.on_this_machine:
                check_workers(client)
                check_folder(client, files)
                if name == "auto":
                    name = ask_for_backend(client)
                threads = max(1, in_all // there)
            devices = [] if name == "cpu" else describe_devices(client, name, options.dtype)
        plan = make_plan(
            scene, layout, workers=place.workers if place.on_this_machine else there,
            threads=threads, backend=name, dtype=options.dtype,
            capability=devices[0].get("compute capability", "") if devices else "",
        )  # fmt: skip
        with performance_report(client, options.report), Lease(self._files) as lease:
            files = lease.files
            if self._find_kept(name, scene) != kept:  # by another driver, before we had the lease
                raise StoreError(f"{files.url} has changed at this moment; try again")
            if kept is None:
                if self._deadline is not None and self._deadline.is_near():
                    raise RunError(f"{OVERTIME} before any tile was begun; nothing was changed")
                create_store(
                    files, self._experiment, scene, layout, plan, options, self._command,
                    photons=self._photons,
                )  # fmt: skip
            else:
                if extends(files, scene):
                    extend(files, self._experiment, scene, layout)
                if options.repair:
                    repair(files, scene, layout)
                    forget_wrong_summary(files, scene, layout)
            run = store.run_named(files)
            if devices:
                record_devices(files, run, scene, options.dtype, devices)
            if kept and has_summary(files):
                return load_summary(files)
            if kept:
                record_continuation(files, run, options, self._command)
            job = Job(files.url, run, scene.hash, layout, name, options.dtype, options.fsync,
                      self._photons, pyramid.find(files, layout))  # fmt: skip
            try:
                run_session(
                    client, lease, job, plan, attempts=options.attempts,
                    callbacks=self._callbacks, deadline=self._deadline, task=self._with.task,
                    supply=connected.supply,
                    classes=None if self._photons else cost_classes(scene, layout),
                )  # fmt: skip
                return finish(lease, run, layout, scene)
            finally:
                if devices and not place.on_this_machine:
                    release_devices(client, name, options.dtype)

    def _export(self, summary: Summary, client: Any) -> Summary:
        """Export the images of the finished run, where that is asked for."""
        options = self._options
        if options.export is not None:
            from tiledsim.scheduler.export.export import export

            where = options.where if client is None else None
            try:
                export(
                    self._files.url, options.export, overwrite=options.overwrite,
                    resume=options.resume, where=where, client=client,
                )  # fmt: skip
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"stopped while writing {options.export}; the run itself is finished"
                ) from None
        return summary

    def _build(self) -> Scene:
        if self._scene is None:
            self._scene = build_scene(self._experiment)
        return self._scene

    def _is_finished(self) -> bool:
        """Whether the store that is there has all shots and its summary, and nobody asks for a
        repair.
        """
        if self._options.repair or not has_summary(self._files):
            return False
        return not extends(self._files, self._build())

    def _find_kept(self, backend: str, scene: Scene) -> Layout | None:
        """Return the layout of the run to continue, None where a store is to be made."""
        files, options = self._files, self._options
        if not store.exists(files):
            return None
        if options.resume:
            return check_same_run(
                files, self._experiment, scene, backend, options.dtype, options.tile,
                repair=options.repair,
            )  # fmt: skip
        if not options.overwrite:
            raise StoreError(
                f"{files.url} exists; `overwrite` it, `resume` it or give another name"
            )
        check_deletable(files)
        return None


def choose_workers(backend: str, dtype: str, where: Where, client: Any = None) -> tuple[Place, str]:
    """Check where to run (:func:`choose_place`) and resolve the backend for it.

    Where this machine is to render and CUDA is taken, it is one process for each GPU.
    """
    place = choose_place(where, client)
    name = _backend_for(place, backend, dtype)
    if name == "cuda" and place.kind == "local":
        place = choose_place(replace(where, cluster="cuda"))
    return place, name


def _backend_for(place: Place, backend: str, dtype: str) -> str:
    """Resolve the backend for a place: GPUs that were asked for are used.

    What workers elsewhere have is not known from here: ``auto`` stays, until they can be asked.
    Raises BackendError for what does not go together or cannot be used here.
    """
    if place.has_gpus:
        if backend == "cpu":
            raise BackendError(
                "`backend=cpu` on workers with GPUs; leave out `backend`, or `gpus`, "
                "`cluster=cuda` and gpus_per_job"
            )
        backend = "cuda"
    if place.on_this_machine:
        return choose_backend_name(backend, dtype)[0]
    check_names(backend, dtype)
    return "cuda" if backend == "auto" and dtype == "mixed" else backend


def _missing(files: LocalFiles, layout: Layout, *, damaged: bool) -> float:
    """Return the share of tiles without a record; all, where a journal may be ``damaged`` and is.

    Raises StoreError for a damaged journal.
    """
    try:
        return float(np.mean(~read_records(files, layout).done))
    except StoreError:
        if not damaged:
            raise
        return 1.0


def _folder_beside(files: Files) -> Path:
    """A folder that this machine and the workers see: that of the store, or the home."""
    if isinstance(files, LocalFiles) and files.folder.absolute().parent.is_dir():
        return files.folder.absolute().parent
    return Path.home()
