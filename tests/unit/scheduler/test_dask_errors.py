"""What Dask raises of processes and connections reaches nobody as it is."""

import logging

import distributed
import pytest
from distributed.comm import CommClosedError

from tiledsim.errors import RunError, StoreError
from tiledsim.scheduler.cluster.dask_errors import silent, told_as
from tiledsim.scheduler.cluster.local import local_client, wait_for_workers


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("Nanny failed to start.\nTraceback …"),
         "no workers: RuntimeError: Nanny failed to start."),
        (OSError(), "no workers: OSError"),
        (TimeoutError("after 30 s"), "no workers: TimeoutError: after 30 s"),
    ],
)  # fmt: skip
def test_one_line(error: Exception, said: str) -> None:
    with pytest.raises(RunError) as caught, told_as("no workers"):
        raise error
    assert str(caught.value) == said
    assert caught.value.__cause__ is error


def test_our_own_errors_stay() -> None:
    error = StoreError("ours")
    with pytest.raises(StoreError) as caught, told_as("no workers"):
        raise error
    assert caught.value is error


def test_loggers_are_silent_for_a_while() -> None:
    batched = logging.getLogger("distributed.batched")
    before = batched.level, batched.isEnabledFor(logging.WARNING)
    with silent("distributed.batched", below=logging.WARNING):
        assert batched.isEnabledFor(logging.WARNING)
        assert not batched.isEnabledFor(logging.INFO)
        with silent("distributed.batched"):
            assert not batched.isEnabledFor(logging.CRITICAL)
        assert batched.isEnabledFor(logging.WARNING)
    assert (batched.level, batched.isEnabledFor(logging.WARNING)) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_do_not_start(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("Nanny failed to start.\nand more")

    monkeypatch.setattr(distributed, "SpecCluster", fails)
    with pytest.raises(RunError) as caught, local_client(workers, 1):
        pass
    assert str(caught.value).endswith("do not start: RuntimeError: Nanny failed to start.")


def test_a_scheduler_that_goes_while_it_is_asked() -> None:
    class Gone:
        def wait_for_workers(self, count: int, timeout: float) -> None:
            raise CommClosedError("in <TLS>: Stream is closed")

    with pytest.raises(RunError, match="the connection to the Dask scheduler is lost: CommClosed"):
        wait_for_workers(Gone())
