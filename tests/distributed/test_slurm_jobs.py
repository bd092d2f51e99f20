"""SLURM's jobs without a SLURM: their configuration, script and keys, and workers that leave."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import dask
import dask_jobqueue  # noqa: F401  its defaults must be there before a test sets others
import pytest
from distributed import Client, Nanny, Scheduler, SpecCluster, get_worker

from tests.distributed.conftest import TESTS
from tiledsim.errors import BackendError, InputFileError
from tiledsim.scheduler.cluster.gpus import GPU_THREADS
from tiledsim.scheduler.cluster.slurm.config import (
    ClusterConfig,
    load_cluster_config,
    walltime_minutes,
)
from tiledsim.scheduler.cluster.slurm.keys import shared_keys
from tiledsim.scheduler.cluster.slurm.script import job_name, job_of, job_script


def script_of(config: ClusterConfig, keys: Path | None = None) -> list[str]:
    protocol = "tls" if config.tls else "tcp"
    return job_script(config, f"{protocol}://127.0.0.1:8786", "tiledsim-a", keys).splitlines()


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
                      "-J tiledsim-a", "-t 02:00:00", "-e logs/tiledsim-a-%J.err",
                      "--exclusive"):  # fmt: skip
        assert f"#SBATCH {directive}" in lines
    assert lines[-2] == "module load python"
    words = lines[-1].split()
    assert words[:4] == ["/opt/python/bin/python", "-m", "distributed.cli.dask_worker", words[3]]
    assert words[3].startswith("tls://")
    for option in ("--nthreads 8", "--nworkers 4", "--leave-after 6900",
                   "--leave-spread 690", "--interface lo",
                   "--dashboard-address 127.0.0.1:0", "--local-directory $TMPDIR",
                   "--protocol tls://", f'--tls-key "{tmp_path}/key.pem"',
                   "--name job-$SLURM_JOB_ID"):  # fmt: skip
        assert option in lines[-1]


def test_ctrl_c_stays_what_it_was() -> None:
    """Importing dask-jobqueue makes SIGINT exit with status 0."""
    code = (
        "import signal, sys, tiledsim.scheduler.cluster.slurm.script as slurm\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "slurm.import_jobqueue()\n"
        "assert 'dask_jobqueue' in sys.modules\n"
        "assert signal.getsignal(signal.SIGINT) is before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_off_the_main_thread_in_one_line() -> None:
    code = (
        "import threading, tiledsim.scheduler.cluster.slurm.script as slurm\n"
        "def work():\n"
        "    try:\n"
        "        slurm.import_jobqueue()\n"
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
    leaves = {"preload": ["tiledsim.scheduler.cluster.slurm.leave_in_time"],
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
    with shared_keys(tmp_path, wanted=True) as keys:
        (folder,) = tmp_path.iterdir()
        assert keys.folder == folder
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {file.name for file in folder.iterdir()} == {"cert.pem", "key.pem"}
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert not list(tmp_path.iterdir())
    with (
        pytest.raises(BackendError, match=r"no keys can be written to .*none: No such file"),
        shared_keys(tmp_path / "none", wanted=True),
    ):
        pass


@pytest.mark.parametrize(
    ("store", "name"),
    [("/data/image.zarr", "tiledsim-image.zarr"),
     ("s3://bucket/a b/run 1.zarr/", "tiledsim-run-1.zarr"),
     ("/data/$(rm -r x)", "tiledsim-rm-r-x"), ("", "tiledsim")],
)  # fmt: skip
def test_names_of_jobs(store: str, name: str) -> None:
    assert job_name(store) == name


def test_jobs_of_workers() -> None:
    names = {"job-12": "12", "job-12-3": "12", "job-7.1": "7", "job-7.1-0": "7"}
    assert {name: job_of(name) for name in names} == names
    assert job_of("tcp://127.0.0.1:1") is None


def test_keys_in_a_folder_with_spaces(tmp_path: Path) -> None:
    keys = tmp_path / 'my "own" runs'
    lines = script_of(ClusterConfig(cores=1, memory="1GB"), keys)
    said = subprocess.run(
        ["bash", "-c", 'printf "%s\\n" ' + lines[-1]], capture_output=True, text=True, check=True
    )
    assert f"{keys}/key.pem" in said.stdout.splitlines()


def test_without_tls() -> None:
    lines = script_of(ClusterConfig(cores=1, memory="1GB", interface="lo", tls=False))
    assert " tcp://" in lines[-1]
    assert "--tls" not in lines[-1]


def test_gpus_of_a_job() -> None:
    config = ClusterConfig(cores=16, memory="64GB", gpus_per_job=4, interface="lo")
    lines = script_of(config)
    assert "#SBATCH --gres=gpu:4" in lines
    assert "export CUDA_DEVICE_ORDER=PCI_BUS_ID" in lines
    assert "#SBATCH --cpus-per-task=16" in lines
    for option in (
        f"--nthreads {GPU_THREADS}",
        "--nworkers 4",
        "--preload tiledsim.scheduler.cluster.slurm.one_gpu",
    ):
        assert option in lines[-1]
    assert (config.worker_processes, config.worker_threads) == (4, GPU_THREADS)
    one = script_of(ClusterConfig(cores=4, memory="8GB", gpus_per_job=1, interface="lo"))
    assert "one_gpu" not in one[-1]
    typed = config.model_copy(update={"directives": ("--gres=gpu:a100:4",)})
    assert [line for line in script_of(typed) if "gres" in line] == ["#SBATCH --gres=gpu:a100:4"]


def test_dasks_own_configuration() -> None:
    own = {"jobqueue.slurm.cores": 6, "jobqueue.slurm.memory": "6GB", "jobqueue.slurm.queue": "q",
           "jobqueue.slurm.processes": 3}  # fmt: skip
    with dask.config.set(own):
        config = ClusterConfig(interface="lo")
        assert (config.worker_processes, config.worker_threads) == (3, 2)
        lines = script_of(config)
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


def test_the_configuration_of_the_examples() -> None:
    assert load_cluster_config(TESTS / "examples" / "slurm.toml").jobs == 4
