"""Many tiny tiles into one array, in a folder and in an S3 API: is one lost, what does one cost?

    python benchmarks/writes.py --edge 100

Renders edge² tiles of one shard of 16 x 16 pixels with two worker processes of two threads,
compares the array with the image computed at once, and counts the requests of the run that moto's
server on 127.0.0.1 saw; those of the comparison are left out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr

from tiledsim import simulate
from tiledsim.experiment import Experiment
from tiledsim.scheduler import run
from tiledsim.scheduler.session.collaborators import Collaborators
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.layout import Layout

ROOT = Path(__file__).resolve().parents[1]


def measure(name: str, location: str, experiment: Experiment, cut: Collaborators) -> float:
    """Make a run, compare every pixel, print and return its seconds."""
    started = time.perf_counter()
    summary = run(experiment, location, workers=2, threads=2, overwrite=True, fsync=False,
                  collaborators=cut)  # fmt: skip
    seconds = time.perf_counter() - started
    image = zarr.open_array(open_files(location).zarr(), path="image", mode="r")[:]
    lost = int((np.asarray(image) != simulate(experiment).astype(np.float32)).sum())
    print(f"{name}: {summary.tiles:,} tiles in {seconds:.1f} s, {lost} pixels lost", flush=True)
    return seconds


def main() -> int:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edge", type=int, default=100)
    edge = parser.parse_args().edge
    size = 16 * edge
    layout = Layout((1, 1, size, size), (16, 16), (16, 16), (16, 16))
    cut = Collaborators(cut=lambda scene, tile: layout)
    experiment = Experiment(
        beam={"wavelength_A": 1.0},
        crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (9, 8, 7)},
        structure_factors={"default_F": 100.0},
        detector={"size_px": (size, size), "pixel_mm": 0.05},
        sampling={"oversample": 1},
    )
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.distributed.s3_server", folder],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        try:
            local = measure("folder", f"{folder}/image.zarr", experiment, cut)
            endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
            os.environ |= {
                "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing",
            }  # fmt: skip
            import boto3

            boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="bench")
            there = measure("s3", "s3://bench/image.zarr", experiment, cut)
            log = (Path(folder) / "log").read_text().splitlines()
            requests = sum("GET /bench/image.zarr/image/c" not in line for line in log)
            print(
                f"s3: {requests:,} requests, {requests / edge**2:.3f} a tile; "
                f"{there / local:.2f} times the folder's time"
            )
        finally:
            server.kill()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
