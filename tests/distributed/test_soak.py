"""A few of the soak's randomised fault runs."""

import subprocess
import sys

from tests.distributed.conftest import TESTS


def test_a_few_randomised_fault_runs() -> None:
    """Each ends with the bytes and the summary of the undisturbed run."""
    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--runs", "3", "--seed", "1001", "--seconds", "40"],
        cwd=TESTS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": same: " in done.stdout
