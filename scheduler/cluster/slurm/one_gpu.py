"""Preloaded by the workers of a job with several GPUs: each process takes one of them."""

import os

from distributed import Worker

from tiledsim.errors import BackendError
from tiledsim.kernels.devices import visible_devices


def dask_setup(worker: Worker) -> None:
    """Show this process the GPU of its number in the job, before anything has used CUDA.

    Dask names the processes of a job ``NAME-0``, ``NAME-1``…, also one that is started again.
    Raises BackendError, which ends the worker, where the job has fewer GPUs than processes.
    """
    gpus = visible_devices()
    number = int(str(worker.name).rpartition("-")[2])
    if number >= len(gpus):
        raise BackendError(
            f"worker {worker.name} finds {len(gpus)} GPU(s) in its job; each process needs its own"
        )
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number]
