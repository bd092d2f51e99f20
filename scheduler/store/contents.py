"""What a store consists of, by name; all else is somebody's, and is never deleted."""

import re

from tiledsim.errors import StoreError
from tiledsim.scheduler.store.answers import Files
from tiledsim.scheduler.store.folder import LocalFiles
from tiledsim.scheduler.store.shards import ROOT

DIMENSIONS = ("shot", "panel", "slow", "fast")
ANGLE = "angle_deg"
FOLDERS = ("image", *DIMENSIONS, ANGLE, "geometry", "shots", "pyramid", "tiles", "run")
"""All that a store has beside its root document."""
_ARRAY = r"(zarr\.json|c(/\d+)*)"
_KNOWN = re.compile(
    "|".join((
        rf"({'|'.join((*DIMENSIONS, ANGLE))})/{_ARRAY}",
        rf"(geometry|shots|tiles)/(zarr\.json|[^/]+/{_ARRAY})",
        r"run/(zarr\.json|lease/.*)",
        r"run/journal/\d{8}(-[0-9a-f]{12}\.npz|\.jsonl)",
        r"run/scene/(\.scene-.*|[0-9a-f]{64}/(scene\.json|[^/]+\.npy))",
        r"run/failures/tile-\d+\.txt",
    )),
    re.DOTALL,
)  # fmt: skip


def check_all_ours(files: Files) -> None:
    """Raise StoreError where something that tiledsim did not write would be deleted."""
    if other := foreign(files):
        raise StoreError(
            f"{files.url} holds {other[:80]!r}, which is not of tiledsim; move it elsewhere first"
        )


def foreign(files: Files) -> str:
    """Name something at the place of a store that is not of one; empty where there is nothing.

    Below the chunks of the image and of its smaller copies, which may be millions, only the first
    level is looked at.
    """
    for name in files.names(""):
        if name not in (ROOT, *FOLDERS):
            return name
    own = [name for name in FOLDERS if not _is_link(files, name)]
    large = [f"pyramid/{level}/" for level in _levels(files)] if "pyramid" in own else []
    large += ["image/"] if "image" in own else []
    for array in large:
        for name in files.names(array):
            if name not in ("zarr.json", "c"):
                return array + name
        for name in files.names(f"{array}c/"):
            if not name.isdecimal():
                return f"{array}c/{name}"
    for folder in own:
        if folder not in ("image", "pyramid"):
            for key in files.keys(f"{folder}/"):
                if not _KNOWN.fullmatch(key):
                    return key
    levels = files.names("pyramid/") if "pyramid" in own else []
    return next((f"pyramid/{name}" for name in levels if not _is_level(name)), "")


def _is_link(files: Files, folder: str) -> bool:
    """Whether a folder is a link, which is removed without what it leads to."""
    return isinstance(files, LocalFiles) and (files.folder / folder).is_symlink()


def _levels(files: Files) -> list[str]:
    return [name for name in files.names("pyramid/") if name.isdecimal()]


def _is_level(name: str) -> bool:
    return name == "zarr.json" or name.isdecimal()
