"""Whether CUDA can be used here, found out without creating a context."""

import importlib.util
import os
import shutil
import subprocess

INSTALL = 'pip install "tiledsim[cuda13]" (or "tiledsim[cuda12]" for older drivers)'


def visible_devices() -> list[str]:
    """List the GPUs that the driver reports and CUDA_VISIBLE_DEVICES allows, by index or UUID."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listing = subprocess.run(
        [program, "--query-gpu=index", "--format=csv,noheader"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    if listing.returncode != 0:
        return []
    present = listing.stdout.split()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return present
    return [device for device in allowed.split(",") if device.strip() not in ("", "-1")]


def cuda_status() -> tuple[bool, str]:
    """Return whether CUDA can be used, and why, or why not and what to do."""
    if importlib.util.find_spec("cupy") is None:
        return False, f"CuPy is not installed; {INSTALL}"
    try:
        devices = visible_devices()
    except (OSError, subprocess.SubprocessError) as error:
        return False, f"the NVIDIA driver does not answer ({error}); install or restart it"
    if not devices:
        return (
            False,
            "no NVIDIA GPU is visible; check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES",
        )
    return True, f"{len(devices)} NVIDIA GPU(s) visible"
