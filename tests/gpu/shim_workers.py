"""Preloaded by Dask workers of tests: their GPU is the processor, through g++.

``TILEDSIM_TEST_LOSE=FILE`` makes the first worker that finds the file remove it and lose its GPU,
and where the file says so, no later process finds that GPU any more, and other GPUs render nothing
until there is a file ``go`` beside it.
A worker of which ``TILEDSIM_TEST_NO_GPU`` is set has none.
"""

import os
import time
from pathlib import Path
from typing import Any

from tests.gpu.shim_device import ShimDevice
from tiledsim.kernels import choice, devices
from tiledsim.kernels.cuda import backend as cuda
from tiledsim.kernels.cuda.device import DeviceError
from tiledsim.scheduler.session.opening import preflight


class FragileDevice(ShimDevice):
    """Says what it was shown, and is lost when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        self.order = Path(os.environ.get("TILEDSIM_TEST_LOSE", "/nowhere"))
        if self.grave.exists():
            raise DeviceError("cudaErrorNoDevice: no CUDA-capable device is detected")

    @property
    def grave(self) -> Path:
        return self.order.with_name(f"lost-{self.shown}")

    def wait(self, *marks: float) -> None:
        while list(self.order.parent.glob("lost-*")) and not self.order.with_name("go").exists():
            time.sleep(0.05)
        if marks and self.order.exists():
            if "for good" in self.order.read_text():
                self.grave.touch()
            self.order.unlink()
            raise DeviceError("cudaErrorIllegalAddress: told to be lost", lost=True)

    def describe(self) -> dict[str, str]:
        return super().describe() | {"shown": self.shown}


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
