"""Let a driver fall asleep at one of its writes: between what it has checked and what it does.

The calls with which files are put into place, removed and renamed are counted, in a folder those
of the system, in an object store its requests.  Before the one that is ordered the whole process is
stopped, as a closed laptop or a paused virtual machine stops, until somebody lets it go on.
"""

import itertools
import os
import shutil
import signal
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

FOLDER_CALLS = ("replace", "rename", "link", "unlink", "rmdir", "mkdir")
OBJECT_CALLS = ("put", "delete")
OF_TASKS = ("store c/", "store image/c/", "store pyramid/4/c/")
"""Names of the threads in which tasks write."""


def install(orders: Path, number: int) -> None:
    """Stop this process before its write of a number, counted from 0.

    What its tasks write does not count.  A file ``asleep`` is made before, and says which it is.
    """
    count = itertools.count()

    def stopping(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def disturbed(*arguments: Any, **named: Any) -> Any:
            of_a_task = threading.current_thread().name.startswith(OF_TASKS)
            if not of_a_task and next(count) == number:
                with open(orders / "asleep", "w") as told:
                    told.write(f"{call.__name__} {arguments[:2]}")
                os.kill(os.getpid(), signal.SIGSTOP)
            return call(*arguments, **named)

        return disturbed

    for name in FOLDER_CALLS:
        setattr(os, name, stopping(getattr(os, name)))
    shutil.rmtree = stopping(shutil.rmtree)  # type: ignore[assignment]
    try:
        import obstore
    except ImportError:
        return
    for name in OBJECT_CALLS:
        setattr(obstore, name, stopping(getattr(obstore, name)))
