"""One randomised fault run of each of some of the soak's kinds that other tests do not have."""

import subprocess
import sys

from tests.distributed.conftest import TESTS

KINDS = (
    "stop a worker past its TTL", "killed during the write", "late tasks, store overwritten",
    "driver asleep, store overwritten",
)  # fmt: skip


def test_a_few_randomised_fault_runs() -> None:
    """Each ends with the bytes and the summary of the undisturbed run."""
    kinds = [word for kind in KINDS for word in ("--kind", kind)]
    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--runs", str(len(KINDS)), "--seed", "1002",
         "--jobs", "2", "--seconds", "60", "--folders-only", *kinds],
        cwd=TESTS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": met") >= 2, done.stdout
