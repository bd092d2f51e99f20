"""Is what a store holds what its records say, and what would be rendered again?"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiledsim.detector_model.stage import start_stored, start_tile
from tiledsim.errors import StoreError
from tiledsim.scheduler.journal.damage import Damage, find_damage
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.journal.tile_record import checksum
from tiledsim.scheduler.results.stored_summary import what_is_wrong
from tiledsim.scheduler.session.opening.photons import photons_of
from tiledsim.scheduler.session.opening.stored_scene import check_scene
from tiledsim.scheduler.session.task import renderer_of, scene_of
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.open import layout_of


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
    summary: str = ""
    """What is wrong with the summary, if anything."""

    @property
    def sound(self) -> bool:
        """Whether every tile is there and right."""
        return not self.missing and not self.damaged and not self.summary

    def text(self) -> str:
        """Return the verdict for people."""
        lines = [f"{damage.tile}: {damage.reason}" for damage in self.damaged]
        lines.append(
            f"{self.checked:,} of {self.tiles:,} tiles read back, {self.rendered_again:,} rendered "
            f"again: {len(self.damaged):,} damaged, {len(self.missing):,} missing"
        )
        if self.summary:
            lines.append(
                f"the summary is wrong: {self.summary}; a run with `resume` and `repair` makes it "
                "again"
            )
        if not all(damage.repairable for damage in self.damaged):
            lines.append(
                "a tile that differs when it is rendered again comes from another processor or "
                "version; a run with `overwrite` renders all anew"
            )
        if any(damage.repairable for damage in self.damaged):
            lines.append("a run with `resume` and `repair` renders the damaged and missing ones")
        elif self.missing:
            lines.append("a run with `resume` renders the missing ones")
        return "\n".join(lines)


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
        unit = "photons" if layout.dtype == "float32" else "ADU"
        photons = str(about.get("photons_of", ""))
        for index in chosen:
            tile = layout.tile_at(index)
            if photons:
                pending = start_stored(photons_of(photons), scene, tile)
            else:
                pending = start_tile(renderer_of(backend, dtype), scene, tile)
            again = pending.result().pixels
            if checksum(again) != records[index].crc32:
                off = float(np.abs(again - store.read_tile(image, tile).astype(float)).max())
                reason = f"rendered again it differs, by up to {off:.3g} {unit}"
                damaged.append(Damage(index, tile, reason, repairable=False))
    wrong_summary = ""
    if "summary" in about:
        check_scene(files, scene_hash)
        wrong_summary = what_is_wrong(files, scene_of(files.url, scene_hash), layout)
    return Verdict(
        summary=wrong_summary,
        tiles=layout.tiles,
        checked=len(records),
        rendered_again=len(chosen),
        missing=tuple(index for index in range(layout.tiles) if index not in records),
        damaged=tuple(sorted(damaged, key=lambda damage: damage.index)),
    )
