"""A folder with keys as files: whole or absent, and for a driver behind a door of its own.

A driver that sleeps may wake at any step and go on with it.  So all that it puts into its store
lies in a folder of its own first, ``run/lease/MARK.door``, and is renamed from there to its place;
what it takes away is renamed into it.  Who takes the store after it removes that folder before
anything else, and from then on every step of the earlier driver fails, at whatever moment it wakes.
"""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from tiledsim.errors import StoreError
from tiledsim.scheduler.store.answers import answered

REMOVE_ATTEMPTS = 20
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
"""What file systems without hard links say."""
DOORS = "run/lease"
DOOR = ".door"


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

    @answered
    def read(self, key: str) -> bytes | None:
        """Return the bytes of a key, None where there is none."""
        try:
            return (self.folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    @answered
    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write a key by renaming a complete file."""
        target = self.folder / key
        os.replace(self._complete(target, data, durable=durable), target)
        if durable:
            sync_to_disk(target)

    @answered
    def create(self, key: str, data: bytes) -> bool:
        """Write a key that must not exist, by a link, which never replaces a file.

        On file systems without links it is written in its place, and is whole a moment later.
        """
        target = self.folder / key
        made = self._complete(target, data, durable=True)
        try:
            os.link(made, target)
        except FileExistsError:
            return target.read_bytes() == data  # ours, of a call that was interrupted
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return _create_in_place(target, data)
        finally:
            made.unlink(missing_ok=True)
        sync_to_disk(target)
        return True

    def _complete(self, target: Path, data: bytes, *, durable: bool) -> Path:
        """Write a complete file that is to be put at ``target``; the folders of that are made."""
        missing = list(takewhile(lambda folder: not folder.exists(), target.parents))
        target.parent.mkdir(parents=True, exist_ok=True)
        if durable:
            for folder in missing:
                sync_to_disk(folder)
        made = self._aside(target)
        try:
            with made.open("wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
        except BaseException:
            made.unlink(missing_ok=True)  # a full disk needs the room
            raise
        return made

    def _aside(self, target: Path) -> Path:
        """Name a file that is to become another."""
        return target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")

    def writer(self, mark: str, check: Callable[[], None]) -> "FencedFolder":
        """Return what a driver writes through."""
        return FencedFolder(self.folder, mark)

    @answered
    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        (self.folder / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below ``prefix``, in order."""
        start = self.folder / prefix
        for path in sorted(start.rglob("*")) if start.is_dir() else ():
            if path.is_file() and not path.name.endswith(".partial"):
                yield path.relative_to(self.folder).as_posix()

    def names(self, prefix: str) -> list[str]:
        """Return what is directly below ``prefix``."""
        start = self.folder / prefix
        found = start.iterdir() if start.is_dir() else ()
        return sorted(path.name for path in found if not path.name.endswith(".partial"))

    def remove(self, prefix: str) -> None:
        """Remove a folder below this one; a link to a folder is removed, not what it leads to."""
        folder = self.folder / prefix.rstrip("/")
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():
            _remove_tree(folder)

    def zarr(self) -> Any:
        """Return the zarr store of the folder."""
        from zarr.storage import LocalStore

        return LocalStore(self.folder)


def _create_in_place(target: Path, data: bytes) -> bool:
    """Write a file that must not exist where there are no links: it is empty for an instant."""
    try:
        with target.open("xb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
    except FileExistsError:
        return target.read_bytes() == data
    sync_to_disk(target)
    return True


def _remove_tree(folder: Path) -> None:
    """Remove a folder into which others may be writing; once it is gone they cannot."""
    for _ in range(REMOVE_ATTEMPTS):
        try:
            shutil.rmtree(folder)
            return
        except FileNotFoundError:
            if not folder.exists():
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
    shutil.rmtree(folder)


class FencedFolder(LocalFiles):
    """A folder, for the driver that has its lease.

    On Linux the folder stays the same one wherever it is moved, and nothing is written into another
    that has taken its name.
    """

    def __init__(self, folder: Path, mark: str) -> None:
        """Make the door; OSError where that cannot be."""
        super().__init__(folder)
        name = f"{DOORS}/{mark}{DOOR}"
        (folder / name).mkdir(parents=True)
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        held = Path(f"/proc/self/fd/{self._root}")
        if held.exists():
            self.folder = held
        self.door = self.folder / name
        """What is to be put into the store, or was taken away from it, lies here."""

    def _aside(self, target: Path) -> Path:
        return self.door / uuid.uuid4().hex

    @contextlib.contextmanager
    def _fenced(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if self.door.is_dir():
                raise
            what = "another process has taken this store over"
            if not self.is_there():
                what = "the store was moved or deleted while it was written"
            raise StoreError(f"{self.url}: {what}") from error

    def write(self, key: str, data: bytes, /, *, durable: bool = True) -> None:
        """Write a key by renaming a complete file."""
        with self._fenced():
            super().write(key, data, durable=durable)

    def create(self, key: str, data: bytes, /) -> bool:
        """Write a key that must not exist, by a link, which never replaces a file."""
        with self._fenced():
            return super().create(key, data)

    def make(self, key: str, data: bytes, /) -> None:
        """Write a key of a store that is being made."""
        self.write(key, data, durable=False)

    def change(self, key: str, edit: Callable[[bytes | None], bytes], /) -> None:
        """Write what ``edit`` makes of a key: whoever had changed it would have closed the door."""
        self.write(key, edit(self.read(key)))

    def delete(self, key: str, /) -> None:
        """Remove a key, if it is there."""
        aside = self._take(self.folder / key)
        if aside is not None and not aside.is_dir():
            aside.unlink()

    def remove(self, prefix: str) -> None:
        """Remove a folder below this one; a link to a folder is removed, not what it leads to."""
        folder = self.folder / prefix.rstrip("/")
        if not folder.is_symlink() and not folder.is_dir():
            return
        aside = self._take(folder)
        if aside is None:
            return
        if aside.is_symlink():
            aside.unlink()
        else:
            _remove_tree(aside)

    def _take(self, target: Path) -> Path | None:
        """Move what is at a place behind the door; None where there is nothing."""
        aside = self._aside(target)
        with self._fenced():
            try:
                os.rename(target, aside)
            except (FileNotFoundError, NotADirectoryError):
                if self.door.is_dir():
                    return None
                raise FileNotFoundError(errno.ENOENT, "no door", str(self.door)) from None
        return aside

    def adopt(self, made: Path, key: str) -> None:
        """Put a folder that was made behind the door into its place, where there is none yet."""
        target = self.folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._fenced():
            os.rename(made, target)

    def write_alone(self) -> None:
        """Close the doors of all others."""
        for name in self.names(f"{DOORS}/"):
            other = self.folder / DOORS / name
            if name.endswith(DOOR) and name != self.door.name:
                _remove_tree(other)

    def is_there(self) -> bool:
        """Whether the store's name still leads to this folder."""
        try:
            return os.path.samestat(os.stat(self.url), os.fstat(self._root))
        except OSError:
            return False

    def close(self) -> None:
        """Close the door; what is behind it is removed."""
        with contextlib.suppress(OSError):
            _remove_tree(self.door)
        os.close(self._root)
