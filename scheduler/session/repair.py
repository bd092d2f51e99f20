"""Put a store right before its run goes on: with the lease held, and nothing rendered yet."""

from tiledsim.errors import InputFileError
from tiledsim.scene import Scene
from tiledsim.scheduler.journal.damage import find_damage
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.session.create import save_scene
from tiledsim.scheduler.session.stored_scene import check_scene
from tiledsim.scheduler.session.task import SCENES
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.layout import Layout


def repair(files: Files, scene: Scene, layout: Layout) -> None:
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
