"""Stand-ins for programs of clusters: sbatch, squeue, scancel… that run jobs here; nvidia-smi."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SBATCH = """#!/bin/bash
if [ -e {folder}/refuse ] && [ "$(ls {folder}/jobs | wc -l)" -ge "$(cat {folder}/refuse)" ]; then
    echo "sbatch: error: Batch job submission failed: Invalid account" >&2; exit 1
fi
[ "$1" = --test-only ] && exit 0
id=$$
cp "${{@: -1}}" {folder}/jobs/$id
SLURM_JOB_ID=$id setsid bash {folder}/jobs/$id > {folder}/log-$id 2>&1 < /dev/null &
echo $! > {folder}/pid-$id
echo "Submitted batch job $id"
"""
SQUEUE = """#!/bin/bash
for word in "$@"; do
    case $word in --jobs=*) ids=${{word#--jobs=}};; esac
done
for id in ${{ids//,/ }}; do
    if kill -0 $(cat {folder}/pid-$id) 2> /dev/null; then
        echo "$id|RUNNING|None"
    else
        echo "$id|FAILED|NonZeroExitCode"
    fi
done
"""
SCANCEL = """#!/bin/bash
for id in "$@"; do
    kill -TERM -- -$(cat {folder}/pid-$id) 2> /dev/null
    echo $id >> {folder}/cancelled
done
"""
SCONTROL = """#!/bin/bash
echo "JobId=${{@: -1}} JobState=FAILED ExitCode=3:0 StdErr={folder}/log-${{@: -1}}"
"""
NVIDIA_SMI = """#!/bin/sh
for number in {numbers}; do echo "$number, GPU-$number-5e3a"; done
"""


def install(folder: Path, name: str, text: str) -> None:
    """Put an executable into a folder."""
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)


class Slurm:
    """A folder with the programs, and what became of the jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        (folder / "jobs").mkdir()
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL),
                           ("scontrol", SCONTROL)):  # fmt: skip
            install(self.programs, name, text.format(folder=folder))

    @property
    def jobs(self) -> list[Path]:
        """The scripts that were submitted."""
        return sorted((self.folder / "jobs").iterdir())

    def running(self) -> list[int]:
        """Process groups of jobs that have not ended."""
        alive = []
        for file in self.folder.glob("pid-*"):
            group = int(file.read_text())
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                continue
            alive.append(group)
        return alive


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """Give a SLURM that ends what is left of its jobs."""
    standin = Slurm(folder)
    try:
        yield standin
    finally:
        for group in standin.running():
            os.killpg(group, signal.SIGKILL)
