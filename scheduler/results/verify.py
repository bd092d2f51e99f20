"""Is what a store holds what its records say, and what would be rendered again?"""

import random
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from tiledsim.errors import InputFileError, StoreError
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileRecord, checksum
from tiledsim.scheduler.session.task import renderer_of, scene_anew, scene_of
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files, open_files
from tiledsim.scheduler.store.layout import Layout
from tiledsim.tile import Tile


@dataclass(frozen=True)
class Damage:
    """One tile that is not what it should be."""

    index: int
    tile: Tile
    reason: str
    repairable: bool = True
    """Whether its bytes contradict its record; else it is intact, and another is computed here."""


@dataclass(frozen=True)
class Verdict:
    """What a verification found."""

    tiles: int
    """Of the whole run."""
    checked: int
    """Tiles with a record, whose pixels were read back."""
    rendered_again: int
    """Those of them that were rendered again and compared."""
    missing: tuple[int, ...]
    """Tiles without a record: not rendered yet."""
    damaged: tuple[Damage, ...]

    @property
    def sound(self) -> bool:
        """Whether every tile is there and right."""
        return not self.missing and not self.damaged

    def text(self) -> str:
        """Return the verdict for people."""
        lines = [f"{damage.tile}: {damage.reason}" for damage in self.damaged]
        lines.append(
            f"{self.checked:,} of {self.tiles:,} tiles read back, {self.rendered_again:,} rendered "
            f"again: {len(self.damaged):,} damaged, {len(self.missing):,} missing"
        )
        if not all(damage.repairable for damage in self.damaged):
            lines.append(
                "a tile that differs when it is rendered again comes from another processor or "
                "version; tiledsim run --overwrite renders all anew"
            )
        if any(damage.repairable for damage in self.damaged):
            lines.append("tiledsim run --resume --repair renders the damaged and missing ones")
        elif self.missing:
            lines.append("tiledsim run --resume renders the missing ones")
        return "\n".join(lines)


def layout_of(files: Files) -> Layout:
    """Return how a store is cut.

    Raises StoreError where its attributes are damaged or contradict the image.
    """
    try:
        cut = store.read_attributes(files)["layout"]
        layout = Layout(**{key: tuple(value) for key, value in cut.items()})
        lengths = [len(value) for value in astuple(layout)]
        numbers = [number for value in astuple(layout) for number in value]
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{files.url}: its attributes are damaged: {error!r}") from None
    whole = all(type(number) is int and number > 0 for number in numbers)
    if lengths != [4, 2, 2, 2] or not whole or not _is_nested(layout):
        raise StoreError(
            f"{files.url}: its attributes are damaged: {str(cut)[:200]} is no layout of tiles"
        )
    store.open_image(files, layout)
    return layout


def _is_nested(layout: Layout) -> bool:
    """Whether tiles are made of whole shards and shards of whole chunks."""
    sizes = zip(layout.chunk, layout.shard, layout.tile, strict=True)
    return all(shard % chunk == 0 and tile % shard == 0 for chunk, shard, tile in sizes)


def read_records(files: Files, layout: Layout) -> Records:
    """Return the records of a store by tile number.

    Raises StoreError for a damaged journal, and for records that contradict the layout.
    """
    records = Journal(files).read(layout.tiles)
    for rows in records.portions():
        place = layout.places(rows["index"])
        slow, fast = rows["maximum_slow"], rows["maximum_fast"]
        pixels = (place["slow_stop"] - place["slow_start"]) * (
            place["fast_stop"] - place["fast_start"]
        )
        sound = (place["slow_start"] <= slow) & (slow < place["slow_stop"])
        sound &= (place["fast_start"] <= fast) & (fast < place["fast_stop"])
        sound &= (rows["rendered"] <= rows["inside"]) & (rows["inside"] <= pixels)
        if not sound.all():
            tile = layout.tile_at(int(rows["index"][np.flatnonzero(~sound)[0]]))
            raise StoreError(
                f"{files.url}: the record of {tile} contradicts its place or size; the journal "
                "does not belong to this store"
            )
    return records


def check_scene(files: Files, scene_hash: str) -> None:
    """Raise InputFileError where the scene of a store is missing, or not the one of its hash."""
    if not re.fullmatch("[0-9a-f]{64}", scene_hash):
        raise InputFileError(f"{files.url}: {scene_hash[:80]!r} is no hash of a scene")
    scene_anew(files.url, scene_hash)


def find_damage(
    files: Files, layout: Layout, records: Mapping[int, TileRecord]
) -> tuple[Damage, ...]:
    """Read every recorded tile back and compare its checksum with the record, in tile order."""
    image = store.open_image(files)
    found = []
    for index in sorted(records):
        tile = layout.tile_at(index)
        reason = _what_is_wrong(image, tile, records[index])
        if reason:
            found.append(Damage(index, tile, reason))
    return tuple(found)


def _what_is_wrong(image: object, tile: Tile, record: TileRecord) -> str:
    """Name the damage of a tile; empty for a sound one."""
    try:
        pixels = store.read_tile(image, tile)
    except Exception as error:  # zarr's codecs raise errors of many kinds for torn shards
        return f"cannot be read: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if np.isnan(pixels).any():
        return "a shard is missing or empty"
    if checksum(pixels) != record.crc32:
        return "its pixels are not those that were recorded"
    return ""


def verify(location: str | Path, *, sample: int = 4, seed: int = 0) -> Verdict:
    """Read all recorded tiles of a store back; render ``sample`` of them again and compare bytes.

    The sample is drawn by ``seed`` from the tiles whose checksums are right.  Nothing is written.
    Raises StoreError for what is no store of tiledsim, or whose journal is damaged.
    """
    files = open_files(location)
    about = store.read_attributes(files)
    layout = layout_of(files)
    try:
        scene_hash, backend, dtype = (str(about[key]) for key in ("scene_hash", "backend", "dtype"))
    except KeyError as error:
        raise StoreError(f"{files.url}: its attributes are damaged: {error!r}") from None
    records = read_records(files, layout)
    damaged = list(find_damage(files, layout, records))
    wrong = {damage.index for damage in damaged}
    sound = [index for index in sorted(records) if index not in wrong]
    chosen = sorted(random.Random(seed).sample(sound, min(max(sample, 0), len(sound))))
    if chosen:
        check_scene(files, scene_hash)
        scene = scene_of(files.url, scene_hash)
        image = store.open_image(files)
        renderer = renderer_of(backend, dtype)
        for index in chosen:
            tile = layout.tile_at(index)
            again = renderer.render(scene, tile).astype(image.dtype)
            if checksum(again) != records[index].crc32:
                off = float(np.abs(again - store.read_tile(image, tile)).max())
                reason = f"rendered again it differs, by up to {off:.3g} photons"
                damaged.append(Damage(index, tile, reason, repairable=False))
    return Verdict(
        tiles=layout.tiles,
        checked=len(records),
        rendered_again=len(chosen),
        missing=tuple(index for index in range(layout.tiles) if index not in records),
        damaged=tuple(sorted(damaged, key=lambda damage: damage.index)),
    )
