"""Making the store of a run, and what is written about it: by the driver, with the lease held."""

import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import StoreError
from tiledsim.experiment import Experiment
from tiledsim.scene import Scene
from tiledsim.scene.files import write_scene
from tiledsim.scheduler.options import RunOptions
from tiledsim.scheduler.session.plan import Plan
from tiledsim.scheduler.session.task import SCENES
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store import pyramid
from tiledsim.scheduler.store.contents import check_all_ours
from tiledsim.scheduler.store.files import Files, Writer, why_not_made
from tiledsim.scheduler.store.folder import FencedFolder
from tiledsim.scheduler.store.geometry import write_geometry
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.shots import write_shots
from tiledsim.source_hash import source_hash


def create_store(
    files: Writer, experiment: Experiment, scene: Scene, layout: Layout, plan: Plan,
    options: RunOptions, command: str, *, photons: str = "",
) -> None:  # fmt: skip
    """Make the store of a run, its scene beside the image; with the lease held.

    Raises StoreError, or RunError for a full disk; what is half made then is made anew.
    """
    check_all_ours(files)
    run = uuid.uuid4().hex
    attributes = {
        "run": run,
        "experiment": experiment.to_toml(),
        "title": experiment.title,
        "mode": scene.mode,
        "quirks": list(scene.quirks),
        "scene_hash": scene.hash,
        "steps_per_pixel": scene.steps_per_pixel,
        "scale": scene.scale_factors(),
        "dtype": plan.dtype,
        "backend": plan.backend,
        "layout": layout_json(layout),
        "versions": versions(),
        "options": options.to_json(),
        "command": command or " ".join(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    if photons:
        attributes["photons_of"] = photons
    try:
        angles = frame_angles_deg(experiment)
        store.create(files, layout, experiment.detector.pixel_mm, run, angles)
        write_geometry(files, experiment, scene)
        write_shots(files, experiment, scene)
        pyramid.create(files, layout, None if scene.noise is None else scene.noise.gap)
        save_scene(files, scene)
        store.publish(files, attributes, run)
    except StoreError:
        raise
    except OSError as error:
        raise why_not_made(files, error) from error


def layout_json(layout: Layout) -> dict[str, object]:
    """Return what a store keeps of its layout."""
    return {"shape": layout.shape, "chunk": layout.chunk, "shard": layout.shard,
            "tile": layout.tile, "dtype": layout.dtype}  # fmt: skip


def frame_angles_deg(experiment: Experiment) -> NDArray[np.float64] | None:
    """Return where the spindle stands as each frame of a series begins; None for other shots."""
    rotation = experiment.rotation
    if rotation.frames is None:
        return None
    return np.array([rotation.frame_start_deg(n) for n in range(rotation.frames)])


def save_scene(files: Writer, scene: Scene) -> None:
    """Put the scene where workers find it; it is named by its hash, and is there once."""
    if isinstance(files, FencedFolder):
        write_scene(scene, files.door)
        files.adopt(files.door / scene.hash, f"{SCENES}/{scene.hash}")
        return
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        write_scene(scene, Path(scratch))
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
    found["kernels"] = source_hash()
    return found


IDENTITY = ("tiledsim", "numpy", "numba", "kernels")
"""Versions that pixels may depend on: one run has one of each."""


def check_versions(files: Files, *, allowed: bool) -> None:
    """Raise StoreError where a run was begun with other versions, unless they are allowed."""
    kept, now = store.read_attributes(files).get("versions"), versions()
    kept = kept if isinstance(kept, dict) else {}
    other = [name for name in IDENTITY if kept.get(name) != now[name]]
    if other and not allowed:
        what = ", ".join(f"{n} {str(kept.get(n, 'unknown'))[:40]} (now {now[n]})" for n in other)
        raise StoreError(
            f"{files.url} was begun with {what}, and pixels may differ; `other_versions` goes on "
            "all the same, `overwrite` renders all anew"
        )


def record_continuation(files: Writer, run: str, options: RunOptions, command: str) -> None:
    """Write down with what a run is continued: versions, options and command of each session."""
    about = store.read_attributes(files).get("continued")
    session = {
        "versions": versions(),
        "options": options.to_json(),
        "command": command or " ".join(sys.argv),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    before = about if isinstance(about, list) else []
    store.update_attributes(files, run, {"continued": [*before, session]})


def record_devices(
    files: Writer, run: str, scene: Scene, dtype: str, devices: list[dict[str, str]]
) -> None:
    """Add the GPUs of this session to what is written about the run."""
    from tiledsim.kernels.cuda.source import specialise

    known = store.read_attributes(files).get("devices", [])
    store.update_attributes(files, run, {
        "devices": known + [device for device in devices if device not in known],
        "kernel": str(specialise(scene, dtype, interpolate=scene.interpolate)),
    })  # fmt: skip
