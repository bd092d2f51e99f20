"""A run goes on with more shots than it was begun with: what is there stays, as it is.

Row i of a campaign depends on the seed and i alone, so the scene of the first shots is the scene of
the store; that is checked before anything is changed.  Until the last step the store says that it
is being extended, and how far: a resumed run begins again, and comes to the same store.
"""

from dataclasses import replace

from tiledsim.errors import StoreError
from tiledsim.experiment import Experiment
from tiledsim.scene import Scene
from tiledsim.scheduler.session.opening.create import frame_angles_deg, layout_json, save_scene
from tiledsim.scheduler.session.task import SCENES
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store import pyramid
from tiledsim.scheduler.store.files import Files, Writer
from tiledsim.scheduler.store.geometry import CRYSTALS, write_crystals
from tiledsim.scheduler.store.geometry import GROUP as GEOMETRY
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.open import EXTENDING, layout_of
from tiledsim.scheduler.store.shots import GROUP as SHOTS
from tiledsim.scheduler.store.shots import write_shots


def extends(files: Files, scene: Scene) -> bool:
    """Whether a scene is that of a store, with more shots after its own.

    Raises StoreError for a store that is being extended to another number of shots.
    """
    about, kept = store.read_attributes(files), layout_of(files, extending=True)
    begun = about.get(EXTENDING)
    if begun is not None and begun != scene.shape[0]:
        raise StoreError(
            f"{files.url} is being extended to {begun} shots; resume with shots.count = {begun}"
        )
    if kept.shape[0] >= scene.shape[0] or kept.shape[1:] != scene.shape[1:]:
        return False
    return first_shots(scene, kept.shape[0]).hash == about.get("scene_hash")


def first_shots(scene: Scene, count: int) -> Scene:
    """Return the scene of the first shots of a run."""
    shape = (count, *scene.shape[1:])
    if scene.shot_values is not None:
        return replace(scene, shape=shape, shot_values=scene.shot_values[:count])
    stop = scene.interpolation_stop
    return replace(
        scene, shape=shape, cells=scene.cells[:count], reciprocal_A=scene.reciprocal_A[:count],
        interpolation_stop=None if stop is None else stop[:count],
    )  # fmt: skip


def extend(files: Writer, experiment: Experiment, scene: Scene, layout: Layout) -> None:
    """Make room for more shots in a store of which :func:`extends` is true; with the lease held.

    ``layout`` is that of all shots.
    """
    before, run = str(store.read_attributes(files)["scene_hash"]), store.run_named(files)
    store.update_attributes(files, run, {EXTENDING: scene.shape[0]})
    for folder in ("tiles", SHOTS, f"{GEOMETRY}/{CRYSTALS}", f"{SCENES}/{scene.hash}"):
        files.remove(f"{folder}/")
    save_scene(files, scene)
    write_shots(files, experiment, scene)
    write_crystals(files, scene)
    pyramid.lengthen(files, layout)
    store.lengthen(files, layout.shape[0], frame_angles_deg(experiment))
    now = {"experiment": experiment.to_toml(), "scene_hash": scene.hash,
           "layout": layout_json(layout)}  # fmt: skip
    store.update_attributes(files, run, now, remove=(EXTENDING, "summary"))
    files.remove(f"{SCENES}/{before}/")
