"""What a run says on standard error while it goes on."""

import sys
from pathlib import Path

import pytest

from tests.distributed.conftest import make_experiment
from tiledsim.cli.runs.progress import Progress
from tiledsim.scheduler import run
from tiledsim.scheduler.session.events import WorkersAwaited


def test_waiting_for_workers_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Progress()(WorkersAwaited(31.4))
    said = capsys.readouterr().err
    assert said.startswith("no worker for 31 s: the run waits until some join the scheduler; ")
    assert said.count("\n") == 1


class Closed:
    """A terminal that is gone."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def isatty(self) -> bool:
        return False


def test_a_run_outlives_its_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Closed())
    small = make_experiment(size_px=(100, 100))
    assert run(small, tmp_path / "image.zarr", callbacks=[Progress()]).tiles == 1
