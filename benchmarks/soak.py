"""Randomised fault runs: every one must end with the bytes and the summary of an undisturbed run.

    python benchmarks/soak.py --runs 200 --seed 1 --jobs 2

A run is a client process and two worker processes; half of the runs have a scheduler of their
own, in a third.  The seed of a run chooses its fault, sometimes a second one, and their moments.  A
run that a fault ended is resumed until it finishes; each time what it has recorded is read back.
Prints a line a run and a table by kind of fault, which counts only faults that met a living run;
exits with status 1 if any run differs.  ``--only SEED`` repeats one, ``--kind NAME`` keeps to one
kind.
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
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from small_disk import fill, small_disk, why_no_mount
from soak_worker import FAULTS_IN_TILES

HERE = Path(__file__).resolve()
KINDS = (
    "kill a worker", "kill two workers", "kill the scheduler", "kill the client",
    "interrupt the client", "stop a worker past its TTL", "full disk", *FAULTS_IN_TILES,
)  # fmt: skip
OWN_SCHEDULER = ("kill the scheduler", "stop a worker past its TTL")
NEVER_SECOND = ("full disk", "a tile that always raises", *OWN_SCHEDULER)
TILES = 30
TTL_SECONDS = 3
DISK_MIB = 40
SESSION_SECONDS = 150


def child(store: str, scheduler: str | None) -> None:
    """Render, or continue, one run in this process; its workers follow the orders, if any."""
    from tiledsim.errors import RunError
    from tiledsim.experiment import Experiment
    from tiledsim.scheduler import run
    from tiledsim.scheduler.session.collaborators import Collaborators

    experiment = Experiment(
        beam={"wavelength_A": 1.0},
        crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (9, 8, 7)},
        structure_factors={"default_F": 100.0},
        detector={"size_px": (2200, 2700), "pixel_mm": 0.05},
        sampling={"oversample": 1},
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a shell's background
    disturbed = "TILEDSIM_SOAK_ORDERS" in os.environ
    collaborators = Collaborators()
    if disturbed:
        import soak_worker

        collaborators = Collaborators(task=soak_worker.disturbed_render_tiles)
    where: dict[str, Any] = {"scheduler": scheduler} if scheduler else {"workers": 2, "threads": 1}
    try:
        run(experiment, store, resume=True, fsync=not disturbed,
            collaborators=collaborators, **where)  # fmt: skip
    except RunError as error:
        sys.exit(f"RunError: {error}")


@dataclass
class Run:
    """One disturbed run: its places, its processes, and what came of its faults."""

    seed: int
    scratch: Path
    faults: list[str]
    draw: random.Random
    met: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    wrong: str = ""

    @property
    def folder(self) -> Path:
        """Where everything of this run is."""
        return self.scratch / str(self.seed)

    @property
    def store(self) -> Path:
        """The store, on a small disk of its own if that is to be full."""
        return self.folder / "disk" / "image.zarr"

    @property
    def orders(self) -> Path:
        """What the workers are told."""
        return self.folder / "orders"

    def environment(self) -> dict[str, str]:
        """Environment of all processes of the run."""
        path = os.pathsep.join((str(HERE.parent), str(HERE.parents[1])))
        return os.environ | {
            "PYTHONPATH": path, "TILEDSIM_SOAK_ORDERS": str(self.orders),
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL_SECONDS}s",
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
        }  # fmt: skip


# -- processes ------------------------------------------------------------------------------------


def end(process: psutil.Process) -> None:
    """Kill a process that the soak started, and what it has started."""
    with suppress(psutil.NoSuchProcess):
        for one in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                one.kill()


@contextmanager
def started(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[Any]:
    """Start a process with a log; kill it and its children in the end."""
    with log.open("ab") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
    handle = psutil.Process(process.pid)
    try:
        yield process
    finally:
        end(handle)
        process.wait()


@contextmanager
def cluster(run: Run) -> Iterator[tuple[str | None, Any, list[psutil.Process]]]:
    """Give a scheduler's address, its process, and workers' processes; nothing for a local one."""
    if not run.draw.choice((True, False)) and not set(run.faults) & set(OWN_SCHEDULER):
        yield None, None, []
        return
    file = run.folder / f"scheduler-{run.sessions}.json"
    # A nanny would end a worker that is declared dead; it must come back and do no harm.
    nanny = "--no-nanny" if set(run.faults) & set(OWN_SCHEDULER) else "--nanny"
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
                 "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]  # fmt: skip
    environment, log = run.environment(), run.folder / "cluster.log"
    with started(scheduler, log, environment) as first:
        address = read_address(file)
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address,
                  "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", nanny,
                  "--death-timeout", "120", "--local-directory", str(run.folder)]  # fmt: skip
        with (
            started(worker, log, environment) as a,
            started(worker, log, environment) as b,
        ):
            yield address, first, [psutil.Process(a.pid), psutil.Process(b.pid)]


def read_address(file: Path) -> str:
    """Return the address in a scheduler's file, which Dask writes in pieces."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return str(json.loads(file.read_text())["address"])
        except (FileNotFoundError, ValueError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def workers_of(parents: list[psutil.Process]) -> list[psutil.Process]:
    """The worker processes: those that nannies have started, else the given ones."""
    found = []
    for parent in parents:
        with suppress(psutil.Error):
            children = parent.children(recursive=True)
            found += [p for p in children if "spawn_main" in " ".join(p.cmdline())]
    return found or parents


# -- faults ---------------------------------------------------------------------------------------


def give_orders(run: Run) -> None:
    """Write the orders of faults that happen inside tiles."""
    for fault in run.faults:
        for what in FAULTS_IN_TILES.get(fault, ()):
            for tile in run.draw.sample(range(TILES), run.draw.randint(1, 3)):
                for time_ in range(run.draw.randint(1, 2)):
                    (run.orders / f"{what}-{tile}-{time_}").touch()


def living(run: Run, client: subprocess.Popen[str]) -> bool:
    """Whether a run still has something to lose."""
    root = run.store / "zarr.json"
    return client.poll() is None and not (root.exists() and '"summary"' in root.read_text())


def disturb(
    run: Run, fault: str, client: subprocess.Popen[str], scheduler: Any, nodes: list[psutil.Process]
) -> None:
    """Do a fault from outside, now, and note whether it met a living run."""
    process = psutil.Process(client.pid) if client.poll() is None else None
    workers = workers_of(nodes or ([process] if process else []))
    workers = [worker for worker in workers if worker != process]
    run.draw.shuffle(workers)
    alive = living(run, client)
    with suppress(psutil.NoSuchProcess):
        match fault:
            case "kill a worker" | "kill two workers":
                wanted = workers[: 1 if fault == "kill a worker" else 2]
                for worker in wanted:
                    worker.kill()
                alive = alive and len(wanted) == (1 if fault == "kill a worker" else 2)
            case "kill the scheduler":
                scheduler.kill()
            case "kill the client":
                client.kill()
            case "interrupt the client":
                client.send_signal(signal.SIGINT)
            case "stop a worker past its TTL":
                stop(run, workers[0])
                return
            case "full disk":
                fill(run.folder / "disk" / "filler")
            case _:
                return
    run.met[fault] += alive


def stop(run: Run, worker: psutil.Process) -> None:
    """Stop a worker until the scheduler has declared it dead, then let it go on."""
    log = run.folder / "cluster.log"
    worker.suspend()
    deadline = time.monotonic() + 5 * TTL_SECONDS
    while time.monotonic() < deadline:
        if "failed to heartbeat" in log.read_text(errors="replace"):
            run.met["stop a worker past its TTL"] += 1
            break
        time.sleep(0.1)
    time.sleep(run.draw.uniform(0, 1))
    worker.resume()


# -- runs -----------------------------------------------------------------------------------------


def outcome(store: Path) -> tuple[str, object]:
    """Return a hash of the image's files, and the part of the summary that faults cannot touch."""
    hashed = hashlib.sha256()
    for path in sorted(p for p in (store / "image").rglob("*") if p.is_file()):
        hashed.update(str(path.relative_to(store)).encode() + path.read_bytes())
    summary = json.loads((store / "zarr.json").read_text())["attributes"]["summary"]
    return hashed.hexdigest(), (summary["images"], summary["photons"], summary["tiles"])


def false_records(store: Path) -> str:
    """Name a tile that is recorded and not whole; empty if there is none."""
    from tiledsim.errors import StoreError
    from tiledsim.scheduler.journal.damage import find_damage
    from tiledsim.scheduler.journal.records_of_store import read_records
    from tiledsim.scheduler.store.files import LocalFiles
    from tiledsim.scheduler.store.open import layout_of

    files = LocalFiles(store)
    try:
        layout = layout_of(files)
    except StoreError as error:
        made = "does not exist" in str(error) or "never made whole" in str(error)
        return "" if made else str(error)
    try:
        damage = find_damage(files, layout, read_records(files, layout))
    except StoreError as error:
        return str(error)
    return str(damage[0]) if damage else ""


def session(run: Run, address: str | None, scheduler: Any, nodes: list[psutil.Process]) -> int:
    """Start a client, disturb it if it is the first, and return how it ended."""
    command = [sys.executable, str(HERE), "--child", str(run.store)]
    command += ["--scheduler", address] if address else []
    said = run.folder / f"client-{run.sessions}.log"
    with started(command, said, run.environment()) as client:
        began = time.monotonic()
        if run.sessions == 1:
            early = run.draw.random() < 0.2
            while not early and client.poll() is None and not (run.orders / "started").exists():
                time.sleep(0.02)
            for fault in run.faults:
                time.sleep(run.draw.uniform(0, 4 if early else 1))
                disturb(run, fault, client, scheduler, nodes)
        try:
            status = client.wait(timeout=SESSION_SECONDS - (time.monotonic() - began))
        except subprocess.TimeoutExpired:
            run.wrong = f"session {run.sessions} hung"
            return -1
    last = said.read_text(errors="replace").strip().splitlines()[-1:] or [""]
    if run.sessions == 1 and "full disk" in run.faults:
        filled = "No space left" in last[0]
        run.met["full disk"] = int(filled)
        if filled and not (status == 1 and "`resume`" in last[0]):
            run.wrong = f"full disk: status {status}: {last[0]}"
    if status == 0 and run.sessions == 1:
        run.met["interrupt the client"] = 0  # it came after the last tile
    if status == 1 and "Error: " not in last[0]:
        run.wrong = f"session {run.sessions}: {last[0]}"
    return status


def fault_run(run: Run, expected: tuple[str, object]) -> Run:
    """Make one disturbed run, resumed until it finishes."""
    run.orders.mkdir(parents=True)
    give_orders(run)
    place = run.folder / "disk"
    place.mkdir()
    with small_disk(place, DISK_MIB) if "full disk" in run.faults else nullcontext():
        status = 1
        while status != 0 and run.sessions < 8 and not run.wrong:
            run.sessions += 1
            with cluster(run) as (address, scheduler, nodes):
                status = session(run, address, scheduler, nodes)
            (run.folder / "disk" / "filler").unlink(missing_ok=True)
            for order in run.orders.glob("raise_always-*"):
                order.unlink()
            run.wrong = run.wrong or false_records(run.store)
        for fault in run.faults:
            for what in FAULTS_IN_TILES.get(fault, ()):
                run.met[fault] += any(run.orders.glob(f"taken-{what}-*"))
        if not run.wrong and status != 0:
            run.wrong = f"not finished after {run.sessions} sessions"
        if not run.wrong and outcome(run.store) != expected:
            run.wrong = "other bytes or another summary"
    return run


def plan_run(seed: int, scratch: Path, kinds: list[str]) -> Run:
    """Choose the faults of a run by its seed; kinds take turns, so that each comes as often."""
    draw = random.Random(seed)
    faults = [kinds[seed % len(kinds)]]
    others = [kind for kind in kinds if kind not in (*NEVER_SECOND, faults[0])]
    if others and draw.random() < 0.4 and faults[0] not in NEVER_SECOND:
        faults.append(draw.choice(others))
    return Run(seed, scratch, faults, draw)


def table(runs: list[Run]) -> str:
    """Count faults by kind: how many were drawn, how many met a living run."""
    lines = [f"{'fault':34}{'drawn':>7}{'met':>7}"]
    for kind in KINDS:
        drawn = sum(kind in run.faults for run in runs)
        if drawn:
            lines.append(f"{kind:34}{drawn:7}{sum(run.met[kind] > 0 for run in runs):7}")
    return "\n".join(lines)


def main() -> int:
    """Make the runs that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeat the run of one seed")
    parser.add_argument("--kind", action="append", choices=KINDS, help="draw these faults only")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--seconds", type=float, help="start no run after so long")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--scheduler", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.scheduler)
        return 0
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    if arguments.only is not None:
        seeds = range(arguments.only, arguments.only + 1)
    kinds = list(arguments.kind or KINDS)
    runs: list[Run] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tiledsim-soak-") as folder:
        scratch = Path(folder)
        if "full disk" in kinds and (why := why_no_mount(scratch)):
            print(f"full disk: left out, this machine gives no small disk: {why}")
            kinds.remove("full disk")
        undisturbed = scratch / "undisturbed.zarr"
        environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
        command = [sys.executable, str(HERE), "--child", str(undisturbed)]
        subprocess.run(command, env=environment, check=True)
        expected = outcome(undisturbed)

        def one(seed: int) -> None:
            if arguments.seconds and time.monotonic() - began > arguments.seconds:
                return
            run = fault_run(plan_run(seed, scratch, kinds), expected)
            runs.append(run)
            said = ", ".join(f"{f}: {'met' if run.met[f] else 'too late'}" for f in run.faults)
            what = f"DIFFERENT: {run.wrong}" if run.wrong else "same"
            print(f"seed {seed}: {what}: {said}; {run.sessions} sessions", flush=True)

        pool = ThreadPoolExecutor(arguments.jobs)
        try:
            list(pool.map(one, seeds))
        finally:
            pool.shutdown(cancel_futures=True)
    wrong = sorted(run.seed for run in runs if run.wrong)
    met = sum(any(run.met.values()) for run in runs)
    print(table(runs))
    seconds = time.monotonic() - began
    print(f"{len(runs)} runs in {seconds:.0f} s, the fault met {met} of them, {len(wrong)} wrong")
    if wrong:
        print(f"wrong seeds: {wrong}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
