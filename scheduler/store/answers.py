"""What a location of a store can do, and how its answers are bounded in time."""

import threading
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from tiledsim.errors import StoreError

ANSWER_SECONDS = 300.0
"""How long a store may take for one key; a disk or server that is silent for longer has failed."""


class Files(Protocol):
    """Keys with bytes behind them."""

    url: str

    def read(self, key: str, /) -> bytes | None:
        """Return the bytes of a key, None where there is none."""

    def write(self, key: str, data: bytes, /, *, durable: bool = True) -> None:
        """Write a key, whole or not at all; ``durable`` waits for the disk."""

    def create(self, key: str, data: bytes, /) -> bool:
        """Write a key that must not exist; False if it does.  Two callers never both succeed."""

    def writer(self, mark: str, check: Callable[[], None]) -> "Writer":
        """Return what a driver writes through; ``check`` raises where it has lost its lease.

        To be called before the lease is taken (:mod:`tiledsim.scheduler.store.lease`).
        """

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


class Writer(Files, Protocol):
    """The files of a store, for the one driver that has its lease.

    A driver may fall asleep between any two steps and wake when another has taken the store.  What
    it does then must fail; how far that goes is said where it is done.
    """

    def make(self, key: str, data: bytes, /) -> None:
        """Write a key of a store that is being made; nobody else may have made it meanwhile."""

    def change(self, key: str, edit: Callable[[bytes | None], bytes], /) -> None:
        """Write what ``edit`` makes of a key, unless somebody else has changed it meanwhile."""

    def write_alone(self) -> None:
        """Let what others write fail from now on: drivers that have lost their lease."""

    def is_there(self) -> bool:
        """Whether the store is still where it was."""

    def close(self) -> None:
        """Write no more; what was put aside is removed."""


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
