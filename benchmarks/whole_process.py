"""Whole processes, start-up, reading and writing included, against nanoBragg, run in turn.

    NANOBRAGG=path python benchmarks/whole_process.py [--rounds 3]

The Pilatus case as it is and with ``-oversample 4``, ``tiledsim nanobragg … -floatfile`` against
nanoBragg built with OpenMP, both with as many threads as there are cores.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PILATUS = Path(__file__).resolve().parents[2] / "shared" / "pilatus6m"


def seconds(command: list[str], folder: Path) -> float:
    """Wall time of a process."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)  # fmt: skip
    return time.perf_counter() - start


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    binary = os.environ.get("NANOBRAGG")
    if not binary or not PILATUS.is_dir():
        sys.exit("give NANOBRAGG=path, with the Pilatus case beside the checkout")
    flags = (PILATUS / "command.txt").read_text().split()[1:]
    flags = flags[: flags.index("-floatfile")]
    program = str(Path(sys.executable).with_name("tiledsim"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("A.mat", "scaled.hkl"):
            (folder / name).write_bytes((PILATUS / name).read_bytes())
        for title, oversample in (("pilatus6m", "1"), ("pilatus6m -oversample 4", "4")):
            case = list(flags)
            case[case.index("-oversample") + 1] = oversample
            ours = [program, "nanobragg", *case, "-floatfile", "ours.bin"]
            theirs = [binary, *case, "-nopgm", "-noprogress", "-floatfile", "theirs.bin"]
            seconds(ours, folder)  # the first run after installation may compile
            pairs = [
                (seconds(theirs, folder), seconds(ours, folder)) for _ in range(options.rounds)
            ]
            ratio = statistics.median(a / b for a, b in pairs)
            print(
                f"{title:26} nanoBragg {statistics.median(a for a, _ in pairs):7.2f} s, tiledsim "
                f"{statistics.median(b for _, b in pairs):6.2f} s: {ratio:5.1f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
