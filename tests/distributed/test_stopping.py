"""Runs through the installed command that are stopped, watched and limited while they go on."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.distributed.conftest import make_experiment
from tests.distributed.forks import refusal, slow_tiledsim, tiledsim
from tiledsim.errors import BackendError, RunError

EXPERIMENT = """
[beam]
wavelength_A = 1.0
[crystal]
cell_A_deg = [70, 80, 90, 75, 85, 95]
cells = [5, 5, 5]
[crystal.mosaic]
spread_deg = 0.5
domains = 10
[structure_factors]
default_F = 100
[detector]
size_px = [4000, 8000]
pixel_mm = 0.05
[sampling]
oversample = 3
"""
"""128 tiles of some 0.1 s."""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT)
    return path


@contextmanager
def started(*words: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """Start the command; it is killed if the block leaves it running."""
    command = [sys.executable, "-m", "tiledsim.cli.main", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def seen(store: Path) -> dict[str, object]:
    """What ``watch`` prints for scripts."""
    done = tiledsim("watch", store, "--once", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def wait_for_tiles(store: Path) -> dict[str, object]:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if (store / "run" / "journal").exists() and (found := seen(store))["done"]:
            return found
        time.sleep(0.2)
    raise AssertionError("no tile was done")


@pytest.mark.parametrize(("kind", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_run_that_is_watched(
    tmp_path: Path, experiment: Path, kind: signal.Signals, status: int
) -> None:
    store = tmp_path / "image.zarr"
    with started("run", experiment, "-o", store, "--workers", "2", "--threads", "1") as process:
        watched = wait_for_tiles(store)
        assert watched["state"] == "running"
        assert (watched["tiles"], watched["workers"], watched["threads"]) == (128, 2, 2)
        tree = psutil.Process(process.pid)
        listening = {
            connection.laddr.ip
            for each in (tree, *tree.children(recursive=True))
            for connection in each.net_connections("all")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
        process.send_signal(kind)
        _, said = process.communicate(timeout=60)
    assert process.returncode == status
    last = said.splitlines()[-1]
    assert last.startswith("tiledsim: error: stopped: ")
    assert last.endswith(" of 128 tiles are done; --resume continues")
    after = seen(store)
    assert after["state"] == "stopped"
    assert f" {after['done']} of 128" in last
    text = tiledsim("watch", store).stdout.splitlines()
    assert text[0].startswith(f"stopped: {after['done']} of 128 tiles done")
    assert text[0].endswith("tiledsim run --resume continues")
    assert {len(line) for line in text[1:]} == {16}


def test_a_time_limit(tmp_path: Path, faults: Path) -> None:
    """It ends the run while tiles are to be done, and the next session goes on."""
    path, store = tmp_path / "experiment.toml", tmp_path / "image.zarr"
    path.write_text(make_experiment().to_toml())
    (faults / "wait").write_text("1")  # all 30 tiles take five times as long as the limit
    command = ("run", path, "-o", store, "--threads", "1", "--quiet")
    done = slow_tiledsim(*command, "--time-limit", "0.1")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("tiledsim: error: stopped at the time limit")
    assert "--resume continues" in last or "before any tile" in last
    assert tiledsim(*command, "--resume").returncode == 0
    assert seen(store)["state"] == "finished"


def test_the_report_is_kept(tmp_path: Path, experiment: Path) -> None:
    report = tmp_path / "report.html"
    small = experiment.read_text().replace("[4000, 8000]", "[600, 700]")
    experiment.write_text(small)
    done = tiledsim("run", experiment, "-o", tmp_path / "image.zarr", "--report", report)
    assert done.returncode == 0, done.stderr
    text = report.read_text()
    assert "Dask Performance Report" in text
    assert "render_tiles" in text
    said = refusal(
        "run", experiment, "-o", tmp_path / "b.zarr", "--quiet",
        "--report", tmp_path / "nowhere" / "report.html",
    )  # fmt: skip
    assert "its folder must exist" in said
    assert not (tmp_path / "b.zarr").exists()


def test_a_report_that_cannot_be_made_at_the_end(tmp_path: Path) -> None:
    from tiledsim.scheduler.cluster.local import local_client
    from tiledsim.scheduler.results.dask_report import performance_report

    folder = tmp_path / "reports"
    folder.mkdir()
    with local_client(1, 1) as client:
        report = performance_report(client, folder / "report.html")
        report.__enter__()
        folder.rmdir()
        folder.write_text("in the way")
        with pytest.raises(RunError, match=r"the run is finished, but `report=.*` was not made"):
            report.__exit__(None, None, None)


def test_a_report_without_bokeh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import importlib.util

    from tiledsim.scheduler.results.dask_report import check_report

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r'pip install "tiledsim\[dashboard\]"'):
        check_report(tmp_path / "report.html")


def test_watching_what_is_no_run(tmp_path: Path) -> None:
    assert "does not exist" in refusal("watch", tmp_path / "none.zarr")
