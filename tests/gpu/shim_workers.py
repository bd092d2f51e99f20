"""Preloaded by Dask workers of tests: their GPU is the processor, through g++.

``TILEDSIM_TEST_LOSE=FILE`` makes the first worker that finds the file remove it and lose its GPU.
A worker of which ``TILEDSIM_TEST_NO_GPU`` is set has none.
"""

import os
from pathlib import Path
from typing import Any

from tests.gpu.shim_device import ShimDevice
from tiledsim.kernels import choice, devices
from tiledsim.kernels.cuda import backend as cuda
from tiledsim.kernels.cuda.device import DeviceError
from tiledsim.scheduler.session.opening import preflight


class FragileDevice(ShimDevice):
    """Says what it was shown, and is lost when it is told so."""

    def wait(self, *marks: float) -> None:
        order = Path(os.environ.get("TILEDSIM_TEST_LOSE", "/nowhere"))
        if marks and order.exists():
            order.unlink()
            raise DeviceError("cudaErrorIllegalAddress: told to be lost", lost=True)

    def describe(self) -> dict[str, str]:
        return super().describe() | {"shown": os.environ.get("CUDA_VISIBLE_DEVICES", "")}


def status() -> tuple[bool, str]:
    if os.environ.get("TILEDSIM_TEST_NO_GPU"):
        return False, "there is no GPU"
    return True, "a GPU that is none"


def patches() -> list[tuple[Any, str, Any]]:
    """What has to be replaced, here and in workers."""
    return [
        (devices, "cuda_status", status),
        (choice, "cuda_status", status),
        (preflight, "cuda_status", status),
        (cuda, "CupyDevice", FragileDevice),
    ]


def dask_setup(worker: Any) -> None:
    for module, name, value in patches():
        setattr(module, name, value)
