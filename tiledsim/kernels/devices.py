"""The GPUs of this machine, found out without creating a CUDA context."""

import os
import shutil
import subprocess


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
