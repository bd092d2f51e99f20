"""The tables of a scene in the memory of a GPU."""

from collections import OrderedDict
from typing import Final

from tiledsim.kernels.cuda.device import Buffer, Device
from tiledsim.kernels.cuda.params import scene_tables
from tiledsim.kernels.cuda.source import Specialisation
from tiledsim.scene import Scene

KEPT_SHOTS: Final = 4
"""Shots of a scene whose orientations stay on the device."""


class SceneOnDevice:
    """Tables of a scene in device memory, and the orientations of the shots used last."""

    def __init__(self, device: Device, scene: Scene, special: Specialisation) -> None:
        self._device = device
        tables = scene_tables(scene, special)
        self.units = tables.units
        self._buffers = {name: device.upload(array) for name, array in tables.arrays.items()}
        self._shots: OrderedDict[int, Buffer] = OrderedDict()

    def addresses(self, scene: Scene, shot: int) -> dict[str, int]:
        """Return where the tables are, those of a shot among them."""
        if shot not in self._shots:
            if len(self._shots) >= KEPT_SHOTS:
                self._device.wait()  # a tile on its way may still read them
                self._shots.popitem(last=False)
            self._shots[shot] = self._device.upload(scene.orientation_table(shot))
        self._shots.move_to_end(shot)
        named = {name: buffer.address for name, buffer in self._buffers.items()}
        return named | {"orientations": self._shots[shot].address}
