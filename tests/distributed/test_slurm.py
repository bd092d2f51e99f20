"""SLURM: the job script's text, and runs through stand-ins that start the script here."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import dask
import dask_jobqueue  # noqa: F401  its defaults must be there before a test sets others
import pytest
from distributed import Client, Nanny, Scheduler, SpecCluster, get_worker

from tests.distributed import standins
from tests.distributed.conftest import TESTS
from tests.unit.command import refusal, tiledsim
from tiledsim.errors import BackendError, InputFileError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary
from tiledsim.scheduler.cluster import slurm
from tiledsim.scheduler.cluster.gpus import GPU_THREADS
from tiledsim.scheduler.cluster.slurm import (
    ClusterConfig,
    load_cluster_config,
    make_slurm_cluster,
    slurm_client,
    walltime_minutes,
)
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


def script_of(config: ClusterConfig, folder: Path) -> list[str]:
    cluster = make_slurm_cluster(config, folder)
    try:
        return str(cluster.job_script()).splitlines()
    finally:
        cluster.close()


def test_the_job_script(tmp_path: Path) -> None:
    lines = script_of(
        ClusterConfig(
            queue="normal", account="xray", walltime="02:00:00", cores=32, processes=4,
            memory="64GB", interface="lo", local_directory="$TMPDIR", log_directory="logs",
            directives=("--exclusive",), prologue=("module load python",),
            python="/opt/python/bin/python",
        ),
        tmp_path,
    )  # fmt: skip
    for directive in ("-p normal", "-A xray", "-n 1", "--cpus-per-task=32", "--mem=60G",
                      "-J tiledsim", "-t 02:00:00", "-e logs/tiledsim-%J.err",
                      "--exclusive"):  # fmt: skip
        assert f"#SBATCH {directive}" in lines
    assert lines[-2] == "module load python"
    words = lines[-1].split()
    assert words[:4] == ["/opt/python/bin/python", "-m", "distributed.cli.dask_worker", words[3]]
    assert words[3].startswith("tls://")
    for option in ("--nthreads 8", "--nworkers 4", "--leave-after 6900",
                   "--leave-spread 690", "--interface lo",
                   "--dashboard-address 127.0.0.1:0", "--local-directory $TMPDIR",
                   "--protocol tls://", f"--tls-key {tmp_path}/"):  # fmt: skip
        assert option in lines[-1]


def test_ctrl_c_stays_what_it_was() -> None:
    """Importing dask-jobqueue makes SIGINT exit with status 0."""
    code = (
        "import signal, sys, tiledsim.scheduler.cluster.slurm as slurm\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "slurm._import_jobqueue()\n"
        "assert 'dask_jobqueue' in sys.modules\n"
        "assert signal.getsignal(signal.SIGINT) is before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_off_the_main_thread_in_one_line() -> None:
    code = (
        "import threading, tiledsim.scheduler.cluster.slurm as slurm\n"
        "def work():\n"
        "    try:\n"
        "        slurm._import_jobqueue()\n"
        "    except slurm.BackendError as error:\n"
        "        print(error)\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("`cluster=slurm` from a thread: ")


def slow_task(seconds: float) -> str:
    time.sleep(seconds)
    return str(get_worker().name)


def test_a_worker_leaves_between_two_tasks() -> None:
    """The task under way is finished where it is; what waits goes elsewhere."""
    leaves = {"preload": ["tiledsim.scheduler.cluster.leave_in_time"],
              "preload_argv": [["--leave-after", "2"]]}  # fmt: skip
    common = {"host": "127.0.0.1", "dashboard_address": None, "nthreads": 1,
              "silence_logs": logging.CRITICAL}  # fmt: skip
    workers = {"leaving": {"cls": Nanny, "options": common | leaves},
               "staying": {"cls": Nanny, "options": common}}  # fmt: skip
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}
    with (
        SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2)
        where = {w["name"]: a for a, w in client.scheduler_info()["workers"].items()}
        long = client.submit(slow_task, 6.0, workers=[where["leaving"]], pure=False)
        others = [client.submit(slow_task, 0.5, pure=False) for _ in range(20)]
        assert long.result(timeout=120) == "leaving"
        assert [other.result(timeout=120) for other in others].count("staying") >= 16
        while len(client.scheduler_info()["workers"]) > 1:
            time.sleep(0.1)


def test_keys_are_private_and_do_not_stay(tmp_path: Path) -> None:
    config = ClusterConfig(cores=1, memory="1GB", interface="lo")
    cluster = make_slurm_cluster(config, tmp_path)
    keys = list(tmp_path.iterdir())
    assert keys
    assert {file.stat().st_mode & 0o777 for file in keys} == {0o600}
    cluster.close()
    del cluster
    import gc

    gc.collect()
    assert not list(tmp_path.iterdir())


def test_without_tls(tmp_path: Path) -> None:
    lines = script_of(ClusterConfig(cores=1, memory="1GB", interface="lo", tls=False), tmp_path)
    assert " tcp://" in lines[-1]
    assert "--tls" not in lines[-1]
    assert not list(tmp_path.iterdir())


def test_gpus_of_a_job(tmp_path: Path) -> None:
    config = ClusterConfig(cores=16, memory="64GB", gpus_per_job=4, interface="lo")
    lines = script_of(config, tmp_path)
    assert "#SBATCH --gres=gpu:4" in lines
    assert "#SBATCH --cpus-per-task=16" in lines
    for option in (
        f"--nthreads {GPU_THREADS}",
        "--nworkers 4",
        "--preload tiledsim.scheduler.cluster.one_gpu",
    ):
        assert option in lines[-1]
    assert (config.worker_processes, config.worker_threads) == (4, GPU_THREADS)
    one = script_of(ClusterConfig(cores=4, memory="8GB", gpus_per_job=1, interface="lo"), tmp_path)
    assert "one_gpu" not in one[-1]


def test_dasks_own_configuration(tmp_path: Path) -> None:
    own = {"jobqueue.slurm.cores": 6, "jobqueue.slurm.memory": "6GB", "jobqueue.slurm.queue": "q",
           "jobqueue.slurm.processes": 3}  # fmt: skip
    with dask.config.set(own):
        config = ClusterConfig(interface="lo")
        assert (config.worker_processes, config.worker_threads) == (3, 2)
        lines = script_of(config, tmp_path)
    assert "#SBATCH -p q" in lines
    assert "--nthreads 2" in lines[-1]
    assert "--nworkers 3" in lines[-1]


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("10:30", 10.5), ("02:00:00", 120), ("1-0", 1440), ("1-12:30", 2190),
     ("2-00:00:30", 2880.5), ("two hours", 0), ("1:2:3:4", 0), ("", 0)],
)  # fmt: skip
def test_walltimes(text: str, minutes: float) -> None:
    assert walltime_minutes(text) == minutes


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[cluster]\nqueu = 'a'\n", "queu: no such key; did you mean 'queue'?"),
        ("[cluster]\njobs = 0\n", "jobs = 0: must be a whole number of at least 1"),
        ("[cluster]\nwalltime = 'long'\n", "walltime = 'long': must be as SLURM has it"),
        ("[cluster]\nmemory = 'much'\n", "memory = 'much': must be a size"),
        ("[cluster]\ncores = 2\nprocesses = 4\n", "a process needs a core"),
        ("[cluster]\nprocesses = 2\ngpus_per_job = 4\n", "one worker process for each GPU"),
        ("[cluster]\nqueue_minutes = nan\n", "queue_minutes"),
        ("queue = 'a'\n", "must hold one table"),
        ("[cluster\n", "not valid TOML"),
    ],
)
def test_configurations_that_cannot_be_used(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(text)
    with pytest.raises(InputFileError) as error:
        load_cluster_config(file)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


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
        assert list(tmp_path.glob(".dask-jobqueue.worker.key.*"))
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
        "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "1", "TILEDSIM_INTERFACE": "lo",
        "PATH": f"{here.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", TESTS / "examples" / "slurm.sh"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same_as_undisturbed(tmp_path / "image.zarr", load_summary(open_files(tmp_path / "image.zarr")))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "experiment.toml", "image.zarr", "slurm", "scheduler-7.log", "workers-7.log"
    }  # fmt: skip


def test_the_configuration_of_the_examples() -> None:
    assert load_cluster_config(TESTS / "examples" / "slurm.toml").jobs == 4


def test_slurm_refuses_a_job(tmp_path: Path, experiment: Experiment, here: standins.Slurm) -> None:
    (here.folder / "refuse").touch()
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    (tmp_path / "cluster.toml").write_text(SMALL)
    said = refusal(
        "run", "experiment.toml", "-o", "image.zarr", "--quiet", "--cluster", "slurm",
        "--cluster-config", "cluster.toml", cwd=tmp_path,
    )  # fmt: skip
    assert said.startswith("SLURM refuses the job: sbatch: error: Batch job submission failed")
    assert not (tmp_path / "image.zarr").exists()


def test_jobs_that_end_at_once(
    tmp_path: Path, here: standins.Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "ASK_SECONDS", 0.3)
    config = ClusterConfig(cores=1, memory="1GB", interface="lo", jobs=2, prologue=("exit 1",))
    with (
        pytest.raises(BackendError, match=r"of 2 job\(s\) none is left, and no worker came"),
        slurm_client(config, tmp_path),
    ):
        pass


def test_a_job_that_ends_is_submitted_again(
    tmp_path: Path, here: standins.Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "RENEW_SECONDS", 0.5)
    config = ClusterConfig(cores=1, memory="1GB", interface="lo", tls=False)
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "0.5s"}),
        slurm_client(config, tmp_path) as client,
    ):
        (group,) = here.running()
        os.killpg(group, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(here.jobs) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(here.jobs) == 2
        client.wait_for_workers(1, timeout=60)
    assert len((here.folder / "cancelled").read_text().split()) >= 1


def test_where_there_is_no_slurm(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    words = ["run", "experiment.toml", "-o", "image.zarr", "--quiet", "--cluster", "slurm"]
    assert "sbatch is not on PATH" in refusal(*words, cwd=tmp_path)


def test_cores_and_memory_must_be_said(here: standins.Slurm) -> None:
    with pytest.raises(BackendError, match="no cores of a job; give cores in the"):
        slurm.check_slurm(ClusterConfig(memory="1GB"))
    with pytest.raises(BackendError, match=r"jobqueue\.slurm\.memory in Dask's configuration"):
        slurm.check_slurm(ClusterConfig(cores=1))


def test_each_process_of_a_job_has_its_own_gpu(
    tmp_path: Path, here: standins.Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(here.programs, "nvidia-smi", standins.NVIDIA_SMI.format(numbers="0 1 2 3"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")  # as SLURM does in a job
    config = ClusterConfig(cores=2, memory="2GB", interface="lo", gpus_per_job=2, tls=False)
    with slurm_client(config, tmp_path) as client:
        client.wait_for_workers(2, timeout=60)
        shown = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        assert sorted(shown.values()) == ["1", "3"]


def test_a_slurm_that_does_not_answer(
    here: standins.Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While jobs wait nothing is concluded from it; before they are submitted it is an error."""
    for name in ("squeue", "sbatch"):
        standins.install(here.programs, name, "#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 0.2)

    cluster = SimpleNamespace(workers={0: SimpleNamespace(job_id="7")})
    assert slurm._jobs_in_queue(cluster) is None
    config = ClusterConfig(cores=1, memory="2GB", interface="lo")
    with (
        pytest.raises(BackendError, match=r"does not answer within 0\.2 s"),
        slurm_client(config, tmp_path),
    ):
        pass
