"""Which GPUs of this machine a run uses: one worker process each."""

import os
from typing import Final

from tiledsim.errors import BackendError
from tiledsim.kernels.devices import find_gpu, visible_devices

GPU_THREADS: Final = 4
"""Of a GPU's process.  Two tiles of each are on the card or on their way; what waits for a disk or
compresses keeps no other thread from the card."""


def choose_gpus(asked: str) -> tuple[str, ...]:
    """Resolve ``all``, a number of GPUs (``2``) or their names (``0,2``, ``GPU-4f…,``).

    A list has a comma: ``2,`` is GPU number 2 alone; a UUID (of a GPU, or of a MIG slice as
    ``nvidia-smi -L`` lists it) needs none.  A name may stand there more than once, for several
    workers on one GPU.  No CUDA context is created.

    Raises BackendError where there is no GPU, too few of them, or none of that name.
    """
    visible = visible_devices()
    if not visible:
        raise BackendError(
            "no NVIDIA GPU is visible here (nvidia-smi, CUDA_VISIBLE_DEVICES); "
            "without `gpus` and `cluster=cuda` the processor renders"
        )
    if asked == "all":
        return tuple(visible)
    if asked.isdecimal():
        count = int(asked)
        if not 1 <= count <= len(visible):
            raise BackendError(
                f"`gpus={asked}`: {len(visible)} GPU(s) are visible ({', '.join(visible)}); give a "
                "number of them from 1, or names with commas between (2, is GPU number 2 alone)"
            )
        return tuple(visible[:count])
    names = tuple(name for word in asked.split(",") if (name := word.strip()))
    unknown = [name for name in names if not _is_visible(name, visible)]
    if unknown or not names:
        raise BackendError(
            f"`gpus={asked}`: no GPU {unknown[0] if unknown else 'is named'}; visible are "
            f"{', '.join(visible)}; give names of these, a number, or all"
        )
    return names


def _is_visible(name: str, visible: list[str]) -> bool:
    """Whether a name, or another name of the same GPU, is among the visible ones."""
    if name in visible or name.startswith("MIG-"):  # slices are listed by nvidia-smi -L alone
        return True
    gpu = find_gpu(name)
    return gpu is not None and name.startswith("GPU-") and gpu.index in visible


def environment_of(gpu: str) -> dict[str, str]:
    """Return what shows one GPU, and no other, to a process that has not used CUDA yet.

    A GPU is named by its UUID where that is known, which means the same in every process.
    """
    shown = {"CUDA_VISIBLE_DEVICES": gpu, "NUMBA_NUM_THREADS": "1"}
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        # The names are then nvidia-smi's, which counts along the bus; CUDA would sort by speed.
        shown["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        known = find_gpu(gpu)
        if known is not None and known.uuid.startswith("GPU-"):
            shown["CUDA_VISIBLE_DEVICES"] = known.uuid
    return shown


def worker_names(gpus: tuple[str, ...]) -> tuple[str, ...]:
    """Name the workers after their GPUs; several on one GPU are counted."""
    names = []
    for place, gpu in enumerate(gpus):
        before = gpus[:place].count(gpu)
        names.append(f"gpu-{gpu}" if gpus.count(gpu) == 1 else f"gpu-{gpu}.{before}")
    return tuple(names)
