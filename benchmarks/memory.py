"""Peak memory of a run on a detector of 32768 x 32768 pixels, 1 step a pixel.

    python benchmarks/memory.py [--side 32768] [--workers 1]

Prints the largest resident set of the driver and of each worker process, sampled, and the time.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import psutil

from tiledsim.experiment import Experiment
from tiledsim.scheduler import run


class Watch(threading.Thread):
    """Samples the resident set of this process and its children."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[str, int] = {}
        self.over = threading.Event()

    def run(self) -> None:
        """Sample until told to stop."""
        me = psutil.Process()
        while not self.over.wait(0.2):
            for process in [me, *me.children(recursive=True)]:
                try:
                    size = process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                name = "driver" if process.pid == me.pid else f"child {process.pid}"
                self.peaks[name] = max(self.peaks.get(name, 0), size)


def main() -> None:
    """Render and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=32768)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    experiment = Experiment(
        beam={"wavelength_A": 1.0},
        crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (20, 20, 20)},
        structure_factors={"default_F": 100.0},
        detector={"size_px": (options.side, options.side), "pixel_mm": 0.01},
        sampling={"oversample": 1},
    )
    watch = Watch()
    watch.start()
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        summary = run(experiment, Path(scratch) / "large.zarr", workers=options.workers)
        elapsed = time.perf_counter() - start
        size = sum(p.stat().st_size for p in Path(scratch).rglob("*") if p.is_file())
    watch.over.set()
    watch.join()
    for name, peak in watch.peaks.items():
        print(f"{name}: {peak / 2**20:.0f} MiB")
    print(f"{summary.tiles:,} tiles, {elapsed:.1f} s, {size / 2**30:.2f} GiB written")


if __name__ == "__main__":
    main()
