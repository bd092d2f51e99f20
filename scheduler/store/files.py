"""Where a store lives: a folder, or a prefix of an object store, behind one small interface.

Writes are whole or absent, and end within a bounded time.  Keys are relative, with slashes.
"""

import errno
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
    "NO_ROOM", "Files", "LocalFiles", "ObjectFiles", "Writer", "open_files", "through_zarr",
    "what_failed", "why_not_made",
]  # fmt: skip

SCHEMES = ("s3://", "s3a://", "gs://", "az://", "abfs://", "http://", "https://")

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a store that no other write will escape: it is full, over its quota, or read-only."""


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
    if error.errno in NO_ROOM:
        return RunError(f"{files.url}: {error.strerror}; free some room there and `resume`")
    return StoreError(f"{files.url}: cannot be made: {error.strerror or error}")


def what_failed(files: Files, error: Exception) -> str:
    """Name what ended a run, for its last line."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"{files.url}: {error.strerror}; free some room there"
    return str(error)


def open_files(location: str | Path) -> Files:
    """Open a location: a folder, or a URL such as ``s3://bucket/run.zarr``.

    Raises StoreError for an address that has credentials in it, or that cannot be opened.
    """
    text = str(location)
    if text.startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise StoreError(f"{text}: a file:// address is file:///folder; or give the folder")
        return LocalFiles(Path(unquote(parts.path)))
    if text.startswith(SCHEMES):
        return ObjectFiles(text)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        known = ", ".join(("file://", *SCHEMES))
        raise StoreError(f"{text.partition('://')[0]}:// is no address of a store; use {known}")
    return LocalFiles(Path(text).absolute())
