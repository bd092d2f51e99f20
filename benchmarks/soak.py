"""Randomised fault runs: every one must end with the bytes and the summary of an undisturbed run.

    python benchmarks/soak.py --runs 200 --seed 1

A run is a client process with two worker processes.  The seed of a run chooses its faults and their
moments; a run that was stopped by one is resumed until it finishes.  Prints a line a run, and exits
with status 1 if any run differs; ``--only SEED`` repeats one.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

FAULTS = (
    "kill a worker", "kill two workers", "kill the client", "interrupt the client",
    "stop a worker", "failing tiles", "failing writes", "hanging writes", "kill inside a tile",
)  # fmt: skip
TILES = 30


def child(store: str, orders: str) -> None:
    """Render, or continue, one run in this process; its workers follow the orders."""
    from tiledsim.experiment import Experiment
    from tiledsim.scheduler import driver, run

    experiment = Experiment(
        beam={"wavelength_A": 1.0},
        crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (9, 8, 7)},
        structure_factors={"default_F": 100.0},
        detector={"size_px": (2200, 2700), "pixel_mm": 0.05},
        sampling={"oversample": 1},
    )
    if orders:
        import soak

        os.environ["TILEDSIM_SOAK_ORDERS"] = orders
        driver.render_tiles = soak.disturbed_render_tiles
    workers = 2 if orders else 1
    run(experiment, store, workers=workers, threads=1, resume=Path(store).exists(), fsync=False)


def disturbed_render_tiles(job, tiles):  # type: ignore[no-untyped-def]
    """Do what a worker does, disturbed on chosen tiles as the orders say."""
    from tiledsim.scheduler import store, worker

    folder = Path(os.environ["TILEDSIM_SOAK_ORDERS"])

    def ordered(what: str, index: int) -> bool:
        """Take one order off; renaming is what makes it taken once."""
        for order in folder.glob(f"{what}-{index}-*"):
            try:
                order.rename(folder / f"taken-{order.name}")
            except FileNotFoundError:
                continue
            return True
        return False

    real_renderer, real_write = worker.renderer_of(job.backend, job.dtype), store.write_tile

    class Disturbed:
        def render(self, scene, tile):  # type: ignore[no-untyped-def]
            index = numbers[tile]
            time.sleep(0.05)
            if ordered("raise", index):
                raise ArithmeticError("told to fail")
            pixels = real_renderer.render(scene, tile)
            if ordered("die-before-write", index):
                os.kill(os.getpid(), signal.SIGKILL)
            return pixels

    def write(image, layout, tile, pixels, *, fsync):  # type: ignore[no-untyped-def]
        index = numbers[tile]
        if ordered("write-raise", index):
            raise OSError(28, "No space left on device (told so)")
        if ordered("write-hang", index):
            time.sleep(2)
        real_write(image, layout, tile, pixels, fsync=fsync)
        if ordered("die-after-write", index):
            os.kill(os.getpid(), signal.SIGKILL)

    numbers = {job.layout.tile_at(index): index for index, _ in tiles}
    kept = worker.renderer_of
    worker.renderer_of, worker.store.write_tile = lambda backend, dtype: Disturbed(), write
    try:
        return worker.render_tiles(job, tiles)
    finally:
        worker.renderer_of, worker.store.write_tile = kept, real_write


def image_hash(store: Path) -> str:
    """Hash of all files of the image, names and bytes."""
    hashed = hashlib.sha256()
    for path in sorted(p for p in (store / "image").rglob("*") if p.is_file()):
        hashed.update(str(path.relative_to(store)).encode() + path.read_bytes())
    return hashed.hexdigest()


def images(store: Path) -> object:
    """The part of the summary that may not depend on what happened; tiles are counted in it."""
    summary = json.loads((store / "zarr.json").read_text())["attributes"]["summary"]
    return summary["images"], summary["photons"], summary["tiles"]


def start(store: Path, orders: Path | None) -> subprocess.Popen[str]:
    """Start a client process."""
    here = Path(__file__).resolve().parent
    return subprocess.Popen(
        [sys.executable, __file__, "--child", str(store), "--orders", str(orders or "")],
        env=os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def workers_of(client: psutil.Process) -> list[psutil.Process]:
    """The worker processes that a client's nannies have started."""
    try:
        children = client.children(recursive=True)
        return [p for p in children if "spawn_main" in " ".join(p.cmdline())]
    except psutil.Error:
        return []


def give_orders(draw: random.Random, fault: str, orders: Path) -> None:
    """Write the orders of a fault that happens inside workers."""
    kinds = {
        "failing tiles": ("raise",), "failing writes": ("write-raise",),
        "hanging writes": ("write-hang",), "kill inside a tile": ("die-before-write",
                                                                  "die-after-write"),
    }.get(fault, ())  # fmt: skip
    for index in draw.sample(range(TILES), draw.randint(1, 3)) if kinds else ():
        for time_ in range(draw.randint(1, 2)):
            (orders / f"{draw.choice(kinds)}-{index}-{time_}").touch()


def disturb(draw: random.Random, fault: str, client: psutil.Process) -> None:
    """Do a fault from outside, now."""
    workers = workers_of(client)
    draw.shuffle(workers)
    try:
        match fault:
            case "kill a worker":
                for process in workers[:1]:
                    process.kill()
            case "kill two workers":
                for process in workers[:2]:
                    process.kill()
            case "kill the client":
                client.kill()
            case "interrupt the client":
                client.send_signal(signal.SIGINT)
            case "stop a worker":
                for process in workers[:1]:
                    process.suspend()
                    time.sleep(draw.uniform(1, 3))
                    process.resume()
    except psutil.NoSuchProcess:
        return  # it ended by itself before


def fault_run(seed: int, scratch: Path, expected: tuple[str, object]) -> tuple[bool, str]:
    """Make one disturbed run; return whether it ended as the undisturbed one, and what happened."""
    draw = random.Random(seed)
    faults = draw.sample(FAULTS, draw.randint(1, 2))
    store, orders = scratch / f"{seed}.zarr", scratch / f"{seed}.orders"
    orders.mkdir()
    for fault in faults:
        give_orders(draw, fault, orders)
    sessions, said = 0, ""
    while sessions < 8:
        sessions += 1
        client = start(store, orders)
        process = psutil.Process(client.pid)
        if sessions == 1:
            began = time.monotonic()
            while not list((store / "run").glob("lease.json")) and time.monotonic() - began < 60:
                time.sleep(0.02)
            for fault in faults:
                time.sleep(draw.uniform(0, 1.2))
                disturb(draw, fault, process)
        try:
            _, said = client.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            client.kill()
            return False, f"{', '.join(faults)}: hung"
        if client.returncode == 0:
            break
    last = said.strip().splitlines()[-1:] or [""]
    if client.returncode:
        return False, f"{', '.join(faults)}: not finished after {sessions} sessions: {last[0]}"
    taken = len(list(orders.glob("taken-*")))
    same = (image_hash(store), images(store)) == expected
    return same, f"{', '.join(faults)}: {sessions} sessions, {taken} orders taken"


def main() -> int:
    """Make the runs that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--seconds", type=float, help="start no run after so long")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--orders", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.orders)
        return 0
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    if arguments.only is not None:
        seeds = range(arguments.only, arguments.only + 1)
    wrong, done, began = [], 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tiledsim-soak-") as folder:
        scratch = Path(folder)
        undisturbed = start(scratch / "undisturbed.zarr", None)
        _, said = undisturbed.communicate()
        if undisturbed.returncode:
            sys.exit(said)
        expected = image_hash(scratch / "undisturbed.zarr"), images(scratch / "undisturbed.zarr")
        for seed in seeds:
            if arguments.seconds and time.monotonic() - began > arguments.seconds:
                break
            same, what = fault_run(seed, scratch, expected)
            done += 1
            if not same:
                wrong.append(seed)
            print(f"seed {seed}: {'same' if same else 'DIFFERENT'}: {what}", flush=True)
    seconds = time.monotonic() - began
    print(f"{done} runs in {seconds:.0f} s, {len(wrong)} wrong {wrong or ''}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
