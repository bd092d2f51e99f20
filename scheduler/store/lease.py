"""The lease that keeps two drivers off one store.

Leases are numbered keys.  A driver takes the number after the highest that is there, by a write
that fails if somebody else has made it; so of all that see the same stale lease, one gets the next.
It then looks again: if another lease is there than those that it found abandoned, it withdraws.

A lease says who may write; that nobody else can is the work of the writer, which goes with it.
"""

import contextlib
import json
import os
import re
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import psutil

from tiledsim.errors import StoreError
from tiledsim.scheduler.store.files import Files, Writer, why_not_made

PREFIX = "run/lease/"
RENEW_SECONDS = 10.0
STALE_SECONDS = 60.0
"""A lease that nobody renewed for so long belongs to a driver that is gone."""
WATCH_SECONDS = 25.0
"""How long a lease that seems stale is watched before it is taken: clocks of machines differ."""
HALF_MADE_SECONDS = 1.0
"""How long a lease that says nothing is waited for."""
LEAVE_SECONDS = 5.0
"""How long the end of a run waits for a renewal that is under way."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, as it says itself."""

    host: str
    pid: int
    started: float
    """When the process began, seconds since 1970; tells it from a later one of the same number."""
    mark: str
    renewed: float
    """Seconds since 1970, by the holder's clock."""
    numbering: str = ""
    """What ``pid`` is a number of; empty where that is not known."""


def _numbering() -> str:
    """Name what counts processes here: this boot of this machine, and a container's own numbers.

    Machines and containers may share a name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _parse(data: bytes) -> Holder | None:
    """Return what a lease says, None for one that says nothing sensible."""
    try:
        values = json.loads(data)
        return Holder(
            str(values["host"]), int(values["pid"]), float(values["started"]), str(values["mark"]),
            float(values["renewed"]), str(values.get("numbering", "")),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _keys(files: Files) -> list[str]:
    """Return the keys of leases, in the order of their numbers."""
    return [PREFIX + name for name in files.names(PREFIX) if re.fullmatch(r"\d{8}\.json", name)]


def leases(files: Files) -> dict[str, Holder | None]:
    """Return the leases of a store by key, in the order of their numbers."""
    found = {key: files.read(key) for key in _keys(files)}
    return {key: _parse(data) for key, data in found.items() if data is not None}


def _is_running(holder: Holder) -> bool:
    """Whether a process of this machine is still the one that a lease names."""
    try:
        return bool(abs(psutil.Process(holder.pid).create_time() - holder.started) < 2.0)
    except (psutil.NoSuchProcess, ValueError):
        return False
    except psutil.AccessDenied:
        return True


class Lease:
    """Held by one driver at a time.  A context manager; a thread renews it meanwhile."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._key = ""
        self._renewed = 0.0
        self._mine = Holder(
            socket.gethostname(), os.getpid(), psutil.Process().create_time(), uuid.uuid4().hex,
            0.0, _numbering(),
        )  # fmt: skip
        self._lost = ""
        self._writer: Writer | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def _content(self) -> bytes:
        return json.dumps(asdict(self._mine) | {"renewed": time.time()}).encode()

    @property
    def files(self) -> Writer:
        """What its holder writes through."""
        assert self._writer is not None  # between entry and exit
        return self._writer

    def __enter__(self) -> "Lease":
        try:
            # Before the lease is there: whoever finds it abandoned can close what was opened.
            self._writer = self._files.writer(self._mine.mark, self.check)
        except StoreError:
            raise
        except OSError as error:
            raise why_not_made(self._files, error) from error
        try:
            return self._take()
        except BaseException:
            self._writer.close()
            raise

    def _take(self) -> "Lease":
        abandoned = leases(self._files)
        for key, holder in abandoned.items():
            if not self._is_gone(key, holder):
                raise self._refusal(holder)
        last = max((int(key[len(PREFIX) : -5]) for key in abandoned), default=0)
        key = f"{PREFIX}{last + 1:08d}.json"
        try:
            taken = self._files.create(key, self._content())
        except StoreError:
            raise
        except OSError as error:
            raise why_not_made(self._files, error) from error
        others = leases(self._files)
        mine = others.pop(key, None)
        if not taken or mine is None or any(abandoned.get(k, 0) != v for k, v in others.items()):
            if taken:
                self._files.delete(key)
            raise StoreError(f"{self._files.url}: another process took the store at this moment")
        self._key, self._renewed = key, time.monotonic()
        self.files.write_alone()
        for old in abandoned:
            self._files.delete(old)
        threading.Thread(target=self._keep, name="lease", daemon=True).start()
        return self

    def _is_gone(self, key: str, holder: Holder | None) -> bool:
        if holder is None:  # no driver's; or one is writing it, on a disk without links
            time.sleep(HALF_MADE_SECONDS)
            return _parse(self._files.read(key) or b"") is None
        same = holder.numbering in ("", self._mine.numbering)
        if holder.host == self._mine.host and same:
            return not _is_running(holder)
        if abs(time.time() - holder.renewed) < STALE_SECONDS:
            return False
        time.sleep(WATCH_SECONDS)
        data = self._files.read(key)
        return data is None or _parse(data) == holder

    def _refusal(self, holder: Holder | None) -> StoreError:
        who = f"process {holder.pid} on {holder.host}" if holder else "another process"
        return StoreError(
            f"{self._files.url}: {who} is writing this store; wait for it, or end it and try again"
        )

    def _keep(self) -> None:
        """Renew the lease until it is given back or lost, however long tiles take."""
        while not self._ended.wait(RENEW_SECONDS / 2) and not self._lost:
            try:
                self._renew()
            except OSError:  # the store may be back before the lease is stale
                continue

    def _renew(self) -> None:
        with self._lock:
            if self._ended.is_set() or time.monotonic() - self._renewed < RENEW_SECONDS:
                return
            if self._is_ours():
                self.files.write(self._key, self._content(), durable=False)
                self._renewed = time.monotonic()

    def _is_ours(self) -> bool:
        """Look whether the lease is still that of this driver; what was lost stays lost."""
        newest = max(_keys(self._files), default="")
        holder = _parse(self._files.read(self._key) or b"")
        if not newest or not self.files.is_there():
            self._lost = "the store was moved or deleted while it was written"
        elif self._key != newest or holder is None or holder.mark != self._mine.mark:
            self._lost = "another process has taken this store over"
        return not self._lost

    def renew(self) -> None:
        """Raise StoreError if another driver has taken the store; call it now and then."""
        if time.monotonic() - self._renewed > 2 * RENEW_SECONDS:  # stopped, or the store was away
            self._renew()
        self._raise_if_lost()

    def check(self) -> None:
        """Raise StoreError if another driver has taken the store by now."""
        self._is_ours()
        self._raise_if_lost()

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise StoreError(f"{self._files.url}: {self._lost}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._lock.acquire(timeout=LEAVE_SECONDS):  # else the store hangs, and it will be stale
            with contextlib.suppress(OSError):  # it may not hide how the run ended
                holder = _parse(self.files.read(self._key) or b"")
                if holder is not None and holder.mark == self._mine.mark:
                    self.files.delete(self._key)
            self.files.close()
            self._lock.release()
