"""Drivers that fall asleep at one of their writes, and wake when the store is another's.

A second driver, to which the first one's lease looks abandoned, overwrites the store or goes on
with its run.  Then, or meanwhile, the first one wakes and does what it was about to do.
"""

import signal
import threading
import time
from typing import Any

from faults.late import RUN_SECONDS, clear_up, finish, is_as, render
from faults.running import Run

KINDS = (
    "driver asleep, store overwritten", "driver asleep, store overwritten with the same",
    "driver asleep, run taken over", "driver asleep while it overwrites, taken over",
    "driver asleep while it repairs, taken over",
)  # fmt: skip
CALLS = 260
"""Writes of a run that is made anew, about."""


def asleep_run(run: Run, expected: dict[str, Any]) -> None:
    """Make one run whose driver sleeps."""
    run.make_folders()
    (kind,) = run.faults
    store = f"{run.bucket}/{run.seed}/image.zarr" if run.bucket else str(run.store)
    alone: dict[str, Any] = {"threads": 1}
    first, experiment = alone, "old"
    if "while it" in kind:  # there is a finished run already
        finish(run, store, "new" if "overwrites" in kind else "old", alone)
    if "overwrites" in kind:
        first = alone | {"overwrite": True}
    if "repairs" in kind:
        from faults.objects import damage

        damage(store, run.draw)
        first = alone | {"resume": True, "repair": True}
    number = run.draw.randrange(CALLS // (4 if run.bucket else 1))
    late = render(run, store, experiment, first, elsewhere=True, sleep=number)
    end = time.monotonic() + RUN_SECONDS
    asleep = run.orders / "asleep"
    while late.status() is None and not asleep.exists() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1)
    run.met[kind] += asleep.exists() and late.status() is None
    done = threading.Event()

    def wake() -> None:
        done.wait(run.draw.choice((0.5, 1.0, 1.5, 1000.0)))
        late.send(signal.SIGCONT)

    waking = threading.Thread(target=wake)
    waking.start()
    second = {"resume": True} if "taken over" in kind else {"overwrite": True}
    if "repairs" in kind:
        second["repair"] = True
    result = "new" if kind == KINDS[0] else "old"
    impatient = render(run, store, result, alone | second, impatient=True)
    status = impatient.wait(RUN_SECONDS)
    done.set()
    waking.join()
    if late.wait(RUN_SECONDS) is None:
        run.wrong = f"the driver that slept hung: {asleep.read_text()}"
    late.kill_with_children()
    said = impatient.last_line()
    impatient.kill_with_children()
    if status is None:
        run.wrong = run.wrong or "the second driver hung"
    elif status != 0 and "try again" not in said and "is writing this store" not in said:
        run.wrong = run.wrong or f"the second driver: {status}: {said}"
    elif status != 0:  # the first one woke in time and is the one that has the store
        finish(run, store, result, alone | second, impatient=True)
    is_as(run, store, expected[result])
    if run.wrong and asleep.exists():
        run.wrong += f" (asleep before {asleep.read_text()})"
    clear_up(run)
