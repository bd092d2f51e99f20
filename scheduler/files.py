"""Where a store lives: a folder, or a prefix of an object store, behind one small interface.

Writes are whole or absent.  Credentials of object stores come from their usual places (environment,
instance role, profile) in the process that opens them; a location holds none.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tiledsim.errors import StoreError

SCHEMES = ("s3://", "gs://", "az://", "abfs://", "http://", "https://", "memory://")


class Files(Protocol):
    """Keys with bytes behind them."""

    url: str

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a key, None where there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Write a key, durably."""

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that must not exist; False if it does.  Two callers never both succeed."""

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with ``prefix``."""

    def clear(self) -> None:
        """Remove everything."""

    def zarr(self) -> Any:
        """Return the zarr store of this location."""


def sync_to_disk(file: Path) -> None:
    """Make a file, and its entry in its folder, durable."""
    for target, flags in ((file, os.O_RDONLY), (file.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(target, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class LocalFiles:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder)

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a key, None where there is none."""
        try:
            return (self.folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, data: bytes) -> None:
        """Write a key by renaming a complete file, synchronised with the disk."""
        os.replace(self._complete(key, data), self.folder / key)
        sync_to_disk(self.folder / key)

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that must not exist, by a link, which never replaces a file."""
        made = self._complete(key, data)
        try:
            os.link(made, self.folder / key)
        except FileExistsError:
            return False
        finally:
            made.unlink()
        return True

    def _complete(self, key: str, data: bytes) -> Path:
        target = self.folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        made = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
        with made.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return made

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        (self.folder / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with ``prefix``, a folder's name and a slash."""
        start = self.folder / prefix
        for path in sorted(start.rglob("*")) if start.is_dir() else ():
            if path.is_file() and not path.name.endswith(".partial"):
                yield path.relative_to(self.folder).as_posix()

    def clear(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=False)

    def zarr(self) -> Any:
        """Return the zarr store of the folder."""
        from zarr.storage import LocalStore

        return LocalStore(self.folder)


class ObjectFiles:
    """A prefix of an object store, through obstore."""

    def __init__(self, url: str) -> None:
        try:
            import obstore
        except ImportError:
            raise StoreError(
                f'{url}: object stores need obstore: pip install "tiledsim[s3]"'
            ) from None
        self.url = url.rstrip("/")
        self._obstore = obstore
        try:
            self._store = obstore.store.from_url(self.url)
        except Exception as error:
            raise StoreError(f"{self.url}: cannot be opened: {_first_line(error)}") from None

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a key, None where there is none."""
        try:
            return bytes(self._obstore.get(self._store, key).bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise StoreError(f"{self.url}/{key}: {_first_line(error)}") from None

    def write(self, key: str, data: bytes) -> None:
        """Write a key."""
        try:
            self._obstore.put(self._store, key, data)
        except Exception as error:
            raise StoreError(f"{self.url}/{key}: {_first_line(error)}") from None

    def create(self, key: str, data: bytes) -> bool:
        """Write a key that must not exist, by a conditional put."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._obstore.put(self._store, key, data, mode="create")
        except AlreadyExistsError:
            return False
        except Exception as error:
            raise StoreError(f"{self.url}/{key}: {_first_line(error)}") from None
        return True

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        try:
            self._obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except Exception as error:
            raise StoreError(f"{self.url}/{key}: {_first_line(error)}") from None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with ``prefix``."""
        try:
            for batch in self._obstore.list(self._store, prefix=prefix or None):
                yield from (str(entry["path"]) for entry in batch)
        except Exception as error:
            raise StoreError(f"{self.url}: {_first_line(error)}") from None

    def clear(self) -> None:
        """Remove every key below the prefix."""
        for key in list(self.keys("")):
            self.delete(key)

    def zarr(self) -> Any:
        """Return the zarr store of the prefix."""
        from zarr.storage import ObjectStore

        return ObjectStore(self._store)


def _first_line(error: Exception) -> str:
    """Return what an object store says, without the request that it repeats after it."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def open_files(location: str | Path) -> Files:
    """Open a location: a folder, or a URL such as ``s3://bucket/run.zarr``."""
    text = str(location)
    if text.startswith("file://"):
        return LocalFiles(Path(text.removeprefix("file://")))
    if text.startswith(SCHEMES):
        return ObjectFiles(text)
    return LocalFiles(Path(text).absolute())
