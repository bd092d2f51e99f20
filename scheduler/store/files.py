"""Where a store lives: a folder, or a prefix of an object store, behind one small interface.

Writes are whole or absent, and end within a bounded time.  Keys are relative, with slashes.
"""

import errno
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import takewhile
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from tiledsim.errors import RunError, StoreError, TiledsimError

SCHEMES = ("s3://", "s3a://", "gs://", "az://", "abfs://", "http://", "https://", "memory://")
ANSWER_SECONDS = 300.0
"""How long a store may take for one key; a disk or server that is silent for longer has failed."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a store that no other write will escape: it is full, over its quota, or read-only."""
REMOVE_ATTEMPTS = 20
RUN = "tiledsim-run"
"""The attribute of a shard, in an object store, that says which run it belongs to."""
CREATE_AGAIN_SECONDS = (0.2, 1.0, 5.0, 20.0, 0.0)
"""Pauses before a conditional put is repeated; none after the last."""


class Files(Protocol):
    """Keys with bytes behind them."""

    url: str
    settled: bool
    """Whether the store is there: where it is not, it is not made by writing into it."""

    def read(self, key: str, /) -> bytes | None:
        """Return the bytes of a key, None where there is none."""

    def write(self, key: str, data: bytes, /, *, durable: bool = True) -> None:
        """Write a key, whole or not at all; ``durable`` waits for the disk."""

    def create(self, key: str, data: bytes, /) -> bool:
        """Write a key that must not exist; False if it does.  Two callers never both succeed."""

    def delete(self, key: str, /) -> None:
        """Remove a key, if it is there."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below ``prefix``, which is empty or ends with a slash, in order."""

    def names(self, prefix: str) -> list[str]:
        """Return what is directly below ``prefix``, without it: keys, and folders of keys."""

    def remove(self, prefix: str) -> None:
        """Remove every key below ``prefix``, which ends with a slash."""

    def zarr(self) -> Any:
        """Return the zarr store of this location; to be used within :func:`through_zarr`."""


class _HasUrl(Protocol):
    @property
    def url(self) -> str: ...


Self = TypeVar("Self", bound=_HasUrl)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def answered(
    method: Callable[Concatenate[Self, str, Parameters], Result],
) -> Callable[Concatenate[Self, str, Parameters], Result]:
    """Let a method of one key fail with StoreError where the store is silent for too long.

    A system call that hangs, on a network disk whose server is gone, cannot be interrupted; so it
    is made by a thread that is left behind.  Should it end later after all, it has written what
    was asked.
    """

    @wraps(method)
    def call(self: Self, key: str, /, *rest: Parameters.args, **named: Parameters.kwargs) -> Result:
        results: list[Result] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(method(self, key, *rest, **named))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work, name=f"store {key}", daemon=True)
        thread.start()
        thread.join(ANSWER_SECONDS)
        if errors:
            raise errors[0]
        if not results:
            raise StoreError(
                f"{self.url}/{key}: the store did not answer within {ANSWER_SECONDS:.0f} s"
            )
        return results[0]

    return call


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
        self.settled = False

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
        if self.settled and not self.folder.is_dir():
            raise StoreError(f"{self.url}: the store was moved or deleted while it was written")
        os.replace(self._complete(target, data, durable=durable), target)
        if durable:
            sync_to_disk(target)

    @answered
    def create(self, key: str, data: bytes) -> bool:
        """Write a key that must not exist, by a link, which never replaces a file."""
        target = self.folder / key
        made = self._complete(target, data, durable=True)
        try:
            os.link(made, target)
        except FileExistsError:
            return target.read_bytes() == data  # ours, of a call that was interrupted
        finally:
            made.unlink(missing_ok=True)
        sync_to_disk(target)
        return True

    @staticmethod
    def _complete(target: Path, data: bytes, *, durable: bool) -> Path:
        missing = list(takewhile(lambda folder: not folder.exists(), target.parents))
        target.parent.mkdir(parents=True, exist_ok=True)
        if durable:
            for folder in missing:
                sync_to_disk(folder)
        made = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
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
            for _ in range(REMOVE_ATTEMPTS):
                try:
                    shutil.rmtree(folder)
                    return
                except OSError as error:  # a task of a run that is no more writes there
                    if error.errno != errno.ENOTEMPTY:
                        raise
            shutil.rmtree(folder)

    def zarr(self) -> Any:
        """Return the zarr store of the folder."""
        from zarr.storage import LocalStore

        return LocalStore(self.folder)


class ObjectFiles:
    """A prefix of an object store, through obstore."""

    def __init__(self, url: str) -> None:
        from tiledsim.scheduler.store.objects import check_url, open_object_store

        check_url(url)
        self.settled = False
        self.url = url.rstrip("/")
        self._store = open_object_store(self.url)

    def _failed(self, key: str, error: Exception) -> StoreError:
        from tiledsim.scheduler.store.objects import what_it_says

        return StoreError(f"{self.url}/{key}: {what_it_says(error)}")

    @answered
    def read(self, key: str) -> bytes | None:
        """Return the bytes of a key, None where there is none."""
        import obstore

        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(key, error) from None

    @answered
    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write a key; what an object store has accepted is durable."""
        import obstore

        try:
            obstore.put(self._store, key, data)
        except Exception as error:
            raise self._failed(key, error) from None

    @answered
    def create(self, key: str, data: bytes) -> bool:
        """Write a key that must not exist, by a conditional put.

        obstore repeats what may be repeated blindly, and this may not: a first request whose answer
        was lost makes the second fail.  So it is repeated here, and what is there is looked at.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError

        for pause in CREATE_AGAIN_SECONDS:
            try:
                obstore.put(self._store, key, data, mode="create")
                return True
            except AlreadyExistsError:
                return self.read(key) == data
            except Exception as error:
                if not pause or not isinstance(error, GenericError):
                    raise self._failed(key, error) from None
                time.sleep(pause)
        raise AssertionError("the last pause is none")

    @answered
    def create_for(
        self, key: str, data: bytes, run: str
    ) -> tuple[bytes, str | None, dict[str, Any]] | None:
        """Write a key that must not exist, with the identity of a run.

        Returns None, or what is there: its bytes, its run and what tells it from a later one.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError

        for pause in CREATE_AGAIN_SECONDS:
            try:
                obstore.put(self._store, key, data, mode="create", attributes={RUN: run})
                return None
            except AlreadyExistsError:
                there = self._what_is_there(key)
                if there is not None:
                    return there
            except Exception as error:
                if not pause or not isinstance(error, GenericError):
                    raise self._failed(key, error) from error
                time.sleep(pause)
        raise AssertionError("the last pause is none")

    def _what_is_there(self, key: str) -> tuple[bytes, str | None, dict[str, Any]] | None:
        """Return the bytes of a key, their run and their tag; None where they have just gone."""
        import obstore

        try:
            there = obstore.get(self._store, key)
            tag = {name: there.meta[name] for name in ("e_tag", "version") if there.meta[name]}
            return bytes(there.bytes()), there.attributes.get(RUN), tag
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(key, error) from error

    @answered
    def replace_for(self, key: str, data: bytes, run: str, tag: Any) -> bool:
        """Write a key of a run, if what is there is still what ``tag`` names."""
        import obstore
        from obstore.exceptions import PreconditionError

        try:
            obstore.put(self._store, key, data, mode=tag, attributes={RUN: run})
        except (PreconditionError, FileNotFoundError):
            return False
        except Exception as error:
            raise self._failed(key, error) from error
        return True

    @answered
    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        import obstore

        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(key, error) from None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below ``prefix``, in order."""
        import obstore

        try:
            for batch in obstore.list(self._store, prefix=prefix or None):
                yield from (str(entry["path"]) for entry in batch)
        except Exception as error:
            raise self._failed(prefix, error) from None

    def names(self, prefix: str) -> list[str]:
        """Return what is directly below ``prefix``."""
        import obstore

        try:
            found = obstore.list_with_delimiter(self._store, prefix=prefix or None)
        except Exception as error:
            raise self._failed(prefix, error) from None
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted(str(path).removeprefix(prefix).strip("/") for path in paths)

    def remove(self, prefix: str) -> None:
        """Remove every key below ``prefix``, a thousand in a request."""
        import obstore

        try:
            for batch in obstore.list(self._store, prefix=prefix, chunk_size=1000):
                obstore.delete(self._store, [str(entry["path"]) for entry in batch])
        except Exception as error:
            raise self._failed(prefix, error) from None

    def zarr(self) -> Any:
        """Return the zarr store of the prefix."""
        from zarr.storage import ObjectStore

        return ObjectStore(self._store)


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
