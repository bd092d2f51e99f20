"""X-ray diffraction images of crystals, computed in tiles.

Names are imported on first use, so that ``import tiledsim`` and ``tiledsim --help`` stay quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tiledsim.experiment import Experiment as Experiment
    from tiledsim.experiment import load as load
    from tiledsim.in_memory import simulate as simulate
    from tiledsim.nanobragg.command.command import (
        experiment_from_nanobragg as experiment_from_nanobragg,
    )
    from tiledsim.reach.predict import spots as spots
    from tiledsim.reference.trace import PixelTrace as PixelTrace
    from tiledsim.reference.trace import trace as trace
    from tiledsim.scene import Scene as Scene
    from tiledsim.scene.build import build_scene as build_scene
    from tiledsim.tile import Tile as Tile

_HOME = {
    "Experiment": "tiledsim.experiment",
    "load": "tiledsim.experiment",
    "experiment_from_nanobragg": "tiledsim.nanobragg.command.command",
    "Scene": "tiledsim.scene",
    "build_scene": "tiledsim.scene.build",
    "simulate": "tiledsim.in_memory",
    "spots": "tiledsim.reach.predict",
    "Tile": "tiledsim.tile",
    "PixelTrace": "tiledsim.reference.trace",
    "trace": "tiledsim.reference.trace",
}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tiledsim' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
