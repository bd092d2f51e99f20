"""What may be done with a store that is there: continue it, replace it, or neither."""

from dataclasses import replace

from tiledsim.errors import InputFileError, StoreError
from tiledsim.experiment import Experiment
from tiledsim.kernels.choice import BACKENDS
from tiledsim.scene import Scene
from tiledsim.scheduler.session.opening.extend import extends
from tiledsim.scheduler.session.opening.stored_scene import check_scene
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.contents import check_all_ours
from tiledsim.scheduler.store.experiment_diff import first_difference
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.layout import Layout, choose_layout
from tiledsim.scheduler.store.open import layout_of


def backend_of(files: Files) -> str | None:
    """Return the backend of a store, to go on with; None where there is no store."""
    if not store.exists(files):
        return None
    backend = store.read_attributes(files).get("backend")
    return backend if isinstance(backend, str) and backend in BACKENDS else None


def check_deletable(files: Files) -> None:
    """Raise StoreError for what is no store of tiledsim, or holds something else beside it."""
    try:
        store.read_attributes(files)
    except StoreError as error:
        raise StoreError(f"{error}; `overwrite` deletes stores of tiledsim only") from None
    check_all_ours(files)


def check_same_run(
    files: Files, experiment: Experiment, scene: Scene, backend: str, dtype: str,
    tile: tuple[int, int] | None, *, repair: bool,
) -> Layout:  # fmt: skip
    """Return the layout of a run to continue, with all shots of the scene where the store has the
    first of them; or refuse to continue it, with the first difference named.
    """
    about = store.read_attributes(files)
    layout = layout_of(files, extending=True)
    more = extends(files, scene)
    try:
        kept = {key: about[key] for key in ("mode", "scene_hash", "dtype", "backend")}
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{files.url}: its attributes are damaged: {error!r}") from None
    if kept["backend"] == "any":  # then tiles of every backend may stand beside each other
        backend = "any"
    scene_hash = kept["scene_hash"] if more else scene.hash
    asked = {"mode": scene.mode, "scene_hash": scene_hash, "dtype": dtype, "backend": backend}
    for key, value in asked.items():
        if kept[key] != value:
            what = f"{key} is {str(kept[key])[:80]} in the store, {value} now"
            if key == "scene_hash":
                what = first_difference(str(about.get("experiment", "")), experiment)
                what = f"the experiment differs: {what}"
            raise StoreError(
                f"{files.url} cannot be resumed: {what}; resume with the same, or `overwrite`"
            )
    if more:
        layout = replace(layout, shape=scene.shape)
    if layout.shape != scene.shape or (tile and choose_layout(scene, tile).tile != layout.tile):
        raise StoreError(
            f"{files.url} cannot be resumed: its tiles are {layout.tile[0]} x {layout.tile[1]}; "
            "leave `tile` out or give the same"
        )
    if repair:
        return layout
    try:
        check_scene(files, str(scene_hash))
    except InputFileError as error:
        raise StoreError(
            f"{files.url} cannot be resumed: {error}; `resume` with `repair` puts it right"
        ) from None
    return layout
