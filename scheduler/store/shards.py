"""The shards of one run: a writer puts them into the run that it was made for, or nowhere.

A task may outlive its client, and wake when the store has long been overwritten, moved or made
anew.  So a shard is never put under a name alone:

* In a folder the directories of the arrays are opened once, the run's identity in the root document
  is read after that, and all writing is relative to the open directories.  Overwriting makes other
  directories; what a late task writes goes where its own are, or nowhere.
* In an object store a shard carries the identity of its run.  It is put on the condition that the
  key is not there; a shard of another run is replaced, if it has not changed meanwhile, by the run
  that the root document names, and by no other.

A shard that is there and whole stays: the first writer wins, so that what a record says of a tile
remains true whoever comes later.
"""

import contextlib
import itertools
import json
import os
import uuid
import weakref
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from tiledsim.errors import StoreError
from tiledsim.scheduler.store.answers import answered
from tiledsim.scheduler.store.files import Files, LocalFiles, ObjectFiles
from tiledsim.scheduler.store.folder import NO_LINKS

ROOT = "zarr.json"
ARRAYS = ("image", "pyramid")
"""Of a store, what tasks write into; the second is there for large panels."""
MODE = 0o644
"""Of what is made: nobody else writes it, whatever the umask."""


MOST_LATE = 500
"""Shards without a store that are looked at; a run has no more tasks on their way than these."""


@dataclass(frozen=True)
class Found:
    """A shard of this run that is there already, with other bytes."""

    data: bytes
    tag: Any = None
    """What tells it from a later one, in an object store."""


class Shards(Protocol):
    """Where the shards of one run go.  Keys are of the store and begin with an array's name."""

    def put(self, key: str, data: bytes, /, *, durable: bool) -> Found | None:
        """Store a shard that is not there; return the one that is, if it has other bytes.

        Raises StoreError where the run that it is for is not there any more.
        """

    def replace(self, key: str, data: bytes, found: Found, /, *, durable: bool) -> None:
        """Store a shard instead of one that is damaged."""


def open_shards(files: Files, run: str) -> Shards:
    """Open the arrays of a run for writing; StoreError if another run is there, or none."""
    if isinstance(files, LocalFiles):
        return ShardFolder(files.folder, run)
    assert isinstance(files, ObjectFiles)
    return ShardPrefix(files, run)


def run_of(document: bytes | None) -> str | None:
    """Return the identity of the run that a root document tells of; None where it tells of none."""
    try:
        found = json.loads(document or b"null")["attributes"]["run"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def _gone(url: str) -> StoreError:
    return StoreError(
        f"{url}: the run that this task belongs to is not there any more: its store was "
        "overwritten, moved or deleted"
    )


class ShardFolder:
    """Shards in a folder, through the open directories of their arrays."""

    def __init__(self, folder: Path, run: str) -> None:
        self.url = str(folder)
        directory = os.O_RDONLY | os.O_DIRECTORY
        try:
            root = os.open(folder, directory)
            try:
                self._open_arrays = {
                    name: self._open_array(root, name, directory | os.O_NOFOLLOW)
                    for name in os.listdir(root)
                    if name in ARRAYS
                }
                # After the arrays were opened: of older ones, a newer document does not tell.
                with open(os.open(ROOT, os.O_RDONLY, dir_fd=root), "rb") as file:
                    document = file.read()
            finally:
                os.close(root)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _gone(self.url) from error
        if run_of(document) != run or "image" not in self._open_arrays:
            raise _gone(self.url)

    def _open_array(self, root: int, name: str, flags: int) -> int:
        descriptor = os.open(name, flags, dir_fd=root)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    @answered
    def put(self, key: str, data: bytes, *, durable: bool) -> Found | None:
        """Store a shard, by a link, which never replaces a file."""
        array, key = self._place(key)
        try:
            made = self._complete(array, key, data, durable=durable)
            try:
                self._link(array, made, key)
            except FileExistsError:
                with open(_open(array, key, os.O_RDONLY), "rb") as file:
                    found = file.read()
                return None if found == data else Found(found)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(made, dir_fd=array)
            if durable:
                _sync(array, str(PurePosixPath(key).parent))
        except FileNotFoundError as error:  # the directory was removed with all that it held
            raise _gone(self.url) from error
        return None

    @answered
    def replace(self, key: str, data: bytes, found: Found, *, durable: bool) -> None:
        """Store a shard instead of a damaged one, by renaming."""
        array, key = self._place(key)
        try:
            made = self._complete(array, key, data, durable=durable)
            os.replace(made, key, src_dir_fd=array, dst_dir_fd=array)
            if durable:
                _sync(array, str(PurePosixPath(key).parent))
        except FileNotFoundError as error:
            raise _gone(self.url) from error

    def _place(self, key: str) -> tuple[int, str]:
        """Return the open directory of the array that a key is of, and the key in it."""
        name, _, rest = key.partition("/")
        return self._open_arrays[name], rest

    def _link(self, array: int, made: str, key: str) -> None:
        try:
            os.link(made, key, src_dir_fd=array, dst_dir_fd=array)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            # Without links there is a moment in which two tasks of this run, of which one was
            # given up, could both find nothing; they write the same tile of the same run.
            with contextlib.suppress(FileNotFoundError):
                os.close(_open(array, key, os.O_RDONLY))
                raise FileExistsError(key) from error
            os.replace(made, key, src_dir_fd=array, dst_dir_fd=array)

    def _complete(self, array: int, key: str, data: bytes, *, durable: bool) -> str:
        """Write a complete file beside a key and return its name; its folders are made."""
        for folder in list(PurePosixPath(key).parents)[-2::-1]:
            try:
                os.mkdir(str(folder), 0o755, dir_fd=array)
            except FileExistsError:
                continue
            if durable:
                _sync(array, str(folder.parent))
        made = f"{key}.{uuid.uuid4().hex}.partial"
        try:
            descriptor = _open(array, made, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk needs the room
                os.unlink(made, dir_fd=array)
            raise
        return made


def _open(array: int, name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, MODE, dir_fd=array)


def _sync(array: int, folder: str) -> None:
    descriptor = _open(array, folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def only_late_shards(files: ObjectFiles) -> bool:
    """Whether all that a prefix has, beside leases, is shards of a run that is gone.

    Who deletes a store key by key does not stop its tasks: what they put afterwards is there
    alone.  Shards are known by the identity that they carry; of others' keys none does.
    """
    keys = (key for key in files.keys("") if not key.startswith("run/lease/"))
    found = list(itertools.islice(keys, MOST_LATE + 1))
    return len(found) <= MOST_LATE and all(files.run_of(key) is not None for key in found)


class ShardPrefix:
    """Shards in an object store, each with the identity of its run."""

    def __init__(self, files: ObjectFiles, run: str) -> None:
        self.url = files.url
        self._files = files
        self._run = run
        self._check_current()

    def _check_current(self) -> None:
        if run_of(self._files.read(ROOT)) != self._run:
            raise _gone(self.url)

    def put(self, key: str, data: bytes, /, *, durable: bool) -> Found | None:
        """Store a shard on the condition that there is none; take the place of another run's."""
        for _ in range(5):
            there = self._files.create_for(key, data, self._run)
            if there is None:
                return None
            found, run, tag = there
            if run == self._run:
                return None if found == data else Found(found, tag)
            self._check_current()  # only the run that the store is of now takes its place
            if self._files.replace_for(key, data, self._run, tag):
                return None
        raise StoreError(f"{self.url}/{key}: others write it again and again")

    def replace(self, key: str, data: bytes, found: Found, /, *, durable: bool) -> None:
        """Store a shard instead of a damaged one, if that has not changed."""
        self._check_current()
        if self._files.replace_for(key, data, self._run, found.tag):
            return
        if self.put(key, data, durable=durable) is not None:  # another was first, with what?
            raise StoreError(f"{self.url}/{key}: another task writes other bytes there")
