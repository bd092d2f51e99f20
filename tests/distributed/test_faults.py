"""Runs in which things break: the bytes and the summary are those of the undisturbed run."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.distributed.conftest import TESTS
from tests.distributed.fakes import FAULTY
from tests.distributed.journals import keep_first, parts_of, recorded
from tiledsim.errors import RunError, StoreError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.journal.journal_file import Part
from tiledsim.scheduler.session.events import Event, TileFailed, TileRetried, TilesDone
from tiledsim.scheduler.store import answers
from tiledsim.scheduler.store.folder import FencedFolder

Check = Callable[[Path, Summary], None]


def test_tiles_that_fail_once_or_twice(
    tmp_path: Path, experiment: Experiment, faults: Path, same_as_undisturbed: Check
) -> None:
    (faults / "raise-0-512").write_text("1")
    (faults / "raise-1024-0").write_text("2")
    retries: list[TileRetried] = []

    def watch(event: Event) -> None:
        if isinstance(event, TileRetried):
            retries.append(event)

    summary = run(experiment, tmp_path / "image.zarr", callbacks=[watch], collaborators=FAULTY)
    same_as_undisturbed(tmp_path / "image.zarr", summary)
    assert len(retries) == 3
    assert summary.retried == 2


def test_a_tile_that_always_fails(
    tmp_path: Path, experiment: Experiment, faults: Path, same_as_undisturbed: Check
) -> None:
    order = faults / "raise-512-1024"
    order.write_text("1000")
    failed: list[TileFailed] = []
    done: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, TileFailed):
            failed.append(event)
        elif isinstance(event, TilesDone):
            done.extend(record.index for record in event.records)

    with pytest.raises(RunError, match=r"slow 512:1024 fast 1024:1536: Arithm.*/tile-7.txt\)"):
        run(
            experiment, tmp_path / "image.zarr", callbacks=[watch], attempts=2, collaborators=FAULTY
        )
    assert [event.attempts for event in failed] == [2]
    assert len(done) == len(set(done)) == 29
    (log,) = (tmp_path / "image.zarr" / "run" / "failures").iterdir()
    said = log.read_text()
    assert said.startswith("tile 7: shot 0 panel 0 slow 512:1024 fast 1024:1536\nattempts: 2")
    assert 'raise ArithmeticError("told to fail")' in said
    order.unlink()
    summary = run(experiment, tmp_path / "image.zarr", resume=True, collaborators=FAULTY)
    assert not log.exists()
    same_as_undisturbed(tmp_path / "image.zarr", summary)


def test_a_tile_that_failed_is_tried_on_another_worker(
    tmp_path: Path, experiment: Experiment, faults: Path, same_as_undisturbed: Check
) -> None:
    """One that fails every tile fails faster than the other renders, and gets most of them."""
    (faults / "raise-on").write_text("0")
    summary = run(
        experiment, tmp_path / "image.zarr", workers=2, threads=1, attempts=2, collaborators=FAULTY
    )
    same_as_undisturbed(tmp_path / "image.zarr", summary)
    assert summary.retried > 0


def test_a_tile_that_is_for_others_alone_does_not_wait_for_them_for_ever(
    tmp_path: Path, experiment: Experiment, faults: Path, same_as_undisturbed: Check
) -> None:
    (faults / "raise-on").write_text("0")

    def end_the_other(event: Event) -> None:
        if isinstance(event, TileRetried) and not (faults / "told").exists():
            (faults / "told").touch()
            (faults / "die-on").write_text("1")

    summary = run(
        experiment, tmp_path / "image.zarr", workers=2, threads=1, attempts=50,
        callbacks=[end_the_other], collaborators=FAULTY,
    )  # fmt: skip
    same_as_undisturbed(tmp_path / "image.zarr", summary)
    assert not (faults / "die-on").exists()


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    """The worker processes that nannies have started."""
    return [
        child
        for child in process.children(recursive=True)
        if "multiprocessing.spawn" in " ".join(child.cmdline())
        or "spawn_main" in " ".join(child.cmdline())
    ]


@pytest.mark.parametrize("victims", [1, 2])
def test_workers_killed(
    tmp_path: Path, experiment: Experiment, faults: Path, same_as_undisturbed: Check, victims: int
) -> None:
    (faults / "wait").write_text("0.15")
    killed: list[int] = []

    def kill_after_the_first_tiles(event: Event) -> None:
        if isinstance(event, TilesDone) and not killed:
            for process in workers_below(psutil.Process())[:victims]:
                killed.append(process.pid)
                process.send_signal(signal.SIGKILL)

    summary = run(
        experiment, tmp_path / "image.zarr", workers=2, threads=1,
        callbacks=[kill_after_the_first_tiles], collaborators=FAULTY
    )  # fmt: skip
    assert len(killed) == victims
    same_as_undisturbed(tmp_path / "image.zarr", summary)


CLIENT = """
import sys
from pathlib import Path
from tests.distributed.conftest import make_experiment
from tests.distributed.fakes import FAULTY
from tiledsim.scheduler import run
if __name__ == "__main__":
    run(make_experiment(), Path(sys.argv[1]), workers=int(sys.argv[2]), threads=1,
        collaborators=FAULTY)
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_the_client_is_ended_and_the_run_resumed(
    tmp_path: Path, experiment: Experiment, faults: Path, same_as_undisturbed: Check,
    kind: signal.Signals,
) -> None:  # fmt: skip
    (faults / "wait").write_text("0.2")
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    store = tmp_path / "image.zarr"
    client = subprocess.Popen(
        [sys.executable, script, store, "1"],
        cwd=TESTS, env=os.environ | {"PYTHONPATH": str(TESTS)},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list((store / "run" / "journal").glob("*.npz")) and time.monotonic() < deadline:
        time.sleep(0.05)
    client.send_signal(kind)
    _, said = client.communicate(timeout=60)
    if kind == signal.SIGINT:
        assert "`resume` continues" in said
    (faults / "wait").unlink()
    before = recorded(store)
    assert 0 < before < 30
    rendered: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, TilesDone):
            rendered.extend(record.index for record in event.records)

    summary = run(experiment, store, resume=True, callbacks=[watch], collaborators=FAULTY)
    same_as_undisturbed(store, summary)
    assert len(rendered) == 30 - before


def test_the_scheduler_is_closed_and_the_run_resumed(
    tmp_path: Path, experiment: Experiment, faults: Path, same_as_undisturbed: Check
) -> None:
    from tiledsim.scheduler.cluster.local import local_client

    (faults / "wait").write_text("0.2")
    store = tmp_path / "image.zarr"
    with local_client(1, 1) as client:
        cluster = client.cluster

        def close_after_the_first_tiles(event: Event) -> None:
            if isinstance(event, TilesDone):
                threading.Thread(target=cluster.close, daemon=True).start()

        with pytest.raises(RunError, match="`resume` continues"):
            run(
                experiment,
                store,
                client=client,
                callbacks=[close_after_the_first_tiles],
                collaborators=FAULTY,
            )
    (faults / "wait").unlink()
    same_as_undisturbed(store, run(experiment, store, resume=True, collaborators=FAULTY))


def break_writes(
    monkeypatch: pytest.MonkeyPatch, part: str, fault: Callable[[], None], times: int
) -> None:
    """Let a fault happen in the first writes of keys with ``part`` in their path."""
    from tiledsim.scheduler.store.files import LocalFiles
    from tiledsim.scheduler.store.shards import ShardFolder

    real, left = LocalFiles._complete, [times]

    def complete(self: LocalFiles, target: Path, data: bytes, *, durable: bool) -> Path:
        if part in f"image.zarr/{target.relative_to(self.folder)}" and left[0] > 0:
            left[0] -= 1
            fault()
        return real(self, target, data, durable=durable)

    monkeypatch.setattr(LocalFiles, "_complete", complete)
    real_shard = ShardFolder._complete

    def complete_shard(
        self: ShardFolder, array: int, key: str, data: bytes, *, durable: bool
    ) -> str:
        if part in f"image/{key}" and left[0] > 0:
            left[0] -= 1
            fault()
        return real_shard(self, array, key, data, durable=durable)

    monkeypatch.setattr(ShardFolder, "_complete", complete_shard)


def no_room() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_hangs_is_given_up_and_may_come_late(
    tmp_path: Path, experiment: Experiment, same_as_undisturbed: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(answers, "ANSWER_SECONDS", 2.0)
    break_writes(monkeypatch, "image/c/0/0/4/2", lambda: time.sleep(5), 1)
    reasons: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, TileRetried):
            reasons.append(event.reason)

    summary = run(experiment, tmp_path / "image.zarr", callbacks=[watch], fsync=False)
    assert len(reasons) == 1
    assert all("the store did not answer within" in reason for reason in reasons)
    time.sleep(5)
    same_as_undisturbed(tmp_path / "image.zarr", summary)


def test_a_journal_that_hangs_ends_the_run(
    tmp_path: Path, experiment: Experiment, same_as_undisturbed: Check,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(answers, "ANSWER_SECONDS", 2.0)
    break_writes(monkeypatch, "/run/journal/", lambda: time.sleep(5), 1)
    with pytest.raises(
        RunError, match=r"did not answer within .* 0 of 30 tiles are done; `resume`"
    ):
        run(experiment, tmp_path / "image.zarr", fsync=False)
    summary = run(experiment, tmp_path / "image.zarr", resume=True, fsync=False)
    time.sleep(4)
    same_as_undisturbed(tmp_path / "image.zarr", summary)


@pytest.mark.parametrize(
    "part", ["image/c/0/0/3/", "run/journal/", "tiles/", "image.zarr/zarr.json"]
)
def test_a_full_disk(
    tmp_path: Path, experiment: Experiment, same_as_undisturbed: Check, part: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whatever finds no room, the run ends with one line; what was recorded is kept."""
    store = tmp_path / "image.zarr"
    with monkeypatch.context() as full:
        break_writes(full, part, no_room, 1000)
        with pytest.raises(RunError, match="No space left on device") as caught:
            run(experiment, store, fsync=False)
    said = str(caught.value)
    assert "\n" not in said
    assert "free some room" in said
    assert "`resume`" in said
    assert not list(store.rglob("*.partial"))
    same_as_undisturbed(store, run(experiment, store, resume=True, fsync=False))


def test_a_log_that_cannot_be_written_hides_nothing(
    tmp_path: Path, experiment: Experiment, faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (faults / "raise-0-512").write_text("9")
    break_writes(monkeypatch, "run/failures/", no_room, 9)
    with pytest.raises(RunError, match=r"1 of 30 tiles failed 1 times, .*told to fail") as caught:
        run(experiment, tmp_path / "image.zarr", attempts=1, fsync=False, collaborators=FAULTY)
    assert "no log: " in str(caught.value)
    assert "`resume` tries these again" in str(caught.value)


@pytest.mark.parametrize("step", ["clear", "create", "save_scene", "publish"])
def test_the_making_of_a_store_is_cut_short(
    tmp_path: Path, experiment: Experiment, same_as_undisturbed: Check, step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What is half made, or half replaced, is no store; it is made anew without being asked."""
    from tiledsim.scheduler.session.opening import create as making
    from tiledsim.scheduler.store import image as store

    place = tmp_path / "image.zarr"
    run(experiment.replace(sampling={"oversample": 2}), place, fsync=False)
    where: Any = making if step == "save_scene" else store

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        if step == "clear":  # in its middle
            killed.setattr(FencedFolder, "remove", cut)
        else:
            killed.setattr(where, step, cut)
        with pytest.raises(KeyboardInterrupt):
            run(experiment, place, overwrite=True)
    same_as_undisturbed(place, run(experiment, place, overwrite=step == "create", fsync=False))


def cut_short(store: Path, keep: int) -> None:
    """Make a finished store one of a run that recorded its first tiles only."""
    about = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(about.replace('"summary"', '"former_summary"'))
    keep_first(store, keep)


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "garbage"])
def test_damaged_shards_without_a_record_are_rendered_again(
    tmp_path: Path, experiment: Experiment, same_as_undisturbed: Check, damage: str
) -> None:
    store = tmp_path / "image.zarr"
    run(experiment, store)
    cut_short(store, keep=10)
    shard = store / "image" / "c" / "0" / "0" / "4" / "2"
    whole = shard.read_bytes()
    match damage:
        case "truncated":
            shard.write_bytes(whole[: len(whole) // 2])
        case "empty":
            shard.write_bytes(b"")
        case "missing":
            shard.unlink()
        case "garbage":
            shard.write_bytes(bytes(len(whole)))
    (store / "image" / "c" / "0" / "0" / "4" / "3.0123456789abcdef.partial").write_bytes(b"torn")
    same_as_undisturbed(store, run(experiment, store, resume=True))


def test_a_damaged_journal_is_refused(tmp_path: Path, experiment: Experiment) -> None:
    store = tmp_path / "image.zarr"
    run(experiment, store)
    cut_short(store, keep=10)
    (path,) = parts_of(store)
    part = Part.decode(path.read_bytes())
    strange = part.rows.copy()
    strange["index"][3] = 3000
    path.write_bytes(replace(part, rows=strange).encode())
    with pytest.raises(StoreError, match="does not belong to this store"):
        run(experiment, store, resume=True)
    whole = part.encode()
    for damaged in (b"", whole[:-30], b"[1, 2\n", whole.replace(b"(10,)", b"(1e,)")):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="the journal is damaged"):
            run(experiment, store, resume=True)
    path.rename(path.with_name("00000000.jsonl"))
    with pytest.raises(StoreError, match="written by an earlier tiledsim"):
        run(experiment, store, resume=True)
