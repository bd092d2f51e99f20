"""Where a store lives: a folder, or a prefix of an object store, behind one small interface.

Writes are whole or absent, and end within a bounded time.  Keys are relative, with slashes.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tiledsim.errors import RunError, StoreError, TiledsimError
from tiledsim.scheduler.store.answers import Files, Writer
from tiledsim.scheduler.store.folder import LocalFiles
from tiledsim.scheduler.store.prefix import ObjectFiles

__all__ = [
    "ADVICE", "Files", "LocalFiles", "ObjectFiles", "Writer", "open_files", "through_zarr",
    "what_failed", "why_not_made",
]  # fmt: skip

SCHEMES = ("s3://", "s3a://", "gs://", "az://", "abfs://", "http://", "https://")

ADVICE = {
    errno.ENOSPC: "free some room there",
    errno.EDQUOT: "free some of your room there, or ask for a larger quota,",
    errno.EROFS: "let it be mounted for writing",
}
"""What to do about errors of a store that no other write will escape: it is full, over its quota,
or read-only.
"""


@contextmanager
def through_zarr(files: Files) -> Iterator[None]:
    """Let what an object store says while zarr uses it be StoreError, as from its own methods."""
    if not isinstance(files, ObjectFiles):
        yield
        return
    from obstore.exceptions import BaseError

    from tiledsim.scheduler.store.objects import what_it_says

    try:
        yield
    except StoreError:
        raise
    except (BaseError, OSError) as error:
        raise StoreError(f"{files.url}: {what_it_says(error)}") from None


def why_not_made(files: Files, error: OSError) -> TiledsimError:
    """Return what to raise where the first files of a store cannot be written."""
    if error.errno in ADVICE:
        return RunError(f"{files.url}: {error.strerror}; {ADVICE[error.errno]} and `resume`")
    return StoreError(f"{files.url}: cannot be made: {error.strerror or error}")


def what_failed(files: Files, error: Exception) -> str:
    """Name what ended a run, for its last line."""
    if isinstance(error, OSError) and error.errno in ADVICE:
        return f"{files.url}: {error.strerror}; {ADVICE[error.errno]}"
    return str(error)


def open_files(location: str | Path) -> Files:
    """Open a location: a folder, or a URL such as ``s3://bucket/run.zarr``.

    Raises StoreError for an address that has credentials in it, or that cannot be opened, and for
    a name that no folder can have.
    """
    text = str(location)
    if text.startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise StoreError(f"{text}: a file:// address is file:///folder; or give the folder")
        return _folder(Path(unquote(parts.path)))
    if text.startswith(SCHEMES):
        return ObjectFiles(text)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        known = ", ".join(("file://", *SCHEMES))
        raise StoreError(f"{text.partition('://')[0]}:// is no address of a store; use {known}")
    return _folder(Path(text).absolute())


def _folder(path: Path) -> LocalFiles:
    """Open a folder, which need not be there; StoreError for what can be no name of one."""
    try:
        os.stat(path)
    except ValueError as error:
        raise StoreError(f"{str(path)[:80]!r} is no name of a folder: {error}") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise StoreError(f"{str(path)[:80]}…: {error.strerror}; give a shorter name") from None
    return LocalFiles(path)
