"""A prefix of an object store, through obstore: unconditional and conditional requests."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from tiledsim.errors import StoreError
from tiledsim.scheduler.store.answers import answered

RUN = "tiledsim-run"
"""The attribute of a shard, in an object store, that says which run it belongs to."""
CREATE_AGAIN_SECONDS = (0.2, 1.0, 5.0, 20.0, 0.0)
"""Pauses before a conditional put is repeated; none after the last."""
DELETED_AT_ONCE = 1000
"""Keys of one request."""


class ObjectFiles:
    """A prefix of an object store, through obstore."""

    def __init__(self, url: str) -> None:
        from tiledsim.scheduler.store.objects import check_url, open_object_store

        check_url(url)
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
            raise self._failed(key, error) from error

    @answered
    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write a key; what an object store has accepted is durable."""
        import obstore

        try:
            obstore.put(self._store, key, data)
        except Exception as error:
            raise self._failed(key, error) from error

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
                    raise self._failed(key, error) from error
                time.sleep(pause)
        raise AssertionError("the last pause is none")

    def writer(self, mark: str, check: Callable[[], None]) -> "FencedPrefix":
        """Return what a driver writes through."""
        return FencedPrefix(self, check)

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

    @answered
    def run_of(self, key: str) -> str | None:
        """Return the identity of the run that a key carries; None where it carries none."""
        import obstore

        try:
            carried = obstore.get(self._store, key).attributes.get(RUN)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(key, error) from error
        return None if carried is None else str(carried)

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
            raise self._failed(key, error) from error

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below ``prefix``, in order."""
        import obstore

        try:
            for batch in obstore.list(self._store, prefix=prefix or None):
                yield from (str(entry["path"]) for entry in batch)
        except Exception as error:
            raise self._failed(prefix, error) from error

    def names(self, prefix: str) -> list[str]:
        """Return what is directly below ``prefix``."""
        import obstore

        try:
            found = obstore.list_with_delimiter(self._store, prefix=prefix or None)
        except Exception as error:
            raise self._failed(prefix, error) from error
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted(str(path).removeprefix(prefix).strip("/") for path in paths)

    def remove(self, prefix: str) -> None:
        """Remove every key below ``prefix``, many in a request."""
        import obstore

        try:
            for batch in obstore.list(self._store, prefix=prefix, chunk_size=DELETED_AT_ONCE):
                obstore.delete(self._store, [str(entry["path"]) for entry in batch])
        except Exception as error:
            raise self._failed(prefix, error) from error

    def zarr(self) -> Any:
        """Return the zarr store of the prefix."""
        from zarr.storage import ObjectStore

        return ObjectStore(self._store)


class FencedPrefix(ObjectFiles):
    """A prefix of an object store, for the driver that has its lease.

    Documents are changed on the condition that they are what was seen before the lease was looked
    at, and a store is made of keys that must not be there.  Between a look at the lease and a
    deletion nothing can be put: a driver that sleeps exactly there for longer than its lease lasts
    may remove up to DELETED_AT_ONCE keys of the run that has taken its place; ``verify`` finds it.
    """

    def __init__(self, files: ObjectFiles, check: Callable[[], None]) -> None:
        self.url = files.url
        self._store = files._store
        self._check = check

    def make(self, key: str, data: bytes, /) -> None:
        """Write a key that nobody else may have made."""
        if not self.create(key, data):
            raise StoreError(f"{self.url}/{key}: another process makes a store here; try again")

    @answered
    def change(self, key: str, edit: Callable[[bytes | None], bytes]) -> None:
        """Write a key on the condition that it is what ``edit`` was given."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        there = self._what_is_there(key)
        data = edit(None if there is None else there[0])
        unchanged: Any = "create" if there is None else there[2]
        self._check()
        try:
            obstore.put(self._store, key, data, mode=unchanged)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            if self.read(key) != data:  # else it is ours, of a request whose answer was lost
                raise StoreError(
                    f"{self.url}/{key}: another process has changed it at this moment; try again"
                ) from None
        except Exception as error:
            raise self._failed(key, error) from error

    def remove(self, prefix: str) -> None:
        """Remove every key below ``prefix``, after a look at the lease for each request."""
        import obstore

        try:
            for batch in obstore.list(self._store, prefix=prefix, chunk_size=DELETED_AT_ONCE):
                self._check()
                obstore.delete(self._store, [str(entry["path"]) for entry in batch])
        except StoreError:
            raise
        except Exception as error:
            raise self._failed(prefix, error) from error

    def write_alone(self) -> None:
        """Do nothing: each write has its condition."""

    def is_there(self) -> bool:
        """Say yes: what was deleted is noticed by its lease, which is gone too."""
        return True

    def close(self) -> None:
        """Do nothing: nothing was put aside."""
