"""Put a store right before its run goes on: with the lease held, and nothing rendered yet."""

from tiledsim.errors import InputFileError
from tiledsim.scene import Scene
from tiledsim.scheduler.journal.damage import find_damage
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.session.opening.create import save_scene
from tiledsim.scheduler.session.opening.stored_scene import check_scene
from tiledsim.scheduler.session.task import SCENES
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Writer
from tiledsim.scheduler.store.layout import Layout


def repair(files: Writer, scene: Scene, layout: Layout) -> None:
    """Put a damaged scene right, and take back what the journal says of damaged tiles.

    With the lease held.  A damaged file of the journal is removed, and its tiles are rendered
    again.  Of a tile that is not what its record says, the shards are removed with the record, as
    a shard that is there and whole would stay.
    """
    try:
        check_scene(files, scene.hash)
    except InputFileError:
        files.remove(f"{SCENES}/{scene.hash}/")
        save_scene(files, scene)
    journal = Journal(files)
    lost = [key for key in journal.parts() if not journal.is_sound(key, layout.tiles)]
    for key in lost:
        files.delete(key)
    damaged = [damage.index for damage in find_damage(files, layout, read_records(files, layout))]
    if lost or damaged:
        store.forget(files, "summary")
    if damaged:
        journal.drop(damaged)
        store.remove_tiles(files, layout, damaged)
