"""The tables of scenes in the memory of a GPU, and how long they stay."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels.cuda.device import Buffer, Device
from tiledsim.kernels.cuda.params import Units, factor_sources, factor_table, scene_tables
from tiledsim.kernels.cuda.source import Specialisation
from tiledsim.scene import Scene

KEPT_SCENES: Final = 8
"""Scenes whose tables stay on the device; each shot of a campaign is one."""
KEPT_FACTORS: Final = 2
"""Different tables of structure factors that they have together."""
KEPT_SHOTS: Final = 8
"""Shots of a scene whose orientations stay on the device."""


@dataclass(eq=False)
class _Factors:
    """Structure factors on the device, shared by all scenes that have the same."""

    buffer: Buffer
    unit: float
    sources: tuple[NDArray[np.generic], ...]
    """What they were made of; while it is kept no other table has its identity."""


@dataclass(eq=False)
class _Orientations:
    """Those of a shot."""

    buffer: Buffer
    marks: dict[int, object] = field(default_factory=dict)
    """Of each lane, what the last tile that reads them ends with."""


@dataclass(eq=False)
class SceneOnDevice:
    """Tables of a scene in device memory, and the orientations of the shots used last."""

    device: Device
    units: Units
    buffers: dict[str, Buffer]
    factors: _Factors
    marks: dict[int, object] = field(default_factory=dict)
    """Of each lane, what the last tile that reads them ends with."""
    _shots: OrderedDict[int, _Orientations] = field(default_factory=OrderedDict)

    def addresses(self, scene: Scene, shot: int) -> dict[str, int]:
        """Return where the tables are, those of a shot among them."""
        if shot not in self._shots:
            if len(self._shots) >= KEPT_SHOTS:
                _, oldest = self._shots.popitem(last=False)
                self.device.wait(*oldest.marks.values())
            self._shots[shot] = _Orientations(self.device.upload(scene.orientation_table(shot)))
        self._shots.move_to_end(shot)
        named = {name: buffer.address for name, buffer in self.buffers.items()}
        return named | {
            "factors": self.factors.buffer.address,
            "orientations": self._shots[shot].buffer.address,
        }

    def used(self, shot: int, marks: dict[int, object]) -> None:
        """Take note of the marks, of some lanes, with which a tile ends that reads the tables."""
        self.marks |= marks
        self._shots[shot].marks |= marks


class ScenesOnDevice:
    """The scenes used last.  One that makes room is given up once no tile reads it any more."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kept: OrderedDict[tuple[str, Specialisation], SceneOnDevice] = OrderedDict()
        self._factors: WeakValueDictionary[tuple[object, ...], _Factors] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, scene: Scene, special: Specialisation) -> SceneOnDevice:
        """Return the tables of a scene, which are uploaded where they are not there."""
        key = scene.hash, special
        if key not in self._kept:
            self._make_room(scene, special)
            self._kept[key] = self._upload(scene, special)
        self._kept.move_to_end(key)
        return self._kept[key]

    def keep_only(self, scene: Scene, special: Specialisation) -> bool:
        """Give up all scenes but one, which no tile may read; False if there is no other."""
        key = scene.hash, special
        others = [other for other in self._kept if other != key]
        for other in others:
            del self._kept[other]
        return bool(others)

    def clear(self) -> None:
        """Give up all, which no tile may read."""
        self._kept.clear()

    def _make_room(self, scene: Scene, special: Specialisation) -> None:
        new = _identity(scene, special) not in self._factors
        while self._kept and (
            len(self._kept) >= KEPT_SCENES or (new and len(self._factors) >= KEPT_FACTORS)
        ):
            _, oldest = self._kept.popitem(last=False)
            self._device.wait(*oldest.marks.values())
            del oldest

    def _upload(self, scene: Scene, special: Specialisation) -> SceneOnDevice:
        identity = _identity(scene, special)
        factors = self._factors.get(identity)
        if factors is None:
            table, unit = factor_table(scene, special)
            factors = _Factors(self._device.upload(table), unit, factor_sources(scene, special))
            self._factors[identity] = factors
        tables = scene_tables(scene, special)
        buffers = {name: self._device.upload(array) for name, array in tables.arrays.items()}
        return SceneOnDevice(self._device, Units(factors.unit, tables.anchors), buffers, factors)


def _identity(scene: Scene, special: Specialisation) -> tuple[object, ...]:
    """Tell tables of factors apart: by what they are made of, and how."""
    made_of = (id(array) for array in factor_sources(scene, special))
    return (*made_of, special.factors, special.elements, special.mixed)
