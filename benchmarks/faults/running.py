"""Faults of a run under way: it must end, by itself or resumed, as an undisturbed one."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from faults import child
from faults.outcome import false_records, outcome
from faults.processes import TTL_SECONDS, Process, cluster, started, workers_of
from faults.small_disk import fill, small_disk
from faults.tiles import FAULTS_IN_TILES

KINDS = (
    "kill a worker", "kill two workers", "kill the scheduler", "kill the client",
    "interrupt the client", "stop a worker past its TTL", "full disk", *FAULTS_IN_TILES,
)  # fmt: skip
OWN_SCHEDULER = ("kill the scheduler", "stop a worker past its TTL")
NANNIES = (
    "kill a worker", "kill two workers",
    *(kind for kind in FAULTS_IN_TILES if kind.startswith("killed")),
)  # fmt: skip
NEVER_SECOND = ("full disk", "a tile that always raises", *OWN_SCHEDULER)
DISK_MIB = 40
SESSION_SECONDS = 150


@dataclass
class Run:
    """One disturbed run: its places, its processes, and what came of its faults."""

    seed: int
    scratch: Path
    faults: list[str]
    draw: random.Random
    bucket: str = ""
    """Where the store is, if that is not a folder."""
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

    def make_folders(self) -> None:
        """Make the places of the run."""
        self.orders.mkdir(parents=True)
        self.store.parent.mkdir()


def plan_run(seed: int, scratch: Path, kinds: list[str]) -> Run:
    """Choose the faults of a run by its seed; kinds take turns, so that each comes as often."""
    draw = random.Random(seed)
    faults = [kinds[seed % len(kinds)]]
    others = [kind for kind in kinds if kind in KINDS and kind not in (*NEVER_SECOND, faults[0])]
    second = draw.random() < 0.4
    if faults[0] in KINDS and faults[0] not in NEVER_SECOND and others and second:
        faults.append(draw.choice(others))
    return Run(seed, scratch, faults, draw)


def give_orders(run: Run) -> None:
    """Write the orders of faults that happen inside tiles."""
    for fault in run.faults:
        for what in FAULTS_IN_TILES.get(fault, ()):
            for tile in run.draw.sample(range(child.TILES), run.draw.randint(1, 3)):
                for time_ in range(run.draw.randint(1, 2)):
                    (run.orders / f"{what}-{tile}-{time_}").touch()


def living(run: Run, client: Process) -> bool:
    """Whether a run still has something to lose."""
    root = run.store / "zarr.json"
    return client.status() is None and not (root.exists() and '"summary"' in root.read_text())


def disturb(
    run: Run, fault: str, client: Process, scheduler: Process | None, nodes: list[psutil.Process]
) -> None:
    """Do a fault from outside, now, and note whether it met a living run."""
    process = psutil.Process(client.pid) if client.status() is None else None
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
                assert scheduler is not None
                scheduler.send(signal.SIGKILL)
            case "kill the client":
                client.send(signal.SIGKILL)
            case "interrupt the client":
                client.send(signal.SIGINT)
            case "stop a worker past its TTL":
                stop(run, workers[0])
                return
            case "full disk":
                fill(run.store.parent / "filler")
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


@contextmanager
def workforce(run: Run) -> Iterator[tuple[str | None, Process | None, list[psutil.Process]]]:
    """Give a scheduler's address, its process, and workers' processes; nothing for a local one."""
    own = run.draw.choice((True, False)) or set(run.faults) & set(OWN_SCHEDULER)
    if not own:
        yield None, None, []
        return
    # A nanny would end a worker that is declared dead; it must come back and do no harm.
    nannies = bool(set(run.faults) & set(NANNIES)) and not set(run.faults) & set(OWN_SCHEDULER)
    name = f"scheduler-{run.sessions}"
    with cluster(run.folder, name, run.orders, threads=1, nannies=nannies) as found:
        yield found


def session(
    run: Run, address: str | None, scheduler: Process | None, nodes: list[psutil.Process]
) -> int | None:
    """Start a client, disturb it if it is the first, and return how it ended."""
    where: dict[str, Any] = {"scheduler": address} if address else {"workers": 2, "threads": 1}
    about = {
        "experiment": "old", "store": str(run.store), "orders": str(run.orders),
        "disturbed": True, "how": {"resume": True, **where},
    }  # fmt: skip
    log = run.folder / f"client-{run.sessions}.log"
    with started(child.render, log, about) as client:
        began = time.monotonic()
        if run.sessions == 1:
            early = run.draw.random() < 0.2
            while not early and client.status() is None and not (run.orders / "started").exists():
                time.sleep(0.02)
            for fault in run.faults:
                time.sleep(run.draw.uniform(0, 4 if early else 1))
                disturb(run, fault, client, scheduler, nodes)
        status = client.wait(SESSION_SECONDS - (time.monotonic() - began))
        if status is None:
            run.wrong = f"session {run.sessions} hung"
            return -1
        last = client.last_line()
    if run.sessions == 1 and "full disk" in run.faults:
        filled = "No space left" in last
        run.met["full disk"] = int(filled)
        if filled and not (status == 1 and "`resume`" in last):
            run.wrong = f"full disk: status {status}: {last}"
    if status == 0 and run.sessions == 1:
        run.met["interrupt the client"] = 0  # it came after the last tile
    if status == 1 and not last.startswith(("RunError: ", "KeyboardInterrupt", "StoreError: ")):
        run.wrong = f"session {run.sessions}: {last}"
    return status


def disturbed_run(run: Run, expected: dict[str, Any]) -> None:
    """Make one disturbed run, resumed until it finishes."""
    run.make_folders()
    give_orders(run)
    full = "full disk" in run.faults
    with small_disk(run.store.parent, DISK_MIB) if full else nullcontext():
        status: int | None = 1
        while status != 0 and run.sessions < 8 and not run.wrong:
            run.sessions += 1
            with workforce(run) as (address, scheduler, nodes):
                status = session(run, address, scheduler, nodes)
            (run.store.parent / "filler").unlink(missing_ok=True)
            for order in run.orders.glob("raise_always-*"):
                order.unlink()
            run.wrong = run.wrong or false_records(run.store)
        for fault in run.faults:
            for what in FAULTS_IN_TILES.get(fault, ()):
                run.met[fault] += any(run.orders.glob(f"taken-{what}-*"))
        if not run.wrong and status != 0:
            run.wrong = f"not finished after {run.sessions} sessions"
        if not run.wrong and outcome(run.store) != expected["old"]:
            run.wrong = "other bytes or another summary"
