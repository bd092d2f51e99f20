"""Processes from which no workers can be started say so in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributed.conftest import TESTS

HEAD = """
import sys
sys.path.insert(0, {root!r})
from tests.distributed.conftest import make_experiment
from tiledsim.scheduler import run
small = make_experiment(size_px=(40, 40))
"""


def last_line(script: Path, *words: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [*words, sys.executable, str(script)], capture_output=True, text=True, check=False,
        timeout=120, cwd=script.parent,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


def test_a_script_without_a_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(HEAD.format(root=str(TESTS)) + "run(small, 'a.zarr', workers=2)\n")
    status, said = last_line(script)
    assert status == 1
    assert said[-1].startswith("tiledsim.errors.BackendError: ")
    assert 'below the line  if __name__ == "__main__":' in said[-1]
    assert len(said) < 40
    assert not (tmp_path / "a.zarr").exists()
    guarded = "if __name__ == '__main__':\n    run(small, 'a.zarr', workers=2)\n"
    script.write_text(HEAD.format(root=str(TESTS)) + guarded)
    assert last_line(script)[0] == 0


def test_a_forked_child(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        HEAD.format(root=str(TESTS)) + "import os\n"
        "run(small, 'a.zarr')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        run(small, 'b.zarr')\n"
        "    except Exception as error:\n"
        "        print(error, file=sys.stderr, flush=True)\n"
        "        os._exit(7)\n"
        "    os._exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    status, said = last_line(script)
    assert status == 7
    assert "a fork of one that has made a run" in said[-1]


@pytest.mark.parametrize(("soft", "hard", "works"), [(20, 20, False), (20, 4096, True)])
def test_few_open_files(tmp_path: Path, soft: int, hard: int, works: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        HEAD.format(root=str(TESTS))
        + f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "try:\n    run(small, 'a.zarr')\n"
        "except Exception as error:\n    print(error, file=sys.stderr)\n    sys.exit(7)\n"
    )
    status, said = last_line(script)
    assert status == (0 if works else 7), said
    if not works:
        assert said == [
            "this process may open 20 files, the run needs 64; raise the limit (ulimit -n 64) or "
            "give fewer `workers`"
        ]
