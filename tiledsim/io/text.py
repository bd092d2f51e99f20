"""Read the files that people hand in, with errors that say what to do.

A name may stand for anything: a device that never ends, a pipe that nobody writes to, a file that
would fill the memory.  All that is asked before the first byte is read.
"""

import os
import stat
from pathlib import Path
from typing import Final

from tiledsim.errors import InputFileError

LARGEST_TEXT: Final = 1 << 30
"""Bytes of a text that is read whole, where its reader has no limit of its own."""


def read_text(path: Path, what: str, largest: int = LARGEST_TEXT) -> str:
    """Return the text of a file; ``what`` says what it should hold, for the error message.

    UTF-8, with or without a byte order mark.  Raises InputFileError for a file that is missing,
    a folder, a device, a pipe, unreadable, larger than ``largest`` bytes or not text.
    """
    try:
        text = read_bytes(path, what, largest).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputFileError(
            f"{what} file {path} is not UTF-8 text (byte {error.start}); is it the right file?"
        ) from None
    if "\0" in text:
        raise InputFileError(f"{what} file {path} is binary, not text; is it the right file?")
    return text


def read_bytes(path: Path, what: str, largest: int | None = None, start: int = 0) -> bytes:
    """Return the bytes of a file from ``start`` on; InputFileError as :func:`read_text`.

    A file of more than ``largest`` bytes is refused, not cut; None takes one of any size that fits
    into memory.
    """
    size = file_size(path, what)
    if largest is not None and size > largest:
        raise InputFileError(
            f"{what} file {path} has {size:,} bytes; at most {largest:,} are read: is it the right "
            "file?"
        )
    return _read(path, what, start, size - start)


def read_start(path: Path, what: str, count: int) -> bytes:
    """Return the first ``count`` bytes of a file, or all of a shorter one."""
    return _read(path, what, 0, min(count, file_size(path, what)))


def file_size(path: Path, what: str) -> int:
    """Return the size in bytes of a regular file, or refuse what is none, in one line."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise InputFileError(f"{what} file {path} does not exist; check its name") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise InputFileError(f"{what} file {_short(path)} cannot be read: {_why(error)}") from None
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    if not stat.S_ISREG(found.st_mode):
        kind = kinds.get(stat.S_IFMT(found.st_mode), "device")
        raise InputFileError(f"{what} file {path} is a {kind}; give the name of a file")
    return found.st_size


def _read(path: Path, what: str, start: int, count: int) -> bytes:
    # Without O_NONBLOCK a pipe that took the file's place since it was looked at would be waited
    # for.  Some files of /proc say that they are empty and are not: what they say counts.
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            file.seek(start)
            return file.read(max(count, 0))
    except (OSError, ValueError) as error:
        raise InputFileError(f"{what} file {_short(path)} cannot be read: {_why(error)}") from None
    except MemoryError:
        raise InputFileError(f"{what} file {path} does not fit into memory") from None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 300 else f"{text[:297]}…"
