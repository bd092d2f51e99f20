"""All that commands and Dask's servers import, once, for the processes that forks.py makes."""

import importlib

from tests.distributed.conftest import make_experiment
from tiledsim.kernels import get_backend
from tiledsim.scene.build import build_scene
from tiledsim.tile import Tile

for name in (
    "distributed.cli.dask_scheduler", "distributed.cli.dask_worker", "dask.__main__", "zarr",
    "zarr.storage", "tiledsim.cli.main", "tiledsim.scheduler.launch",
    "tiledsim.scheduler.results.verify", "tiledsim.scheduler.results.watch",
):  # fmt: skip
    importlib.import_module(name)
get_backend("cpu").render_bounded(
    build_scene(make_experiment(size_px=(8, 8))), Tile(0, 0, 0, 8, 0, 8)
)
