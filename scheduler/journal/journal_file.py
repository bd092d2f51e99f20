"""One file of the journal: records, failed attempts and the state of the session, as an ``.npz``.

NumPy reads it (``numpy.load``), and the archive keeps a CRC-32 of all that is in it.
"""

import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.scheduler.journal.record_dtype import ROW, check

FAILURE = np.dtype([("index", "<i8"), ("attempt", "<i8"), ("worker", "<i4"), ("error", "<i4")])
"""One failed attempt; ``worker`` and ``error`` are numbers in lists of texts."""

UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, MemoryError,
    NotImplementedError, RuntimeError, SyntaxError, OverflowError, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy, zipfile and json raise for a file that is not what it should be."""


@dataclass(frozen=True)
class Session:
    """What is known of a session so far."""

    mark: str
    """Hexadecimal, drawn for each session."""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    """From the first task until now."""
    workers: int
    """The most that were there at one time, as threads."""
    threads: int
    lost_workers: int
    present: Mapping[str, float]
    """By worker: Σ seconds that its threads were there."""


def _no_rows() -> NDArray[Any]:
    return np.zeros(0, ROW)


def _no_failures() -> NDArray[Any]:
    return np.zeros(0, FAILURE)


def _no_tiles() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Part:
    """What one file holds.

    Of several records of a tile the earliest counts, unless a part after it drops the tile.
    """

    run: str = ""
    """The run that it belongs to; what is of another run does not count."""
    session: Session | None = None
    """None in a part that only takes records back."""
    workers: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    rows: NDArray[Any] = field(default_factory=_no_rows)
    failures: NDArray[Any] = field(default_factory=_no_failures)
    dropped: NDArray[np.int64] = field(default_factory=_no_tiles)
    """Tiles whose records in earlier parts are void."""

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        about = {
            "run": self.run,
            "session": None if self.session is None else asdict(self.session),
            "workers": self.workers,
            "errors": self.errors,
        }
        made = io.BytesIO()
        np.savez(
            made, about=np.array(json.dumps(about)), rows=self.rows, failures=self.failures,
            dropped=self.dropped,
        )  # fmt: skip
        return made.getvalue()

    @classmethod
    def decode(cls, data: bytes) -> "Part":
        """Make a part of the bytes of a file; ValueError for what is none, or is damaged."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                part = cls(
                    run=str(about.get("run", "")),
                    session=None if about["session"] is None else _session(**about["session"]),
                    workers=tuple(str(name) for name in about["workers"]),
                    errors=tuple(str(error) for error in about["errors"]),
                    rows=file["rows"],
                    failures=file["failures"],
                    dropped=file["dropped"],
                )
        except UNREADABLE as error:
            first = (str(error).splitlines() or [""])[0]
            raise ValueError(f"{type(error).__name__}: {first}") from None
        part._check()
        return part

    def _check(self) -> None:
        check(self.rows, len(self.workers))
        if self.failures.dtype != FAILURE or self.failures.ndim != 1:
            raise ValueError("the table of failed attempts has other columns")
        for name, limit in (("worker", len(self.workers)), ("error", len(self.errors))):
            if ((self.failures[name] < 0) | (self.failures[name] >= limit)).any():
                raise ValueError(f"{name} of a failed attempt is out of range")
        if self.dropped.dtype != np.int64 or self.dropped.ndim != 1:
            raise ValueError("the tiles taken back are no list of numbers")

    def tiles(self) -> NDArray[np.int64]:
        """Return the numbers of all tiles that the part speaks of."""
        return np.concatenate((self.rows["index"], self.failures["index"], self.dropped))


def _session(
    *, mark: str, started: str, seconds: float, workers: int, threads: int, lost_workers: int,
    present: Mapping[str, float],
) -> Session:  # fmt: skip
    """Make a session of values that were read; ValueError where they cannot be."""
    numbers = (float(seconds), float(workers), float(threads), float(lost_workers))
    times = {str(name): float(there) for name, there in present.items()}
    if not all(np.isfinite(value) and value >= 0 for value in (*numbers, *times.values())):
        raise ValueError("a session has times or counts that cannot be")
    return Session(
        str(mark), str(started), float(seconds), int(workers), int(threads), int(lost_workers),
        times,
    )  # fmt: skip
