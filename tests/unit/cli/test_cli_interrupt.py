"""Ctrl-C ends a run at once, with the status of an interrupt, and says what became of it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.distributed.conftest import make_experiment
from tests.unit.command import refusal

LONG = [
    "-cell", "70", "-default_F", "10", "-N", "5", "-detpixels", "3000", "-oversample", "10",
    "-mosaic", "1", "-mosaic_domains", "100",
]  # fmt: skip
AT_ONCE_S = 15
"""A second, and room for a busy machine; a tile takes several times as long."""


@pytest.mark.parametrize(
    ("output", "said", "left"),
    [
        (["--zarr", "out.zarr"], " tiles are done; --resume continues", ["out.zarr"]),
        (["-floatfile", "img.bin"], "stopped; nothing is kept of a run without --zarr", []),
    ],
)
def test_an_interrupted_run(output: list[str], said: str, left: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tiledsim.cli.main", "nanobragg", *LONG, *output]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("time "):
                break
        time.sleep(0.5)  # into the first tiles
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        last = process.stderr.read().splitlines()[-1]
        assert process.wait(timeout=60) == 130
        assert time.monotonic() - started < AT_ONCE_S
    assert last.startswith("tiledsim: error: ")
    assert last.endswith(said)
    assert [path.name for path in tmp_path.iterdir()] == left


def test_a_second_interrupt_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C again, while workers are ended, comes without a word."""
    import tiledsim.scheduler
    from tests.distributed.conftest import make_experiment
    from tiledsim.cli.runs.running import RunStoppedError, execute
    from tiledsim.scene.build import build_scene
    from tiledsim.scheduler.options import RunOptions

    def run(*_: object, **__: object) -> None:
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                raise KeyboardInterrupt("stopped: 3 of 9 tiles are done") from None
        finally:
            raise KeyboardInterrupt

    monkeypatch.setattr(tiledsim.scheduler, "run", run, raising=False)
    experiment = make_experiment(size_px=(9, 9))
    with pytest.raises(RunStoppedError, match="3 of 9 tiles are done") as stop:
        execute(experiment, build_scene(experiment), "x", RunOptions(), quiet=True)
    assert stop.value.status == 130


@pytest.mark.parametrize("minutes", ["nan", "inf"])
def test_time_limits_that_are_none(minutes: str, tmp_path: Path) -> None:
    experiment = make_experiment(size_px=(9, 9))
    (tmp_path / "e.toml").write_text(experiment.to_toml())
    assert "--time-limit" in refusal(
        "run", tmp_path / "e.toml", "-o", tmp_path / "a.zarr", "--time-limit", minutes
    )
