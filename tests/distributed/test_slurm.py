"""SLURM: runs through stand-ins that start the job's script here."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dask_jobqueue  # noqa: F401  its defaults must be there before a test sets others
import pytest

from tests.distributed import standins
from tests.distributed.conftest import TESTS
from tests.distributed.forks import refusal, tiledsim
from tiledsim.errors import BackendError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary
from tiledsim.scheduler.cluster.slurm import queue
from tiledsim.scheduler.cluster.slurm.client import check_slurm, slurm_client
from tiledsim.scheduler.cluster.slurm.config import ClusterConfig
from tiledsim.scheduler.results.stored_summary import load_summary
from tiledsim.scheduler.store.files import open_files

Check = Callable[[Path, Summary], None]
SMALL = '[cluster]\ncores = 1\nmemory = "2GB"\njobs = 2\ninterface = "lo"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[standins.Slurm]:
    """A SLURM on PATH, this machine being its only node."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    with standins.slurm(folder) as standin:
        monkeypatch.setenv("PATH", f"{standin.programs}:{os.environ['PATH']}")
        yield standin


def test_a_run_through_jobs(
    tmp_path: Path, experiment: Experiment, here: standins.Slurm, same_as_undisturbed: Check
) -> None:
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    (tmp_path / "cluster.toml").write_text(SMALL + 'prologue = ["echo started on $SLURM_JOB_ID"]\n')
    store = tmp_path / "image.zarr"
    done = tiledsim(
        "run", tmp_path / "experiment.toml", "-o", store, "--cluster", "slurm",
        "--cluster-config", tmp_path / "cluster.toml",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same_as_undisturbed(store, load_summary(open_files(store)))
    assert len(here.jobs) == 2
    log = here.folder / f"log-{here.jobs[0].name}"
    assert log.read_text().startswith(f"started on {here.jobs[0].name}")
    deadline = time.monotonic() + 20
    while here.running() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not here.running()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"experiment.toml", "cluster.toml", "image.zarr", "slurm"}


def test_a_stopped_run_ends_its_jobs_and_leaves_no_keys(
    tmp_path: Path, experiment: Experiment, here: standins.Slurm
) -> None:
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    (tmp_path / "cluster.toml").write_text(SMALL + 'prologue = ["sleep 60"]\n')
    command = [
        sys.executable, "-m", "tiledsim.cli.main", "run", "experiment.toml", "-o", "image.zarr",
        "--cluster", "slurm", "--cluster-config", "cluster.toml",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while len(here.running()) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert list(tmp_path.glob(".tiledsim-keys-*/key.pem"))
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert said.splitlines()[-1] == "tiledsim: error: stopped before any tile was begun"
    assert len((here.folder / "cancelled").read_text().split()) == 2
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"experiment.toml", "cluster.toml", "slurm"}


def test_the_batch_script_of_the_examples(
    tmp_path: Path, experiment: Experiment, here: standins.Slurm, same_as_undisturbed: Check
) -> None:
    """The script as it is, on one node, which is this machine."""
    standins.install(here.programs, "srun", '#!/bin/bash\nexec "$@"\n')
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    environment = os.environ | {
        "SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_CPUS_PER_TASK": "1",
        "TILEDSIM_INTERFACE": "lo",
        "PATH": f"{here.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", TESTS / "examples" / "slurm.sh"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same_as_undisturbed(tmp_path / "image.zarr", load_summary(open_files(tmp_path / "image.zarr")))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"experiment.toml", "image.zarr", "slurm", "tiledsim-7.log"}


def test_slurm_refuses_a_job(tmp_path: Path, experiment: Experiment, here: standins.Slurm) -> None:
    (here.folder / "refuse").write_text("0")
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    (tmp_path / "cluster.toml").write_text(SMALL)
    said = refusal(
        "run", "experiment.toml", "-o", "image.zarr", "--quiet", "--cluster", "slurm",
        "--cluster-config", "cluster.toml", cwd=tmp_path,
    )  # fmt: skip
    assert said.startswith("SLURM refuses the job: sbatch: error: Batch job submission failed")
    assert not (tmp_path / "image.zarr").exists()


def test_jobs_that_end_at_once(tmp_path: Path, here: standins.Slurm) -> None:
    """They are tried again a few times, and what SLURM and the log say of the last is told."""
    config = ClusterConfig(
        cores=1, memory="1GB", interface="lo", jobs=2, prologue=("echo no such module; exit 3",)
    )
    with (
        pytest.raises(
            BackendError,
            match=r"no job is left, and more of them would end as they did \(5 FAILED\); the last: "
            r"job \d+ ended: FAILED \(NonZeroExitCode\), exit status 3, its log .* ends: no such",
        ),
        slurm_client(config, tmp_path),
    ):
        pass
    assert len(here.jobs) == 5
    assert not list(tmp_path.glob(".tiledsim-keys-*"))


def test_a_job_that_ends_is_submitted_again(tmp_path: Path, here: standins.Slurm) -> None:
    config = ClusterConfig(cores=1, memory="1GB", interface="lo", tls=False)
    with slurm_client(config, tmp_path) as connection:
        (group,) = here.running()
        os.killpg(group, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(here.jobs) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(here.jobs) == 2
        connection.client.wait_for_workers(1, timeout=60)
        assert connection.supply is not None
        news = connection.supply.news()
        assert news is not None
        assert "ended: FAILED" in news.lines[0]
    assert len((here.folder / "cancelled").read_text().split()) >= 1


def test_a_limit_of_jobs_is_said(tmp_path: Path, here: standins.Slurm) -> None:
    (here.folder / "refuse").write_text("1")
    config = ClusterConfig(cores=1, memory="1GB", interface="lo", tls=False, jobs=3)
    told: list[str] = []
    tell = lambda news: told.extend(news.lines)  # noqa: E731
    with slurm_client(config, tmp_path, tell=tell) as connection:
        assert connection.supply is not None
        deadline = time.monotonic() + 20
        while not told and time.monotonic() < deadline:
            if news := connection.supply.news():
                tell(news)
            time.sleep(0.1)
    assert told[0].startswith("SLURM takes 1 of 3 job(s): sbatch: error: Batch job submission")


def test_where_there_is_no_slurm(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = tmp_path / "bin"
    nothing.mkdir()
    monkeypatch.setenv("PATH", str(nothing))
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    words = ["run", "experiment.toml", "-o", "image.zarr", "--quiet", "--cluster", "slurm"]
    assert "sbatch is not on PATH" in refusal(*words, cwd=tmp_path)


def test_cores_and_memory_must_be_said(here: standins.Slurm) -> None:
    with pytest.raises(BackendError, match="no cores of a job; give cores in the"):
        check_slurm(ClusterConfig(memory="1GB"))
    with pytest.raises(BackendError, match=r"jobqueue\.slurm\.memory in Dask's configuration"):
        check_slurm(ClusterConfig(cores=1))


def test_each_process_of_a_job_has_its_own_gpu(
    tmp_path: Path, here: standins.Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(here.programs, "nvidia-smi", standins.NVIDIA_SMI.format(numbers="0 1 2 3"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")  # as SLURM does in a job
    config = ClusterConfig(cores=2, memory="2GB", interface="lo", gpus_per_job=2, tls=False)
    with slurm_client(config, tmp_path) as connection:
        client = connection.client
        client.wait_for_workers(2, timeout=60)
        shown = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        assert sorted(shown.values()) == ["1", "3"]
        order = client.run(os.getenv, "CUDA_DEVICE_ORDER")
        assert set(order.values()) == {"PCI_BUS_ID"}


def test_a_slurm_that_does_not_answer(
    here: standins.Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While jobs wait nothing is concluded from it; before they are submitted it is an error."""
    for name in ("squeue", "sbatch"):
        standins.install(here.programs, name, "#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(queue, "ANSWER_SECONDS", 0.2)

    assert queue.states(["7"]) is None
    config = ClusterConfig(cores=1, memory="2GB", interface="lo")
    with (
        pytest.raises(BackendError, match=r"does not answer within 0\.2 s"),
        slurm_client(config, tmp_path),
    ):
        pass
