"""Tasks that outlive their client, while the store becomes another's: they must do it no harm.

Tasks of a first run are held at a point of their writing; its client dies; the store is changed,
and at some moment before, during or after that the tasks are let go.  Then the store must be as the
run that it is of now left it.
"""

import shutil
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from faults import child, objects
from faults.outcome import false_records, left_over, outcome
from faults.processes import Process, cluster
from faults.running import Run
from faults.tiles import HOLDS

RUN_SECONDS = 90.0


def render(run: Run, store: str, experiment: str, how: dict[str, Any], **more: Any) -> Process:
    """Start a client."""
    run.sessions += 1
    about = {"experiment": experiment, "store": store, "how": how, "orders": str(run.orders)}
    return Process(child.render, run.folder / f"client-{run.sessions}.log", about | more)


def finish(run: Run, store: str, experiment: str, how: dict[str, Any], **more: Any) -> None:
    """Render undisturbed; what goes wrong is noted."""
    client = render(run, store, experiment, how, **more)
    status = client.wait(RUN_SECONDS)
    if status is None:
        run.wrong = run.wrong or f"session {run.sessions} hung"
    elif status != 0:
        run.wrong = run.wrong or f"session {run.sessions}: {status}: {client.last_line()}"
    client.kill_with_children()


def is_as(run: Run, store: str, expected: Any) -> None:
    """Note what is wrong with a finished store."""
    if run.wrong:
        return
    run.wrong = false_records(store)
    if not run.wrong and outcome(store) != expected:
        run.wrong = f"{store}: other bytes or another summary"
    if not run.wrong and (left := left_over(store)):
        run.wrong = f"{store}: {left[0]} is left"


Change = Callable[[Run, str, dict[str, Any]], dict[str, str]]
"""Changes a store; returns the experiment of each store that there is then."""


def overwrite(run: Run, store: str, where: dict[str, Any]) -> dict[str, str]:
    """Another experiment in its place."""
    finish(run, store, "new", {"overwrite": True, **where})
    return {store: "new"}


def overwrite_with_the_same(run: Run, store: str, where: dict[str, Any]) -> dict[str, str]:
    """The same once more."""
    finish(run, store, "old", {"overwrite": True, **where})
    return {store: "old"}


def repair(run: Run, store: str, where: dict[str, Any]) -> dict[str, str]:
    """What is there is damaged here and there, and repaired."""
    objects.damage(store, run.draw)
    finish(run, store, "old", {"resume": True, "repair": True, **where})
    return {store: "old"}


def make_anew(run: Run, store: str, where: dict[str, Any]) -> dict[str, str]:
    """Deleted, and another made."""
    objects.delete(store)
    finish(run, store, "new", where)
    return {store: "new"}


def move(run: Run, store: str, where: dict[str, Any]) -> dict[str, str]:
    """Moved and finished elsewhere, while another takes its place."""
    moved = store.replace("image.zarr", "moved.zarr")
    objects.move(store, moved)
    finish(run, store, "new", where)
    finish(run, moved, "old", {"resume": True, **where})
    return {store: "new", moved: "old"}


CHANGES: dict[str, Change] = {
    "late tasks, store overwritten": overwrite,
    "late tasks, store overwritten with the same": overwrite_with_the_same,
    "late tasks, store repaired": repair,
    "late tasks, store deleted and made anew": make_anew,
    "late tasks, store moved and another made": move,
}


def late_run(run: Run, expected: dict[str, Any]) -> None:
    """Make one run whose tasks are late."""
    run.make_folders()
    (kind,) = run.faults
    store = f"{run.bucket}/{run.seed}/image.zarr" if run.bucket else str(run.store)
    for tile in run.draw.sample(range(child.TILES), run.draw.randint(1, 3)):
        (run.orders / f"{run.draw.choice(HOLDS)}-{tile}-0").touch()
    with cluster(run.folder, "scheduler", run.orders, threads=3, nannies=False) as (address, _, _):
        where = {"scheduler": address}
        client = render(run, store, "old", where, disturbed=True)
        deadline = time.monotonic() + RUN_SECONDS
        while client.status() is None and not any(run.orders.glob("held-*")):
            if time.monotonic() > deadline:
                run.wrong = "the first run hung"
                break
            time.sleep(0.02)
        time.sleep(run.draw.uniform(0, 0.5))
        client.send(run.draw.choice((signal.SIGKILL, signal.SIGINT)))
        if client.wait(30) is None:
            run.wrong = run.wrong or "the first client did not end"
        client.kill_with_children()
        released = threading.Event()

        def release() -> None:
            if not released.wait(run.draw.choice((0.0, 0.3, 0.8, 2.0, 1000.0))):
                (run.orders / "release").touch()

        letting_go = threading.Thread(target=release)
        letting_go.start()
        stores = CHANGES[kind](run, store, run.draw.choice((where, {"threads": 1})))
        released.set()
        letting_go.join()
        (run.orders / "release").touch()
        for held in run.orders.glob("held-*"):
            ended = run.orders / held.name.replace("held-", "ended-", 1)
            while not ended.exists():
                if time.monotonic() > deadline:
                    run.wrong = run.wrong or f"{ended.name} never came"
                    break
                time.sleep(0.02)
            run.met[kind] += 1
        for place, experiment in stores.items():
            is_as(run, place, expected[experiment])
    clear_up(run)


def clear_up(run: Run) -> None:
    """Delete a run's stores; they are small, but there are many."""
    if run.wrong:
        return
    if run.bucket:
        objects.delete(f"{run.bucket}/{run.seed}")
    shutil.rmtree(run.folder, ignore_errors=True)
