"""The GPUs of this machine, found out without creating a CUDA context.

Workers that are started later see the GPUs that their environment names; a context in the process
that starts them would take memory on the first GPU and does not survive a fork.
"""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from typing import Final

INSTALL: Final = 'pip install "tiledsim[cuda13]" (or "tiledsim[cuda12]" for older drivers and GPUs)'


class NoDriverError(Exception):
    """The NVIDIA driver is absent or does not answer."""


_COUNT = """
import ctypes
driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
print(count.value if status in (0, 100) else f"CUDA error {status}")
"""
"""Counts GPUs without nvidia-smi, which containers may lack; 100 says that there is none."""


def _count_devices() -> list[tuple[str, str]]:
    """Ask the driver's library in a process of its own.  Raises NoDriverError."""
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    try:
        said = subprocess.run(
            [sys.executable, "-c", _COUNT],
            capture_output=True, text=True, timeout=30, check=False, env=environment,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise NoDriverError(f"the driver does not answer: {error}") from None
    if not said.isdigit():
        raise NoDriverError(said or "neither nvidia-smi nor libcuda.so.1 is found")
    return [(str(index), "") for index in range(int(said))]


def _present_devices() -> list[tuple[str, str]]:
    """Ask the driver for index and UUID of every GPU.  Raises NoDriverError."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return _count_devices()
    try:
        listing = subprocess.run(
            [program, "--query-gpu=index,uuid", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise NoDriverError(f"nvidia-smi fails: {error}") from None
    if "No devices" in listing.stdout:
        return []
    if listing.returncode != 0:
        said = (listing.stdout or listing.stderr).strip().splitlines()
        raise NoDriverError(f"nvidia-smi says {said[0]!r}" if said else "nvidia-smi fails")
    rows = [line.split(",") for line in listing.stdout.splitlines() if line.strip()]
    return [(row[0].strip(), row[-1].strip()) for row in rows]


def _allowed(present: list[tuple[str, str]], setting: str | None) -> list[str]:
    """Apply CUDA_VISIBLE_DEVICES as CUDA does: nothing after an entry that names no GPU counts."""
    if setting is None:
        return [index for index, _ in present]
    devices: list[str] = []
    for entry in (part.strip() for part in setting.split(",")):
        by_index = any(entry == index for index, _ in present)
        by_uuid = entry.startswith("GPU-") and any(uuid.startswith(entry) for _, uuid in present)
        if not (by_index or by_uuid or (entry.startswith("MIG-") and present)):
            break
        devices.append(entry)
    return devices


def visible_devices() -> list[str]:
    """List the GPUs that the driver reports and CUDA_VISIBLE_DEVICES allows, by index or UUID.

    Where there is no driver there are none.
    """
    try:
        return _allowed(_present_devices(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    except NoDriverError:
        return []


def cuda_status() -> tuple[bool, str]:
    """Return whether CUDA can be used, and why, or why not and what to do: one line."""
    if importlib.util.find_spec("cupy") is None:
        return False, f"CuPy is not installed; {INSTALL}"
    try:
        present = _present_devices()
    except NoDriverError as error:
        return False, f"CuPy is installed, the NVIDIA driver is not ({error}); install the driver"
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = _allowed(present, setting)
    if not present:
        return False, "the NVIDIA driver sees no GPU; check nvidia-smi"
    if not devices:
        return (
            False,
            f"CUDA_VISIBLE_DEVICES={setting} hides all {len(present)} GPU(s); unset it, or name "
            "one that nvidia-smi lists",
        )
    try:
        importlib.import_module("cupy")  # this makes no context
    except Exception as error:  # a broken installation raises more than ImportError
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return False, f"CuPy is installed and cannot be imported ({first}); {INSTALL}"
    return True, f"{len(devices)} NVIDIA GPU(s) visible"
