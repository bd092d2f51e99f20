"""Runs on a real SLURM of this machine: what its jobs, signals and limits do to a run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask_jobqueue  # noqa: F401  its defaults must be there before a test sets others
import pytest

from tests.distributed import servers, standins
from tests.distributed.conftest import TESTS
from tests.distributed.fakes import FAULTY
from tests.distributed.forks import tiledsim
from tests.distributed.real_slurm import RealSlurm, real_slurm, why_not
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.cluster.slurm import queue
from tiledsim.scheduler.cluster.slurm.client import slurm_client
from tiledsim.scheduler.cluster.slurm.config import ClusterConfig
from tiledsim.scheduler.results.stored_summary import load_summary
from tiledsim.scheduler.session.events import Event, JobsTold, TilesDone
from tiledsim.scheduler.store.files import open_files

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a SLURM can be started")

Check = Callable[[Path, Summary], None]
JOB: dict[str, Any] = {"cores": 1, "memory": "1GB", "interface": "lo"}


@pytest.fixture(scope="module")
def installed() -> Iterator[RealSlurm]:
    """A SLURM for all tests of this file."""
    with real_slurm() as slurm:
        yield slurm


@pytest.fixture
def slurm(
    installed: RealSlurm, tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RealSlurm]:
    """The SLURM without jobs; they are submitted from the test's folder, where their logs go."""
    for name, value in installed.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    yield installed
    if left := installed.jobs():
        installed.ask("scancel", *left)
        installed.wait_until_empty()


def write_cluster(**table: Any) -> None:
    """Write cluster.toml."""
    lines = [f"{key} = {value!r}" for key, value in (JOB | table).items()]
    Path("cluster.toml").write_text("\n".join(["[cluster]", *lines, ""]))


COMMAND = (
    "run", "experiment.toml", "-o", "image.zarr", "--cluster", "slurm", "--cluster-config",
    "cluster.toml",
)  # fmt: skip


@contextmanager
def started(module: str = "tiledsim.cli.main") -> Iterator["subprocess.Popen[str]"]:
    """Start the command; it is killed if the block leaves it running."""
    with Path("said").open("w") as said, subprocess.Popen(
        [sys.executable, "-m", module, *COMMAND], stderr=said, text=True
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, Path("said").read_text()
        time.sleep(0.1)


def keys() -> list[Path]:
    return list(Path().glob(".tiledsim-keys-*"))


def test_a_run(slurm: RealSlurm, same_as_undisturbed: Check) -> None:
    write_cluster(jobs=2)
    done = tiledsim(*COMMAND, "--quiet")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    summary = load_summary(open_files(Path("image.zarr").absolute()))
    same_as_undisturbed(Path("image.zarr"), summary)
    assert all(worker.worker.startswith("job-") for worker in summary.workers)
    assert summary.lost_workers == 0
    slurm.wait_until_empty()
    assert not keys()


def test_ctrl_c(slurm: RealSlurm, faults: Path) -> None:
    """The status and the line of every stopped run; no job and no key stays."""
    (faults / "wait").write_text("1")
    write_cluster()
    with started("tests.distributed.slow_command") as process:
        wait_until(lambda: "dashboard" in Path("said").read_text())
        assert slurm.ask("squeue", "--noheader", "--format=%j") == "tiledsim-image.zarr"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    last = Path("said").read_text().splitlines()[-1]
    assert last.startswith("tiledsim: error: stopped: ")
    assert last.endswith("of 30 tiles are done; --resume continues")
    slurm.wait_until_empty()
    assert not keys()


class Disturb:
    """A callback that does something with the first job that has given a tile; keeps the news."""

    def __init__(self, slurm: RealSlurm, *command: str) -> None:
        self.lines: list[str] = []
        self.job = ""
        self._slurm = slurm
        self._command = command

    def __call__(self, event: Event) -> None:
        """Take an event of a run."""
        if isinstance(event, JobsTold):
            self.lines += event.lines
        elif isinstance(event, TilesDone) and not self.job:
            self.job = event.records[0].worker.removeprefix("job-")
            self._slurm.ask(*self._command, self.job)


@pytest.mark.parametrize("command", [("scancel",), ("scontrol", "requeue")])
def test_a_job_that_is_taken_away(
    slurm: RealSlurm, experiment: Experiment, faults: Path, same_as_undisturbed: Check,
    command: tuple[str, ...],
) -> None:  # fmt: skip
    """Cancelled, it is replaced; requeued, it is not, for it comes again."""
    (faults / "wait").write_text("0.3")
    disturb = Disturb(slurm, *command)
    summary = run(
        experiment, Path("image.zarr").absolute(), cluster="slurm",
        cluster_config=JOB | {"jobs": 2}, collaborators=FAULTY, callbacks=[disturb], fsync=False,
    )  # fmt: skip
    same_as_undisturbed(Path("image.zarr"), summary)
    assert summary.lost_workers == 1
    ends = [line for line in disturb.lines if line.startswith(f"job {disturb.job} ended")]
    assert len(ends) == (command == ("scancel",))
    slurm.wait_until_empty()


def test_jobs_that_fail_at_once(slurm: RealSlurm) -> None:
    write_cluster(jobs=2, prologue=["echo module: no such module >&2; exit 7"])
    done = tiledsim(*COMMAND, "--quiet")
    assert done.returncode == 2
    assert "no job is left, and more of them would end as they did (5 FAILED)" in done.stderr
    assert "FAILED (NonZeroExitCode), exit status 7, its log " in done.stderr
    assert "ends: module: no such module" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not Path("image.zarr").exists()
    assert not keys()


def test_a_job_that_never_starts_and_a_driver_that_is_killed(slurm: RealSlurm) -> None:
    """The reason is said; after kill -9 neither the job nor its keys stay."""
    write_cluster(queue="short", walltime="01:00:00")
    with started() as process:
        wait_until(lambda: "PartitionTimeLimit" in Path("said").read_text())
        assert "SLURM: 1 job(s) PENDING (PartitionTimeLimit); that does not go away" in (
            Path("said").read_text()
        )
        assert keys()
        process.kill()
    slurm.wait_until_empty()
    wait_until(lambda: not keys())
    assert not Path("image.zarr").exists()


@pytest.fixture
def batch(slurm: RealSlurm, faults: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script of the examples, with ``tiledsim`` and ``dask`` on PATH; tiles are slow."""
    programs = Path("bin").absolute()
    programs.mkdir()
    standins.install(
        programs, "tiledsim",
        f'#!/bin/sh\nexec {sys.executable} -m tests.distributed.slow_command "$@"\n',
    )  # fmt: skip
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("TILEDSIM_INTERFACE", "lo")
    shutil.copy(TESTS / "examples" / "slurm.sh", "slurm.sh")
    (faults / "wait").write_text("1")
    return Path("slurm.sh")


def submitted(slurm: RealSlurm, script: Path, *options: str) -> str:
    small = ("--nodes=1", "--cpus-per-task=1", "--output=said")
    return slurm.ask("sbatch", "--parsable", *small, *options, script)


def journal() -> bool:
    """Whether the run has begun to write what is done."""
    return any(Path("image.zarr").glob("run/journal/**/*.npz"))


def test_walltime_and_resume(
    slurm: RealSlurm, batch: Path, faults: Path, same_as_undisturbed: Check
) -> None:
    """SLURM's warning stops the run with 143; the same script goes on to the same bytes."""
    first = submitted(slurm, batch, "--time=1", "--signal=B:TERM@55")
    wait_until(lambda: slurm.state(first) in queue.OVER)
    assert slurm.state(first) == "FAILED"
    assert "ExitCode=143:0" in slurm.ask("scontrol", "show", "job", first)
    assert Path("said").read_text().splitlines()[-1].startswith("tiledsim: error: stopped")
    assert "Traceback" not in Path("said").read_text()
    assert not keys()
    (faults / "wait").unlink()
    second = submitted(slurm, batch)
    wait_until(lambda: slurm.state(second) in queue.OVER)
    assert slurm.state(second) == "COMPLETED", Path("said").read_text()
    summary = load_summary(open_files(Path("image.zarr").absolute()))
    same_as_undisturbed(Path("image.zarr"), summary)
    assert not keys()


def test_scancel_of_the_driver(slurm: RealSlurm, batch: Path) -> None:
    job = submitted(slurm, batch)
    wait_until(journal)
    slurm.ask("scancel", job)
    slurm.wait_until_empty()
    assert slurm.state(job) == "CANCELLED"
    wait_until(lambda: not keys())
    assert "Traceback" not in Path("said").read_text()


def test_an_array_with_a_scheduler_file(
    slurm: RealSlurm, experiment: Experiment, same_as_undisturbed: Check
) -> None:
    file = Path("scheduler.json").absolute()
    worker = (
        f"exec {sys.executable} -m dask worker --scheduler-file {file} --nthreads 1 --interface lo "
        "--memory-limit 0 --dashboard-address 127.0.0.1:0 "
        "--name array-${SLURM_ARRAY_JOB_ID}-$SLURM_ARRAY_TASK_ID"
    )
    with servers.scheduler(file):
        slurm.ask("sbatch", "--array=0-1", f"--wrap={worker}")
        store = Path("image.zarr").absolute()
        summary = run(experiment, store, scheduler_file=file, fsync=False)
        same_as_undisturbed(store, summary)
    assert all(worker.worker.startswith("array-") for worker in summary.workers)


def test_gpus_of_a_job(slurm: RealSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of a job see one of its GPUs each."""
    programs = tmp_path / "bin"
    programs.mkdir()
    standins.install(programs, "nvidia-smi", standins.NVIDIA_SMI.format(numbers="0 1"))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    config = ClusterConfig(**JOB | {"cores": 2, "gpus_per_job": 2})
    with slurm_client(config, tmp_path) as connection:
        connection.client.wait_for_workers(2, timeout=60)
        shown = connection.client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        order = connection.client.run(os.getenv, "CUDA_DEVICE_ORDER")
    assert sorted(shown.values()) == ["0", "1"]
    assert set(order.values()) == {"PCI_BUS_ID"}
