"""What a run left in its store, to be compared with what an undisturbed one leaves."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tiledsim.errors import StoreError
from tiledsim.scheduler.journal.damage import find_damage
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.store.files import Files, open_files
from tiledsim.scheduler.store.open import layout_of


def outcome(store: str | Path) -> Any:
    """Return hashes of the image, its smaller copies and the tiles' columns, and the part of the
    summary that faults cannot touch.
    """
    files = open_files(store)
    hashed = hashlib.sha256()
    for array in ("image", "pyramid", "tiles/total", "tiles/crc32", "tiles/index"):
        for key in sorted(files.keys(f"{array}/")):
            hashed.update(key.encode() + (files.read(key) or b""))
    about = json.loads(files.read("zarr.json") or b"{}")["attributes"]
    summary = about["summary"]
    return hashed.hexdigest(), about["scene_hash"], (
        summary["images"], summary["photons"], summary["tiles"],
    )  # fmt: skip


def left_over(store: str | Path) -> list[str]:
    """Name what a finished run should not have left."""
    keys = list(open_files(store).keys(""))
    return [key for key in keys if ".partial" in key or "lease/" in key or "removed-" in key]


def false_records(store: str | Path) -> str:
    """Name a tile that is recorded and not whole; empty if there is none."""
    files: Files = open_files(store)
    try:
        layout = layout_of(files)
    except StoreError as error:
        made = "does not exist" in str(error) or "never made whole" in str(error)
        return "" if made else str(error)
    try:
        damage = find_damage(files, layout, read_records(files, layout))
    except StoreError as error:
        return str(error)
    return str(damage[0]) if damage else ""
