"""What a run remembers of itself over its sessions, and batches that turn out long."""

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.distributed.fakes import FAULTY
from tests.distributed.journals import parts_of
from tests.distributed.test_faults import workers_below
from tiledsim.errors import RunError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.journal import journal
from tiledsim.scheduler.journal import record_table as table
from tiledsim.scheduler.results.stored_summary import load_summary
from tiledsim.scheduler.session import task as worker
from tiledsim.scheduler.session.events import Event, TilesDone
from tiledsim.scheduler.store.files import LocalFiles

Check = Callable[[Path, Summary], None]


def test_a_resumed_run_knows_what_failed_and_who_was_lost(
    tmp_path: Path, experiment: Experiment, faults: Path, same_as_undisturbed: Check
) -> None:
    store = tmp_path / "image.zarr"
    (faults / "wait").write_text("0.1")
    (faults / "raise-512-1024").write_text("1000")
    killed: list[int] = []

    def kill_one(event: Event) -> None:
        if isinstance(event, TilesDone) and not killed:
            (process, *_) = workers_below(psutil.Process())
            killed.append(process.pid)
            process.send_signal(signal.SIGKILL)

    with pytest.raises(RunError, match="1 of 30 tiles failed 2 times"):
        run(
            experiment,
            store,
            workers=2,
            threads=1,
            attempts=2,
            callbacks=[kill_one],
            collaborators=FAULTY,
        )
    assert killed
    (faults / "raise-512-1024").unlink()
    summary = run(experiment, store, resume=True, collaborators=FAULTY)
    same_as_undisturbed(store, summary)
    assert (summary.attempts, summary.failed_attempts, summary.retried) == (32, 2, 1)
    assert summary.lost_workers == 1
    first, second = summary.sessions
    assert (first.tiles, first.failed_attempts, first.lost_workers) == (29, 2, 1)
    assert (second.tiles, second.failed_attempts, second.lost_workers) == (1, 0, 0)
    assert first.workers == 2
    assert first.seconds > 0
    assert summary.session_tiles == 1
    assert summary.workers_count == 2
    assert sum(one.tiles for one in summary.workers) == 30
    for one in summary.workers:
        assert one.busy_share + one.write_share + one.idle_share == pytest.approx(1.0)
    assert load_summary(LocalFiles(store)) == summary


def test_workers_that_leave_when_asked_are_not_lost(
    tmp_path: Path, experiment: Experiment, same_as_undisturbed: Check
) -> None:
    from tiledsim.scheduler.cluster.local import local_client

    asked: list[str] = []
    with local_client(2, 1) as client:

        def retire(event: Event) -> None:
            if isinstance(event, TilesDone) and not asked:
                asked.extend(list(client.scheduler_info()["workers"])[:1])
                client.retire_workers(asked)

        summary = run(experiment, tmp_path / "image.zarr", client=client, callbacks=[retire])
    same_as_undisturbed(tmp_path / "image.zarr", summary)
    assert asked
    assert summary.lost_workers == 0


def test_a_batch_that_turns_out_long_comes_back_and_its_rest_is_sent_again(
    tmp_path: Path, experiment: Experiment, same_as_undisturbed: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(worker, "LONGEST_BATCH_SECONDS", 0.0)
    lengths: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, TilesDone):
            lengths.append(len(event.records))

    store = tmp_path / "image.zarr"
    summary = run(experiment, store, threads=1, callbacks=[watch])
    same_as_undisturbed(store, summary)
    assert lengths == [1] * 30
    assert (summary.attempts, summary.failed_attempts) == (30, 0)


def test_many_journal_files_and_portions_give_the_same(
    tmp_path: Path, experiment: Experiment, undisturbed: tuple[Path, Summary],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import zarr

    from tiledsim.scheduler.session import driver

    monkeypatch.setattr(driver, "FLUSH_RECORDS", 1)
    monkeypatch.setattr(journal, "SEALED_ROWS", 4)
    monkeypatch.setattr(table, "PORTION_TILES", 7)
    store = tmp_path / "image.zarr"
    summary = run(experiment, store, workers=1, threads=2)
    assert len(parts_of(store)) > 4
    assert summary.images[0].maximum == undisturbed[1].images[0].maximum
    assert summary.photons == pytest.approx(undisturbed[1].photons, rel=1e-14)
    tiles = {"mine": zarr.open_group(store, path="tiles", mode="r"),
             "theirs": zarr.open_group(undisturbed[0], path="tiles", mode="r")}  # fmt: skip
    for name in ("index", "crc32", "total", "maximum_slow", "slow_stop", "fast_start"):
        assert tiles["mine"][name][:].tolist() == tiles["theirs"][name][:].tolist()
