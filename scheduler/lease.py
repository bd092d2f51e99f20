"""The lease that keeps two drivers off one store."""

import json
import os
import socket
import time
import uuid
from types import TracebackType

from tiledsim.errors import StoreError
from tiledsim.scheduler.files import Files

KEY = "run/lease.json"
STALE_SECONDS = 60.0
"""A lease that nobody renewed for so long belongs to a driver that is gone."""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Lease:
    """Held by one driver at a time.  A context manager; renew it now and then."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._mark = uuid.uuid4().hex
        self._renewed = 0.0

    def _content(self) -> bytes:
        self._renewed = time.time()
        return json.dumps(
            {"host": socket.gethostname(), "pid": os.getpid(), "mark": self._mark,
             "renewed": self._renewed}
        ).encode()  # fmt: skip

    def __enter__(self) -> "Lease":
        if self._files.create(KEY, self._content()):
            return self
        held = self._files.read(KEY)
        try:
            other = json.loads(held or b"{}")
            host, pid, renewed = other["host"], int(other["pid"]), float(other["renewed"])
        except (ValueError, KeyError, TypeError):
            host, pid, renewed = "unknown", -1, 0.0
        here = host == socket.gethostname()
        gone = not _alive(pid) if here and pid > 0 else time.time() - renewed > STALE_SECONDS
        if not gone:
            raise StoreError(
                f"{self._files.url}: process {pid} on {host} is writing this store; wait for it, "
                "or end it and try again"
            )
        self._files.delete(KEY)
        if not self._files.create(KEY, self._content()):
            raise StoreError(f"{self._files.url}: another process took the store at this moment")
        return self

    def renew(self) -> None:
        """Say that this driver is still here; StoreError if another one has taken the store."""
        if time.time() - self._renewed < STALE_SECONDS / 6:
            return
        held = self._files.read(KEY)
        if held is None or json.loads(held).get("mark") != self._mark:
            raise StoreError(f"{self._files.url}: another process has taken this store over")
        self._files.write(KEY, self._content())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        held = self._files.read(KEY)
        if held is not None and json.loads(held).get("mark") == self._mark:
            self._files.delete(KEY)
