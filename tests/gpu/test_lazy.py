"""Tiles in flight on a device that does nothing before it must: no wait is missing, or too early.

Drawn: scenes of several shots, with masks, in both precisions, in bands of any size, with memory
that is short, one or two tiles ahead.
"""

import random
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from tests.gpu.lazy_device import LazyDevice, Mark
from tests.gpu.scenes import described, whole
from tests.gpu.shim_device import COMPILER, ShimDevice
from tiledsim.errors import BackendError
from tiledsim.kernels.cuda import scene_on_device
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.kernels.cuda.scene_on_device import SceneOnDevice
from tiledsim.kernels.rendered import Pending
from tiledsim.scene import Scene
from tiledsim.tile import Tile

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")

SEEDS, TILES = 60, 40


@pytest.fixture(autouse=True)
def few_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables make room for others all the time."""
    for name in ("KEPT_SCENES", "KEPT_SHOTS"):
        monkeypatch.setattr(scene_on_device, name, 2)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = np.random.default_rng(1)
    made = []
    for shape in ("square", "gauss", "round"):
        scene = described(
            detector={"size_px": (36, 28)},
            crystal={"shape": shape},
            shots={"count": 6, "orientation": "random"},
        )
        made += [scene, replace(scene, mask=rng.random((28, 36)) > 0.3)]
    return made


@pytest.fixture(scope="module")
def images(scenes: list[Scene]) -> dict[tuple[str, int, int], np.ndarray]:
    """Images of every shot, from a device that does everything at once."""
    return {
        (dtype, number, shot): CudaBackend(dtype, ShimDevice()).render(scene, whole(scene, shot))
        for dtype in ("float64", "mixed")
        for number, scene in enumerate(scenes)
        for shot in range(scene.shape[0])
    }


def wrong_tiles(
    seed: int, scenes: list[Scene], images: dict[tuple[str, int, int], np.ndarray]
) -> tuple[int, int]:
    """Render drawn tiles; how many came back, and how many of them were wrong."""
    draw = random.Random(seed)
    memory = 2**62 if seed % 3 else draw.randint(40_000, 160_000)
    backend = CudaBackend(
        draw.choice(("float64", "mixed")),
        LazyDevice(seed, memory),
        band_bytes=draw.choice((4_000, 10_000, 2**26)),
    )
    ahead = draw.choice((1, 1, 2))
    waiting: deque[tuple[int, Tile, Pending]] = deque()
    came = wrong = 0

    def fetch() -> None:
        nonlocal came, wrong
        number, tile, pending = waiting.popleft()
        image = images[backend.dtype, number, tile.shot]
        part = image[tile.slow_start : tile.slow_stop, tile.fast_start : tile.fast_stop]
        came += 1
        wrong += pending.result().pixels.tobytes() != part.astype(np.float32).tobytes()

    for _ in range(TILES):
        number = draw.randrange(len(scenes))
        shots, _, slow, fast = scenes[number].shape
        rows, cols = draw.randint(1, slow), draw.randint(1, fast)
        row, col = draw.randint(0, slow - rows), draw.randint(0, fast - cols)
        tile = Tile(draw.randrange(shots), 0, row, row + rows, col, col + cols)
        try:
            waiting.append((number, tile, backend.start(scenes[number], tile)))
        except BackendError as error:
            assert "too little device memory" in str(error)  # noqa: PT017
            continue
        while len(waiting) > ahead:
            fetch()
    while waiting:
        fetch()
    return came, wrong


def test_no_tile_is_wrong(
    scenes: list[Scene], images: dict[tuple[str, int, int], np.ndarray]
) -> None:
    results = [wrong_tiles(seed, scenes, images) for seed in range(SEEDS)]
    came, wrong = np.sum(results, axis=0)
    assert came > 0.7 * SEEDS * TILES
    assert wrong == 0


@pytest.mark.parametrize("missing", ["of everything", "of the tiles that read a table"])
def test_a_wait_that_is_missing_shows(
    missing: str,
    scenes: list[Scene], images: dict[tuple[str, int, int], np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    real = LazyDevice.wait

    def only_marks(self: LazyDevice, *marks: object) -> None:
        if marks:
            real(self, *marks)  # type: ignore[arg-type]

    def never_used(self: SceneOnDevice, shot: int, marks: dict[int, object]) -> None:
        """Its marks are those that an empty lane has."""
        beginning = {0: Mark(0, 0)}
        self.marks = self._shots[shot].marks = beginning

    if missing == "of everything":
        monkeypatch.setattr(LazyDevice, "wait", only_marks)
    else:
        monkeypatch.setattr(SceneOnDevice, "used", never_used)
    assert any(wrong_tiles(seed, scenes, images)[1] for seed in range(SEEDS))
