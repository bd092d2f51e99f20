"""The table of a campaign in its store: a group with an array a column, a value a shot."""

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from tiledsim.campaign.build import table_of
from tiledsim.campaign.columns import KINDS, TURN
from tiledsim.experiment import Experiment
from tiledsim.scene import Scene
from tiledsim.scheduler.store.files import Writer
from tiledsim.scheduler.store.in_memory import ZarrInMemory

GROUP = "shots"
PORTION_SHOTS = 100_000


def write_shots(files: Writer, experiment: Experiment, scene: Scene) -> None:
    """Write the columns of a campaign, labels too; nothing where shots have no table.

    The driver does, while it makes the store.
    """
    if scene.shot_values is None:
        return
    table = table_of(experiment)
    columns: dict[str, NDArray[Any]] = dict(table.columns)
    if table.turns is not None:
        columns |= dict(zip(TURN, table.turns.T, strict=True))
    made = ZarrInMemory()
    group = zarr.open_group(made.store, path=GROUP, mode="w", zarr_format=3)
    for name, values in columns.items():
        about: dict[str, Any] = {"units": "1", "long_name": "label"}
        if name in TURN:
            about = {"units": "1", "long_name": "of the quaternion that turns the crystal"}
        elif name in KINDS:
            about = {"units": KINDS[name].units, "long_name": KINDS[name].meaning}
        array = group.create_array(
            name, shape=values.shape, dtype="float64" if values.dtype.kind == "f" else "str",
            chunks=(min(len(values), PORTION_SHOTS),), dimension_names=("shot",),
            attributes=about,
        )  # fmt: skip
        array[:] = np.ascontiguousarray(values)
        made.hand_over(files.make)
