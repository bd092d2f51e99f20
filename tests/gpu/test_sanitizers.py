"""The kernels' text under AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.shim_device import COMPILER

ROOT = Path(__file__).resolve().parents[2]
CASES = ("mask", "gauss_xtal", "round_xtal", "absorption", "tophat_spots", "polarized", "dmin_cut",
         "hkl_default_F", "square_divergence", "quirk_oversample_scaling")  # fmt: skip


def runtime(name: str) -> str:
    assert COMPILER is not None
    found = subprocess.run(
        [COMPILER, f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(found).is_absolute():
        pytest.skip(f"the compiler has no {name}")
    return found


def sanitized(*arguments: str) -> subprocess.CompletedProcess[str]:
    if COMPILER is None:
        pytest.skip("there is no g++ to build the kernel with")
    environment = os.environ | {
        "LD_PRELOAD": f"{runtime('asan')} {runtime('ubsan')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
    }
    return subprocess.run(
        [sys.executable, "-m", "tests.gpu.sanitized", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip


def test_golden_cases_are_clean() -> None:
    done = sanitized(*CASES)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == list(CASES)
    assert "ERROR" not in done.stderr
    assert "runtime error" not in done.stderr


def test_memory_that_is_too_small_is_noticed() -> None:
    done = sanitized("--short", "mask")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
