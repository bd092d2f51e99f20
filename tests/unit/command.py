"""Run the command line as people do: in a process of its own."""

import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 600


def tiledsim(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``tiledsim WORDS`` and return what it said and its exit status."""
    return subprocess.run(
        [sys.executable, "-m", "tiledsim.cli.main", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=TIMEOUT_S,
        check=False,
    )


def refusal(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must be refused as bad input, and return its one line."""
    done = tiledsim(*words, cwd=cwd)
    assert done.returncode == 2, done
    errors = [line for line in done.stderr.splitlines() if "note:" not in line]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("tiledsim: error: ")
    return errors[0].removeprefix("tiledsim: error: ")
