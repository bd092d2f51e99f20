"""How much of a run's time its GPU is busy, a GPU of a stated speed that renders nothing.

    python benchmarks/gpu_writing.py [--megapixels 16 …] [--threads 1 4] [--pace 1e9 …]

A whole run by ``tiledsim.scheduler.run``: worker process, scheduler, driver, journal and shards
are real, and so are the pixels (an image of square spots, rendered once by the CPU kernel).
Printed are the seconds from the first task to the last record, those that the kernel was busy, and
the share of the slower of kernel and writing; writing alone is the run of a GPU that takes no time.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import dask
import numpy as np
import paced_gpu

from tiledsim import simulate
from tiledsim.experiment import Experiment
from tiledsim.scheduler import run
from tiledsim.scheduler.cluster import choose, gpus, local
from tiledsim.scheduler.session.events import Event, RunStarted, TilesDone

ENDLESS = 1e15
"""Pixels a second of a GPU that takes no time."""


def experiment(side: int) -> Experiment:
    """Square spots on a detector of this side; a few steps a pixel."""
    return Experiment.model_validate(
        {
            "beam": {"wavelength_A": 1.2},
            "crystal": {"cell_A_deg": (50, 60, 70, 80, 95, 100), "cells": (9, 8, 7)},
            "structure_factors": {"default_F": 100},
            "detector": {"size_px": (side, side), "pixel_mm": 0.1, "distance_mm": 150},
            "sampling": {"oversample": 1},
        }
    )


def run_seconds(side: int, pace: float, threads: int, fsync: bool) -> float:
    """Make a run with such a GPU and return its seconds, without start-up."""
    os.environ["TILEDSIM_PACE"] = repr(pace)
    gpus.GPU_THREADS = choose.GPU_THREADS = local.GPU_THREADS = threads  # type: ignore[misc]
    began = ended = 0.0

    def hear(event: Event) -> None:
        nonlocal began, ended
        if isinstance(event, RunStarted):
            began = time.perf_counter()
        elif isinstance(event, TilesDone):
            ended = time.perf_counter()

    with tempfile.TemporaryDirectory(dir=".") as folder:
        run(experiment(side), f"{folder}/image.zarr", gpus="0,", fsync=fsync, callbacks=(hear,))
    return ended - began


def main() -> None:
    """Print a line for each choice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--megapixels", type=int, default=16)
    parser.add_argument("--pace", type=float, nargs="+", default=[1e7, 2e7, 4e7])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--no-fsync", action="store_true")
    options = parser.parse_args()
    side = 1024 * round(options.megapixels**0.5)
    root = Path(__file__).resolve().parents[1]
    os.environ["PYTHONPATH"] = os.pathsep.join((str(root), str(root / "benchmarks")))
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "nvidia-smi"
        program.write_text("#!/bin/sh\necho '0, GPU-aa'\n")
        program.chmod(0o755)
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        pixels = Path(folder) / "pixels.npy"
        np.save(pixels, simulate(experiment(1024)).reshape(1024, 1024).astype(np.float32))
        os.environ["TILEDSIM_PIXELS"] = str(pixels)
        paced_gpu.use()
        with dask.config.set({"distributed.worker.preload": ["paced_gpu"]}):
            for threads in options.threads:
                writing = run_seconds(side, ENDLESS, threads, not options.no_fsync)
                print(f"{threads} thread(s): writing alone {writing:.2f} s", flush=True)
                for pace in options.pace:
                    kernel = side * side / pace
                    seconds = run_seconds(side, pace, threads, not options.no_fsync)
                    print(
                        f"  {pace:.3g} pixels/s: run {seconds:.2f} s, kernel {kernel:.2f} s "
                        f"({100 * kernel / seconds:.0f} %), of the slower of both "
                        f"{100 * max(kernel, writing) / seconds:.0f} %",
                        flush=True,
                    )


if __name__ == "__main__":
    sys.exit(main())
