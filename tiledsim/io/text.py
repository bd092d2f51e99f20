"""Read the text files that people hand in, with errors that say what to do."""

import stat
from pathlib import Path

from tiledsim.errors import InputFileError


def read_text(path: Path, what: str) -> str:
    """Return the text of a file; ``what`` says what it should hold, for the error message.

    UTF-8, with or without a byte order mark.  Raises InputFileError for a file that is missing,
    a folder, unreadable or not text.
    """
    try:
        text = read_bytes(path, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputFileError(
            f"{what} file {path} is not UTF-8 text (byte {error.start}); is it the right file?"
        ) from None
    if "\0" in text:
        raise InputFileError(f"{what} file {path} is binary, not text; is it the right file?")
    return text


def read_bytes(path: Path, what: str) -> bytes:
    """Return the bytes of a file (or a pipe); InputFileError as :func:`read_text`."""
    try:
        mode = path.stat().st_mode
        kind = "folder" if stat.S_ISDIR(mode) else "device"
        if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
            return path.read_bytes()
    except FileNotFoundError:
        raise InputFileError(f"{what} file {path} does not exist; check its name") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or str(error)
        raise InputFileError(f"{what} file {path} cannot be read: {reason}") from None
    raise InputFileError(f"{what} file {path} is a {kind}; give the name of a file")
