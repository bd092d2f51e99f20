"""Tiles that take much longer than they should: copied for another worker, or given up."""

from pathlib import Path

import pytest

from tests.distributed.conftest import make_experiment
from tests.distributed.fakes import FAULTY
from tiledsim.errors import RunError
from tiledsim.scheduler import run
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.session import copies
from tiledsim.scheduler.session.events import Event, TileRetried

FOUR = make_experiment(size_px=(1000, 1000))


def test_another_worker_has_a_copy_of_a_straggler(
    tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run does not wait for the slow one, whose own copy changes nothing."""
    monkeypatch.setattr(copies, "SLOW_SECONDS", 0.5)
    (faults / "hang-0-512").write_text("1000")
    summary = run(
        FOUR, tmp_path / "a.zarr", workers=2, threads=1, fsync=False, collaborators=FAULTY
    )
    assert summary.failed_attempts == 0
    assert verify(tmp_path / "a.zarr").sound


def test_a_tile_that_hangs_is_tried_again(
    tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no other worker is, after a stated time; the other thread goes on meanwhile."""
    monkeypatch.setattr(copies, "HUNG_SECONDS", 2.0)
    monkeypatch.setattr(copies, "HUNG_TIMES", 0.0)
    (faults / "hang-0-512").write_text("20")
    reasons: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, TileRetried):
            reasons.append(event.reason)

    summary = run(
        FOUR, tmp_path / "a.zarr", workers=1, threads=2, fsync=False, collaborators=FAULTY,
        callbacks=[note], attempts=20,
    )  # fmt: skip
    assert "it hangs" in reasons[0]
    assert summary.failed_attempts >= 1
    assert verify(tmp_path / "a.zarr").sound


def test_a_tile_that_always_hangs_ends_the_run(
    tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "HUNG_SECONDS", 2.0)
    monkeypatch.setattr(copies, "HUNG_TIMES", 0.0)
    (faults / "hang-0-512").write_text("20")
    with pytest.raises(RunError, match=r"failed 1 times, the first at .* it hangs"):
        run(
            FOUR, tmp_path / "a.zarr", workers=1, threads=2, fsync=False, collaborators=FAULTY,
            attempts=1,
        )  # fmt: skip
    assert run(FOUR, tmp_path / "a.zarr", resume=True, fsync=False).tiles == 4
