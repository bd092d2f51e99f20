"""A store as something to look at: its image, its scene, what is there of it."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tiledsim.errors import InputFileError, StoreError
from tiledsim.scene import Scene
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.results.reduced import ReducedImage
from tiledsim.scheduler.session.task import scene_of
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.open import layout_of


class StoredImage:
    """What pictures and the viewer read; StoreError where it is no store of tiledsim."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.url = files.url
        about = store.read_attributes(files)
        self.layout = layout_of(files)
        self.title = str(about.get("title", ""))
        self._scene_hash = str(about.get("scene_hash", ""))
        self.records = read_records(files, self.layout)
        self.pixels = ReducedImage(
            files, self.layout, self.records.done, finished="summary" in about
        )

    @cached_property
    def scene(self) -> Scene:
        """What was rendered."""
        try:
            scene: Scene = scene_of(self.files.url, self._scene_hash)
        except InputFileError as error:
            raise StoreError(f"{self.files.url}: {error}; `resume` with `repair`") from None
        return scene

    def refuse_missing(self, shots: Sequence[int], panels: Sequence[int]) -> None:
        """Raise StoreError where a tile of these shots and panels has no record."""
        layout = self.layout
        wanted = self.records.done.reshape(layout.grid)[np.ix_(shots, panels)]
        missing = int(wanted.size - np.count_nonzero(wanted))
        if missing:
            shot, panel, j, i = (int(n) for n in np.argwhere(~wanted)[0])
            place = (shots[shot], panels[panel], j, i)
            first = layout.tile_at(int(np.ravel_multi_index(place, layout.grid)))
            raise StoreError(
                f"{self.url}: {missing:,} of {wanted.size:,} tiles are missing, the first at "
                f"{first}; tiledsim run --resume renders them, `partial` shows the others"
            )
