"""The table of a campaign in its store: a group with an array a column, a value a shot."""

from typing import Any

import numpy as np
import zarr

from tiledsim.campaign.build import table_of
from tiledsim.campaign.columns import KINDS, TURN
from tiledsim.campaign.table import PORTION_ROWS
from tiledsim.experiment import Experiment
from tiledsim.scene import Scene
from tiledsim.scheduler.store.files import Writer
from tiledsim.scheduler.store.in_memory import ZarrInMemory

GROUP = "shots"


def write_shots(files: Writer, experiment: Experiment, scene: Scene) -> None:
    """Write the columns of a campaign, labels too, in portions; nothing where shots have no table.

    The driver does, while it makes the store.
    """
    if scene.shot_values is None:
        return
    table = table_of(experiment)
    arrays: dict[str, zarr.Array[Any]] = {}
    made = ZarrInMemory()
    group = zarr.open_group(made.store, path=GROUP, mode="w", zarr_format=3)
    for portion in table.portions():
        columns = dict(portion.columns)
        if portion.turns is not None:
            columns |= dict(zip(TURN, portion.turns.T, strict=True))
        for name, values in columns.items():
            if name not in arrays:
                arrays[name] = group.create_array(
                    name, shape=(table.count,),
                    dtype="float64" if values.dtype.kind == "f" else "str",
                    chunks=(min(table.count, PORTION_ROWS),), dimension_names=("shot",),
                    attributes=_about(name),
                )  # fmt: skip
            stop = portion.first + len(values)
            arrays[name][portion.first : stop] = np.ascontiguousarray(values)
        made.hand_over(files.make)


def _about(name: str) -> dict[str, Any]:
    if name in TURN:
        return {"units": "1", "long_name": "of the quaternion that turns the crystal"}
    if name in KINDS:
        return {"units": KINDS[name].units, "long_name": KINDS[name].meaning}
    return {"units": "1", "long_name": "label"}
