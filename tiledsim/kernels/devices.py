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
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Final

from tiledsim.cupy_cache import choose_cache_folder

INSTALL: Final = 'pip install "tiledsim[cuda13]" (or "tiledsim[cuda12]" for older drivers and GPUs)'


class NoDriverError(Exception):
    """The NVIDIA driver is absent or does not answer."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as the driver lists it."""

    index: str
    """Its number along the bus, as nvidia-smi counts."""
    uuid: str = ""
    name: str = ""
    capability: str = ""
    """Compute capability, such as ``9.0``; empty where it is not known."""


_ASK_LIBRARY = """
import ctypes
driver = ctypes.CDLL("libcuda.so.1")
count, device, text = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
if status not in (0, 100):
    raise SystemExit(f"CUDA error {status}")
print("devices")
for index in range(count.value):
    driver.cuDeviceGet(ctypes.byref(device), index)
    raw, major, minor = (ctypes.c_ubyte * 16)(), ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGetUuid(raw, device)
    driver.cuDeviceGetName(text, 256, device)
    driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    h = bytes(raw).hex()
    uuid = f"GPU-{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
    print(index, uuid, text.value.decode(errors="replace").replace(",", " "),
          f"{major.value}.{minor.value}", sep=",")
"""
"""Lists GPUs without nvidia-smi, which containers may lack and which gives up where one card of
several is in error; status 100 says that there is none."""


def _ask_library() -> tuple[Gpu, ...]:
    """Ask the driver's library in a process of its own.  Raises NoDriverError."""
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_LIBRARY],
            capture_output=True, text=True, timeout=30, check=False, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise NoDriverError(f"the driver does not answer: {error}") from error
    lines = done.stdout.splitlines()
    if done.returncode != 0 or lines[:1] != ["devices"]:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        said = last if last.startswith("CUDA error") else ""
        raise NoDriverError(said or "neither nvidia-smi nor libcuda.so.1 is found")
    return _listed(lines[1:])


def _listed(lines: list[str]) -> tuple[Gpu, ...]:
    rows = ([cell.strip() for cell in line.split(",")] for line in lines if line.strip())
    return tuple(Gpu(*(row + [""] * 4)[:4]) for row in rows)


def _present_devices() -> tuple[Gpu, ...]:
    """Ask the driver for every GPU; nvidia-smi is asked once a process.  Raises NoDriverError."""
    program = shutil.which("nvidia-smi")
    return _ask_library() if program is None else _ask_nvidia_smi(program)


@lru_cache(maxsize=1)
def _ask_nvidia_smi(program: str) -> tuple[Gpu, ...]:
    try:
        listing = subprocess.run(
            [program, "--query-gpu=index,uuid,name,compute_cap", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise NoDriverError(f"nvidia-smi fails: {error}") from error
    if "No devices" in listing.stdout:
        return ()
    if listing.returncode == 0:
        return _listed(listing.stdout.splitlines())
    said = (listing.stdout or listing.stderr).strip().splitlines()
    complaint = f"nvidia-smi says {said[0]!r}" if said else "nvidia-smi fails"
    try:
        return _ask_library()
    except NoDriverError:
        raise NoDriverError(complaint) from None


def _allowed(present: tuple[Gpu, ...], setting: str | None) -> list[str]:
    """Apply CUDA_VISIBLE_DEVICES as CUDA does: nothing after an entry that names no GPU counts."""
    if setting is None:
        return [gpu.index for gpu in present]
    devices: list[str] = []
    for entry in (part.strip() for part in setting.split(",")):
        by_index = any(entry == gpu.index for gpu in present)
        by_uuid = entry.startswith("GPU-") and any(gpu.uuid.startswith(entry) for gpu in present)
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


def find_gpu(name: str) -> Gpu | None:
    """Return the GPU of an index or of the beginning of a UUID; None where it is not known."""
    try:
        present = _present_devices()
    except NoDriverError:
        return None
    for gpu in present:
        if name == gpu.index or (name.startswith("GPU-") and gpu.uuid.startswith(name)):
            return gpu
    return None


FLOAT64_UNITS: Final = {"6.0": 32, "7.0": 32, "8.0": 32, "9.0": 64, "10.0": 64}
"""Of a multiprocessor, half as many as for float32, by the compute capability: P100, V100, A100,
H100 and H200, B200."""
SLOW_FLOAT64_UNITS: Final = 2
"""Of all others."""

SLOW_FLOAT64: Final = (
    "float64 runs at 1/32 or 1/64 of its rate; mixed is several times faster, and exact to some "
    "1e-4 of a pixel (docs/gpus.md)"
)


def float64_is_slow(capability: str) -> bool:
    """Whether a card of this compute capability has 1/32 or 1/64 of its rate in float64.

    Those for graphics and inference do (GeForce, RTX, T4, A10, L4, L40S); False where the
    capability is not known.
    """
    return bool(capability) and capability not in FLOAT64_UNITS


def driver_is_too_old(cupy: ModuleType) -> str | None:
    """Compare the driver with the runtime that CuPy is for; None where they go together.

    Neither needs a device or makes a context.  Drivers run every runtime of their own major
    version and of older ones.
    """
    runtime = cupy.cuda.runtime
    driver, built_for = int(runtime.driverGetVersion()), int(runtime.runtimeGetVersion())
    if driver == 0 or driver // 1000 >= built_for // 1000:  # 0: there is no driver at all
        return None
    remedy = "install a newer driver"
    if driver >= 12000:
        remedy = f'pip install "tiledsim[cuda12]" in place of the CuPy that is there, or {remedy}'
    return (
        f"the driver is for CUDA {version_text(driver)}, the installed CuPy for "
        f"{version_text(built_for)}; {remedy}"
    )


def version_text(number: int) -> str:
    """Write CUDA's way of numbering, 13000 for 13.0, for people."""
    return f"{number // 1000}.{number % 1000 // 10}"


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
    choose_cache_folder()
    try:
        cupy = importlib.import_module("cupy")  # this makes no context
        problem = driver_is_too_old(cupy)
    except Exception as error:  # a broken installation raises more than ImportError
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return False, f"CuPy is installed and cannot be imported ({first}); {INSTALL}"
    if problem:
        return False, problem
    return True, f"{len(devices)} NVIDIA GPU(s) visible"
