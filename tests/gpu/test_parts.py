"""Pixels whose steps are more than a launch has time for go through several: the same bytes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gpu.scenes import described, whole
from tests.gpu.shim_device import COMPILER, ShimDevice
from tiledsim.kernels.cuda import bands
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.kernels.cuda.parts import BATCH, Part, parts_of
from tiledsim.kernels.cuda.source import specialise
from tiledsim.scene import Scene

SMALL = {"size_px": (40, 30)}
MANY = {"mosaic": {"spread_deg": 0.5, "domains": 70}}
DIVERGENT = {"hdiv_range_mrad": 3.0, "hdiv_steps": 3}
SCENES: dict[str, dict[str, Any]] = {
    "orientations": {"crystal": MANY},
    "subpixels": {"sampling": {"oversample": 3}},
    "directions and layers": {
        "crystal": MANY,
        "beam": DIVERGENT,
        "sampling": {"oversample": 2},
        "detector": {"sensor": {"depth_um": 230, "thickness_um": 450, "layers": 3}} | SMALL,
        "background": {"water_um": 50},
    },
    "wavelengths": {
        "crystal": {"mosaic": {"spread_deg": 0.5, "domains": 5}},
        "beam": DIVERGENT | {"dispersion_percent": 3.0, "dispersion_steps": 40},
    },
}


def ray_steps(part: Part, orientations: int) -> list[tuple[int, int]]:
    """The rays and orientations of a part, in the order of the kernel's loops."""
    return [
        (ray, m)
        for ray in range(part.first_ray, part.last_ray + 1)
        for m in range(
            part.first_orientation if ray == part.first_ray else 0,
            part.stop_orientation if ray == part.last_ray else orientations,
        )
    ]


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 200), st.integers(1, 3),
    st.floats(0, 1e4),
)  # fmt: skip
def test_every_step_is_in_one_part(
    layers: int, oversample: int, orientations: int, directions: int, steps: float
) -> None:
    beam = {"hdiv_range_mrad": 3.0, "hdiv_steps": directions} if directions > 1 else {}
    scene = replace(
        described(beam=beam),
        layers=layers, oversample=oversample,
        rotations=np.repeat(np.eye(3)[None], orientations, axis=0),
    )  # fmt: skip
    special = specialise(scene, "float64", interpolate=False)
    parts = parts_of(scene, special, steps)
    whole_ray = Part(0, layers * oversample**2 * directions - 1, 0, orientations)
    assert [step for part in parts for step in ray_steps(part, orientations)] == ray_steps(
        whole_ray, orientations
    )
    assert all(part.first_orientation % BATCH == 0 for part in parts)
    longest = max(len(ray_steps(part, orientations)) for part in parts)
    assert longest <= max(steps, BATCH)


@pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")
@pytest.mark.parametrize("dtype", ["float64", "mixed", "anchored"])
@pytest.mark.parametrize("name", SCENES)
def test_launches_add_up(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = described(**{"detector": SMALL} | SCENES[name])
    images, launches = [], []
    third_of_eight_rows = 8 * 40 * scene.steps_per_pixel / 3
    for steps in (2e8, third_of_eight_rows, 1):
        monkeypatch.setattr(bands, "FIRST_BAND_STEPS", steps)
        images.append(rendered(scene, dtype, launches))
    assert images[0] == images[1] == images[2]
    assert launches[0] == 1
    assert launches[1] > 4  # more than there are rows of patches
    assert launches[2] >= launches[1]


@pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")
def test_running_products_add_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = replace(described(crystal=MANY, sampling={"oversample": 2}), omega_correction="running")
    assert specialise(scene, "float64", interpolate=False).products
    launches: list[int] = []
    image = rendered(scene, "float64", launches)
    monkeypatch.setattr(bands, "FIRST_BAND_STEPS", 1)
    assert rendered(scene, "float64", launches) == image
    assert launches[1] > launches[0]


def rendered(scene: Scene, dtype: str, launches: list[int]) -> bytes:
    device = ShimDevice()
    mask = np.random.default_rng(1).random(scene.shape[2:]) > 0.2
    backend = CudaBackend(
        "float64" if dtype == "float64" else "mixed", device, anchored=dtype == "anchored"
    )
    image = backend.render(replace(scene, mask=mask), whole(scene))
    launches.append(device.launches)
    assert image.max() > 0.0
    return image.tobytes()
