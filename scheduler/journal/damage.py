"""Which tiles of a store are not what their records say: read back, nothing is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tiledsim.scheduler.journal.tile_record import TileRecord, checksum
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store import pyramid
from tiledsim.scheduler.store.files import Files
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.pyramid import Pyramid
from tiledsim.tile import Tile


@dataclass(frozen=True)
class Damage:
    """One tile that is not what it should be."""

    index: int
    tile: Tile
    reason: str
    repairable: bool = True
    """Whether its bytes contradict its record; else it is intact, and another is computed here."""


def find_damage(
    files: Files, layout: Layout, records: Mapping[int, TileRecord]
) -> tuple[Damage, ...]:
    """Read every recorded tile back and compare its checksum with the record, in tile order."""
    image = store.open_image(files)
    levels = pyramid.find(files, layout)
    found = []
    for index in sorted(records):
        tile = layout.tile_at(index)
        reason = _what_is_wrong(files, image, levels, tile, records[index])
        if reason:
            found.append(Damage(index, tile, reason))
    return tuple(found)


def _what_is_wrong(
    files: Files, image: object, levels: Pyramid | None, tile: Tile, record: TileRecord
) -> str:
    """Name the damage of a tile; empty for a sound one."""
    try:
        pixels = store.read_tile(image, tile)
    except Exception as error:  # zarr's codecs raise errors of many kinds for torn shards
        return f"cannot be read: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if np.isnan(pixels).any():
        return "a shard is missing or empty"
    if checksum(pixels) != record.crc32:
        return "its pixels are not those that were recorded"
    if levels is not None and not levels.has(files, tile, pixels):
        return "its part of the pyramid is missing or another"
    return ""
