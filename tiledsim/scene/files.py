"""Scenes as files, with which they reach workers."""

import json
import os
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from tiledsim.campaign.lattice_model import LatticeModel
from tiledsim.campaign.sase_model import SaseModel
from tiledsim.detector_model.model import CountModel
from tiledsim.errors import InputFileError
from tiledsim.io.arrays import map_npy
from tiledsim.io.text import read_text
from tiledsim.scene import Scene
from tiledsim.scene.crystal.absorption import CrystalAbsorption

LARGEST_SCALARS: Final = 64 << 20
"""Bytes of a scene's file of plain numbers."""
_TUPLES: Final = (
    "shape", "quirks", "cell_counts", "cross_counts", "hkl_lowest", "roi", "shot_names",
    "amorphous_materials",
)  # fmt: skip


def write_scene(scene: Scene, directory: Path) -> None:
    """Write a scene below ``directory/<hash>/``; whole or not at all."""
    target = directory / scene.hash
    if (target / "scene.json").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".scene-") as scratch:
        made = Path(scratch) / "scene"
        made.mkdir()
        for name, array in scene.arrays():
            np.save(made / f"{name}.npy", array)
        (made / "scene.json").write_text(json.dumps(scene.scalars()))
        try:
            os.rename(made, target)
        except OSError:
            if not (target / "scene.json").exists():  # else another process was first
                raise


def read_scene(directory: Path, hash: str) -> Scene:
    """Read a scene back, its arrays mapped into memory.

    Raises InputFileError where the files are missing, or are not those that the hash names.
    """
    source = directory / hash
    try:
        values = json.loads(read_text(source / "scene.json", "scene", LARGEST_SCALARS))
        for path in source.glob("*.npy"):
            values[path.stem] = map_npy(path, "scene")
        for name in _TUPLES:
            values[name] = tuple(values[name])
        if values["noise"] is not None:
            values["noise"] = CountModel(*values["noise"])
        if values["absorption"] is not None:
            values["absorption"] = CrystalAbsorption(*values["absorption"])
        if values["sase"] is not None:
            values["sase"] = SaseModel(*values["sase"])
        if values["lattices"] is not None:
            values["lattices"] = LatticeModel(*values["lattices"])
        scene = Scene(**values)
    except InputFileError:
        raise
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputFileError(f"{source}: the scene cannot be read: {error}") from None
    if scene.hash != hash:
        raise InputFileError(f"{source}: the scene was changed: its hash is now {scene.hash}")
    return scene
