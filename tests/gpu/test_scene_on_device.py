"""Which tables stay in the memory of a GPU, what scenes share, and what is waited for."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.gpu.scenes import described, whole
from tests.gpu.shim_device import ShimBuffer, ShimDevice
from tiledsim.campaign.one_shot import alone
from tiledsim.kernels.cuda import scene_on_device
from tiledsim.kernels.cuda.device import Buffer
from tiledsim.kernels.cuda.scene_on_device import SceneOnDevice, ScenesOnDevice
from tiledsim.kernels.cuda.source import specialise
from tiledsim.scene import Scene


class Counting(ShimDevice):
    """Keeps what was uploaded, and which marks were waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.uploads: list[int] = []
        self.waits: list[tuple[object, ...]] = []

    def upload(self, array: np.ndarray) -> Buffer:
        self.uploads.append(array.nbytes)
        return super().upload(array)

    def wait(self, *marks: object) -> None:
        self.waits.append(marks)


def crystal(**parts: Any) -> Scene:
    """A scene with a table of structure factors."""
    return replace(
        described(**parts),
        uniform_F=False,
        F_table=np.random.default_rng(1).random((9, 9, 9)),
        hkl_lowest=(-3, -3, -3),
    )


def kept(scenes: ScenesOnDevice, scene: Scene, dtype: str = "float64") -> SceneOnDevice:
    return scenes.of(scene, specialise(scene, dtype, interpolate=False))


def test_the_shots_of_a_campaign_share_structure_factors() -> None:
    columns = {"wavelength_A": {"uniform": (1.0, 1.2)}}
    scene = crystal(shots={"count": 30, "seed": 1, "columns": columns})
    device = Counting()
    scenes = ScenesOnDevice(device)
    shots = [alone(scene, whole(scene, shot))[0] for shot in range(30)]
    factors = {kept(scenes, shot).factors.buffer for shot in shots}
    assert len(factors) == 1
    assert device.uploads.count(8 * 9**3) == 1
    assert len(scenes) == scene_on_device.KEPT_SCENES
    wavelengths = {kept(scenes, shot).buffers["inverse_wavelength"].address for shot in shots[-8:]}
    assert len(wavelengths) == 8


def test_what_differs_is_not_shared() -> None:
    scene, scenes = crystal(), ScenesOnDevice(Counting())
    other = replace(scene, F_table=scene.F_table + 1.0)
    buffers = [kept(scenes, scene), kept(scenes, other), kept(scenes, scene, "mixed")]
    assert len({found.factors.buffer.address for found in buffers}) == 3
    first = buffers[0].factors.buffer
    assert isinstance(first, ShimBuffer)
    assert first.array.view(np.float64).tolist() == (scene.F_table**2).reshape(-1).tolist()
    assert buffers[2].units.factor == scene.F_table.max()


def test_tables_are_bounded_in_number() -> None:
    device = Counting()
    scenes = ScenesOnDevice(device)
    base = crystal()
    for number in range(5):
        kept(scenes, replace(base, F_table=base.F_table + number))
        assert len(scenes) <= scene_on_device.KEPT_FACTORS
    assert len(device.waits) == 5 - scene_on_device.KEPT_FACTORS
    plain = described()
    for number in range(20):
        kept(scenes, replace(plain, fluence=1e24 + number * 1e22))
        assert len(scenes) <= scene_on_device.KEPT_SCENES
    turning = described(shots={"count": 20, "seed": 1})
    tables = kept(scenes, turning)
    for shot in range(20):
        tables.addresses(turning, shot)
    orientations = device.uploads.count(72 * turning.orientations)
    assert orientations == 20
    tables.addresses(turning, 19)
    tables.addresses(turning, 20 - scene_on_device.KEPT_SHOTS)
    assert device.uploads.count(72 * turning.orientations) == 20
    tables.addresses(turning, 0)
    assert device.uploads.count(72 * turning.orientations) == 21


def test_what_makes_room_is_waited_for_in_every_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_on_device, "KEPT_SHOTS", 2)
    device = Counting()
    scene = described(shots={"count": 4, "seed": 1})
    tables = kept(ScenesOnDevice(device), scene)
    for shot, marks in ((0, {0: "a"}), (1, {1: "b"}), (0, {2: "c", 0: "d"})):
        tables.addresses(scene, shot)
        tables.used(shot, marks)
    assert device.waits == []
    tables.addresses(scene, 2)
    assert device.waits == [("b",)]
    tables.addresses(scene, 3)
    assert sorted(map(str, device.waits[1])) == ["c", "d"]
