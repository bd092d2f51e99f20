"""Is the scene that lies in a store the one of its hash?"""

import re

from tiledsim.errors import InputFileError
from tiledsim.scheduler.session.task import scene_anew
from tiledsim.scheduler.store.files import Files


def check_scene(files: Files, scene_hash: str) -> None:
    """Raise InputFileError where the scene of a store is missing, or not the one of its hash."""
    if not re.fullmatch("[0-9a-f]{64}", scene_hash):
        raise InputFileError(f"{files.url}: {scene_hash[:80]!r} is no hash of a scene")
    scene_anew(files.url, scene_hash)
