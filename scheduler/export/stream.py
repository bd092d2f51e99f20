"""Results of tasks in their order, a bounded number of them at once."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import Any, TypeVar

from tiledsim.errors import RunError

Given = TypeVar("Given")
Result = TypeVar("Result")


def in_order(
    client: Any, function: Callable[[Any, Given], Result], shared: Any, given: Iterable[Given],
    at_once: int,
) -> Generator[Result, None, None]:  # fmt: skip
    """Yield ``function(shared, item)`` for each item, in order.

    Without a client the calls are made here.  With one, ``at_once`` tasks are under way or waiting
    to be taken, so memory does not grow with the number of items; an error of a task is raised, and
    a task that died with its worker runs again.
    """
    if client is None:
        for item in given:
            yield function(shared, item)
        return
    pending: deque[Any] = deque()
    source = iter(given)
    try:
        while True:
            for item in islice(source, at_once - len(pending)):
                pending.append(client.submit(function, shared, item, pure=False))
            if not pending:
                return
            future = pending.popleft()
            yield _result(future)
    finally:
        client.cancel(list(pending))


def _result(future: Any) -> Any:
    from concurrent.futures import CancelledError

    try:
        return future.result()
    except CancelledError:
        raise RunError("the connection to the Dask scheduler is lost") from None
