"""Where compiled kernels are kept: outside the package, by a hash of their sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tiledsim

CODE = """
import tiledsim.jit as jit
folder = jit.cache_folder()
print(folder)
"""


def cache_folder(**environment: str) -> str:
    keep = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=keep | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_in_the_folder_that_numba_was_given(tmp_path: Path) -> None:
    assert Path(cache_folder(NUMBA_CACHE_DIR=str(tmp_path))).parent == tmp_path


def test_in_the_platforms_cache_folder_otherwise(tmp_path: Path) -> None:
    folder = Path(cache_folder(HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache")))
    assert folder.is_relative_to(tmp_path)
    assert folder.name.startswith("tiledsim-")


def test_none_where_nothing_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert cache_folder(NUMBA_CACHE_DIR=str(file / "below")) == "None"


def test_nothing_is_kept_in_the_package() -> None:
    package = Path(tiledsim.__file__).parent
    if not list(package.glob("kernels/**/*.py")):
        pytest.fail("no kernels found")
    assert not list(package.glob("kernels/**/*.nbi"))
