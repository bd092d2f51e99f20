"""One process for each GPU, with a stand-in for nvidia-smi: no kernel runs, no GPU is needed."""

import os
import time
from pathlib import Path

import psutil
import pytest

from tests.distributed import standins
from tests.distributed.forks import refusal
from tiledsim.errors import BackendError
from tiledsim.experiment import Experiment
from tiledsim.scheduler.cluster.choose import choose_place
from tiledsim.scheduler.cluster.gpus import GPU_THREADS, choose_gpus, environment_of
from tiledsim.scheduler.cluster.local import gpu_client
from tiledsim.scheduler.launch import choose_workers
from tiledsim.scheduler.options import Where


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with GPUs 0 and 1."""
    folder = tmp_path / "bin"
    folder.mkdir()
    standins.install(folder, "nvidia-smi", standins.NVIDIA_SMI.format(numbers="0 1"))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [("all", ("0", "1")), ("1", ("0",)), ("2", ("0", "1")), ("1,", ("1",)), ("1,0", ("1", "0")),
     ("0,0,0", ("0", "0", "0"))],
)  # fmt: skip
def test_choices(two: Path, asked: str, chosen: tuple[str, ...]) -> None:
    assert choose_gpus(asked) == chosen


def test_a_gpu_by_its_uuid(two: Path) -> None:
    assert choose_gpus("GPU-1-5e3a") == ("GPU-1-5e3a",)
    assert choose_gpus("GPU-1,GPU-0-5e3a") == ("GPU-1", "GPU-0-5e3a")
    assert environment_of("GPU-1")["CUDA_VISIBLE_DEVICES"] == "GPU-1-5e3a"
    slice_of_one = "MIG-e5ab3ee8-5b8a-5a4b-a14a-8d01a0bd6e2f"
    assert choose_gpus(slice_of_one) == (slice_of_one,)
    assert environment_of(slice_of_one)["CUDA_VISIBLE_DEVICES"] == slice_of_one


@pytest.mark.parametrize("asked", ["3", "0", "2,", "0,2", "GPU-9,", "some", ",", ""])
def test_gpus_that_are_not_there(two: Path, asked: str) -> None:
    with pytest.raises(BackendError, match=r"0, 1"):
        choose_gpus(asked)


def test_names_as_the_environment_allows(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-0-5e3a,GPU-1-5e3a")
    assert choose_gpus("1") == ("GPU-0-5e3a",)
    assert choose_gpus("GPU-1-5e3a,") == ("GPU-1-5e3a",)
    with pytest.raises(BackendError, match="visible are GPU-0-5e3a, GPU-1-5e3a"):
        choose_gpus("0,1")


def test_without_gpus(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "experiment.toml").write_text(experiment.to_toml())
    for words in (["--gpus", "all"], ["--cluster", "cuda"]):
        said = refusal("run", "experiment.toml", "-o", "a.zarr", "--quiet", *words, cwd=tmp_path)
        assert "no NVIDIA GPU is visible" in said
    assert not (tmp_path / "a.zarr").exists()


def test_the_backend_follows_the_gpus(two: Path) -> None:
    place = choose_place(Where(gpus="2"))
    assert (place.kind, place.workers, place.threads) == ("cuda", 2, GPU_THREADS)
    with pytest.raises(BackendError, match="`backend=cpu` on workers with GPUs"):
        choose_workers("cpu", "float64", Where(gpus="2"))


@pytest.mark.parametrize("option", ["workers", "threads"])
def test_processes_are_not_counted_by_hand(two: Path, option: str) -> None:
    with pytest.raises(BackendError, match="`gpus=0,0` puts two on one GPU"):
        choose_place(Where(**{"gpus": "2", option: 2}))  # type: ignore[arg-type]


def shown(client: object) -> dict[str, tuple[int, str | None, str | None]]:
    """By the name of each worker: its process, and the GPUs that it sees."""
    run = client.run  # type: ignore[attr-defined]
    names = {a: w["name"] for a, w in client.scheduler_info()["workers"].items()}  # type: ignore[attr-defined]
    pids = run(os.getpid)
    devices = run(os.getenv, "CUDA_VISIBLE_DEVICES")
    orders = run(os.getenv, "CUDA_DEVICE_ORDER")
    return {names[a]: (pids[a], devices[a], orders[a]) for a in pids}


def test_each_process_keeps_its_gpu(two: Path) -> None:
    with gpu_client(choose_gpus("0,1,1")) as client:
        client.wait_for_workers(3, timeout=60)
        before = shown(client)
        assert {name: gpu for name, (_, gpu, _) in before.items()} == {
            "gpu-0": "GPU-0-5e3a", "gpu-1.0": "GPU-1-5e3a", "gpu-1.1": "GPU-1-5e3a"
        }  # fmt: skip
        assert {order for _, _, order in before.values()} == {"PCI_BUS_ID"}
        assert set(client.nthreads().values()) == {GPU_THREADS}
        psutil.Process(before["gpu-1.1"][0]).kill()
        deadline = time.monotonic() + 60
        after = before
        while time.monotonic() < deadline:
            time.sleep(0.2)
            if client.nthreads().keys() and len(client.nthreads()) == 3:
                after = shown(client)
                if after["gpu-1.1"][0] != before["gpu-1.1"][0]:
                    break
        assert after["gpu-1.1"][0] != before["gpu-1.1"][0]
        assert {name: gpu for name, (_, gpu, _) in after.items()} == {
            name: gpu for name, (_, gpu, _) in before.items()
        }
        listening = {
            connection.laddr.ip
            for process in (psutil.Process(), *psutil.Process().children(recursive=True))
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
