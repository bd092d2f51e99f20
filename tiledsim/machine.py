"""What this machine has: cores, memory, kernels, GPUs and the versions of what is installed."""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil

from tiledsim import __version__
from tiledsim.kernels import choose_backend_name
from tiledsim.kernels.devices import (
    SLOW_FLOAT64,
    cuda_status,
    float64_is_slow,
    visible_devices,
)

Report = dict[str, dict[str, str]]

_NEEDED = ("numpy", "numba", "zarr", "dask", "distributed", "xarray", "pydantic", "typer", "rich")
_OPTIONAL = {
    "obstore": "s3",
    "matplotlib": "plot",
    "bokeh": "dashboard",
    "dask-jobqueue": "slurm",
}


def examine() -> Report:
    """Look at this machine; nothing is started and no CUDA context is made."""
    return {
        "tiledsim": {
            "version": __version__,
            "installed in": str(Path(__file__).parent),
            "python": f"{platform.python_version()} ({sys.executable})",
            "system": platform.platform(),
        },
        "processor": _processor(),
        "memory": _memory(),
        "kernels": _kernels(),
        "gpus": {"CuPy": _cupy(), **_gpus()},
        "libraries": {name: _version(name) or "missing" for name in _NEEDED},
        "extras": {
            name: _version(name) or f'not installed (pip install "tiledsim[{extra}]")'
            for name, extra in _OPTIONAL.items()
        },
    }


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> dict[str, str]:
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    widest = next(
        (name for name in ("avx512f", "avx2", "avx", "neon", "sse2") if features.get(name)), "none"
    )
    return {
        "model": _model() or platform.processor() or platform.machine(),
        "compiled for": binding.get_host_cpu_name(),
        "widest vectors": widest,
        "cores": f"{usable_cores()} usable, {psutil.cpu_count(logical=False)} physical, "
        f"{psutil.cpu_count()} logical",
    }


def _model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), None)


def _memory() -> dict[str, str]:
    memory = psutil.virtual_memory()
    report = {
        "total": f"{memory.total / 2**30:.1f} GiB",
        "available": f"{memory.available / 2**30:.1f} GiB",
    }
    limit = _container_limit()
    if limit is not None and limit < memory.total:
        report["container's limit"] = f"{limit / 2**30:.1f} GiB"
    return report


def _container_limit() -> int | None:
    """Memory limit [bytes] of the control group of this process, if there is one."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((Path("/sys/fs/cgroup") / name).read_text())
        except (OSError, ValueError):  # absent, or "max"
            continue
    return None


def _kernels() -> dict[str, str]:
    name, why = choose_backend_name("auto", "float64")
    usable, status = cuda_status()
    return {
        "backend auto": f"{name} ({why})",
        "backend cuda": f"{'float64 and mixed' if usable else 'cannot be used'}: {status}",
        "backend cpu": "Numba, float64",
    }


def _cupy() -> str:
    """Version of CuPy, under whichever name it is installed."""
    names = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
    return next((found for name in names if (found := _version(name))), "not installed")


def _gpus() -> dict[str, str]:
    try:
        devices = visible_devices()
        if not devices:
            return {"none": "no NVIDIA GPU is visible"}
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,name,memory.total,driver_version,compute_cap",
             "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return {"unknown": f"the NVIDIA driver does not answer: {error}"}
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.stdout.splitlines()]
    return {
        f"gpu {index}": f"{name}, {memory}, driver {driver}, compute {capability}"
        + (f"; {SLOW_FLOAT64}" if float64_is_slow(capability) else "")
        for index, name, memory, driver, capability in rows
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
