"""Photons of a store as tiles: where those come from that are counted after rendering."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import StoreError
from tiledsim.kernels.rendered import Pending, Rendered
from tiledsim.scene import Scene
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.open import layout_of
from tiledsim.scheduler.store.shard_reader import ShardReader
from tiledsim.tile import Tile


@dataclass(frozen=True)
class StoredPhotons:
    """The photons of a store; NaN in tiles that have no record."""

    location: str
    layout: Layout
    shards: ShardReader
    done: NDArray[np.bool_]
    """[tiles]."""

    def start(self, scene: Scene, tile: Tile, /) -> Pending:
        """Read a tile when its result is asked for."""
        return _Read(self, tile)

    def read(self, tile: Tile) -> NDArray[np.float32]:
        """Read the photons of a tile [rows, cols]."""
        photons: NDArray[np.float32] = self.shards.read(tile)
        if not self.done.all():
            for index in self.layout.tiles_of(tile):
                if not self.done[index]:
                    photons[self.layout.tile_at(index).within(tile)] = np.nan
        return photons


@dataclass(frozen=True)
class _Read:
    source: StoredPhotons
    tile: Tile

    def result(self) -> Rendered:
        """Read the tile."""
        return Rendered(self.source.read(self.tile), None, 0.0)


@lru_cache(maxsize=2)
def photons_of(location: str) -> StoredPhotons:
    """Open the photons of a store.  Raises StoreError for one of counts."""
    files = open_files(location)
    layout = layout_of(files)
    if layout.dtype != "float32":
        raise StoreError(
            f"{files.url} holds counts ({layout.dtype}), not photons; give the store that they "
            "were made of"
        )
    shards = ShardReader(files, store.open_image(files, layout))
    return StoredPhotons(location, layout, shards, read_records(files, layout).done)
