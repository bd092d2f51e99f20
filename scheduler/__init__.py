"""Tiles on Dask workers, written to Zarr and gathered into a summary."""

if __name__ == "scheduler":
    raise ImportError("import tiledsim.scheduler, not scheduler")

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tiledsim.cupy_cache import choose_cache_folder

choose_cache_folder()  # zarr, which the modules below import, imports CuPy where it is installed

if TYPE_CHECKING:
    from tiledsim.scheduler.cluster.slurm.config import ClusterConfig as ClusterConfig
    from tiledsim.scheduler.launch import run as run
    from tiledsim.scheduler.noise import add_noise as add_noise
    from tiledsim.scheduler.options import RunOptions as RunOptions
    from tiledsim.scheduler.options import Where as Where
    from tiledsim.scheduler.pictures.notebook import open as open
    from tiledsim.scheduler.results.summary import Summary as Summary
    from tiledsim.scheduler.session.plan import Plan as Plan
    from tiledsim.scheduler.store.views import lazy as lazy

_HOME = {
    "ClusterConfig": "tiledsim.scheduler.cluster.slurm.config",
    "Plan": "tiledsim.scheduler.session.plan",
    "Summary": "tiledsim.scheduler.results.summary",
    "RunOptions": "tiledsim.scheduler.options",
    "Where": "tiledsim.scheduler.options",
    "add_noise": "tiledsim.scheduler.noise",
    "lazy": "tiledsim.scheduler.store.views",
    "open": "tiledsim.scheduler.pictures.notebook",
    "run": "tiledsim.scheduler.launch",
}

__all__ = [
    "ClusterConfig",
    "Plan",
    "RunOptions",
    "Summary",
    "Where",
    "add_noise",
    "lazy",
    "open",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tiledsim.scheduler' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
