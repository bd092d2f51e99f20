"""Runs on workers with GPUs, the GPUs being this processor: the same bytes, however many there are.

The processes, their environment, what is lost with a GPU and what is written are real.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client, Nanny, Scheduler, SpecCluster

from tests.gpu import shim_workers
from tests.gpu.shim_device import COMPILER, ShimDevice
from tiledsim.errors import BackendError, RunError
from tiledsim.experiment import Experiment
from tiledsim.kernels import choice
from tiledsim.kernels.cuda.backend import CudaBackend, device_bytes
from tiledsim.reference.trace import trace
from tiledsim.scheduler import launch, run
from tiledsim.scheduler import open as open_store
from tiledsim.scheduler.results.summary import Summary
from tiledsim.scheduler.session import driver
from tiledsim.scheduler.session.events import TileFailed, TileRetried, WorkerDismissed
from tiledsim.scheduler.session.plan import make_plan
from tiledsim.scheduler.store import files
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.layout import choose_layout
from tiledsim.tile import Tile

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")
ROOT = Path(__file__).resolve().parents[2]

EXPERIMENT = Experiment.model_validate(
    {
        "beam": {"wavelength_A": 1.2},
        "crystal": {"cell_A_deg": (50, 60, 70, 80, 95, 100), "cells": (5, 5, 5)},
        "structure_factors": {"default_F": 100},
        "detector": {"size_px": (1100, 1100), "pixel_mm": 0.2, "distance_mm": 90},
    }
)


@pytest.fixture(autouse=True)
def shim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '0, GPU-aa'\necho '1, GPU-bb'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for module, name, value in shim_workers.patches():
        monkeypatch.setattr(module, name, value)
    choice.make_backend.cache_clear()
    with dask.config.set({"distributed.worker.preload": ["tests.gpu.shim_workers"]}):
        yield
    choice.make_backend.cache_clear()


def outcome(folder: Path, **options: Any) -> tuple[dict[str, bytes], Summary]:
    summary = run(EXPERIMENT, folder, fsync=False, **options)
    root = folder / "image"
    shards = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    return shards, summary


def test_the_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    results = [
        outcome(tmp_path / f"{number}.zarr", gpus=gpus)
        for number, gpus in enumerate(("1", "0,1,0"))
    ]
    assert [summary.workers_count for _, summary in results] == [1, 3]
    for shards, summary in results[1:]:
        assert shards == results[0][0]
        assert summary.images == results[0][1].images
    image = open_store(tmp_path / "0.zarr")["image"][0, 0].to_numpy()
    scene = launch.build_scene(EXPERIMENT)
    direct = CudaBackend("float64", ShimDevice()).render(scene, Tile(0, 0, 0, 1100, 0, 1100))
    assert (image == direct.astype(np.float32)).all()
    assert results[0][1].images[0].photons == pytest.approx(image.sum(dtype=float), rel=1e-12)


def test_auto_takes_every_gpu_and_the_store_names_them(tmp_path: Path) -> None:
    _, summary = outcome(tmp_path / "a.zarr")
    assert summary.workers_count == 2
    about = store.read_attributes(files.open_files(tmp_path / "a.zarr"))
    assert about["backend"] == "cuda"
    assert about["kernel"].startswith("float64 square uniform")
    assert [(d["shown"], d["workers"]) for d in about["devices"]] == [
        ("GPU-aa", "1"), ("GPU-bb", "1"),
    ]  # fmt: skip
    resumed = run(EXPERIMENT, tmp_path / "a.zarr", resume=True)
    assert resumed.images == summary.images


def test_a_traced_pixel_has_the_value_of_the_gpu() -> None:
    scene = launch.build_scene(EXPERIMENT)
    entries = trace(scene, 0, 400, 500, backend="cuda").entries
    traced = {entry.key: entry.value for entry in entries}
    image = CudaBackend("float64", ShimDevice()).render(scene, Tile(0, 0, 384, 448, 480, 512))
    assert traced["kernel_I_pixel"] == image[16, 20]
    assert traced["kernel_rel_delta"] < 1e-9


def test_the_plan_names_the_memory_of_a_gpu() -> None:
    scene = launch.build_scene(EXPERIMENT)
    layout = choose_layout(scene)
    plan = make_plan(scene, layout, workers=2, threads=1, backend="cuda", dtype="mixed")
    assert plan.device_bytes == device_bytes(scene, layout.tile_at(0), "mixed") > 0
    lines = dict(plan.lines())
    assert lines["GPU"].endswith("MiB of its memory")
    assert lines["workers"].endswith("cuda mixed")
    assert "time" not in lines  # how fast a GPU is shows with its first tile


def test_workers_are_not_for_gpus(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="give `backend=cpu`"):
        run(EXPERIMENT, tmp_path / "a.zarr", workers=3)
    assert not (tmp_path / "a.zarr").exists()
    assert outcome(tmp_path / "a.zarr", workers=1, backend="cpu")[1].workers_count == 1


def test_a_lost_gpu_costs_its_process_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, whole = outcome(tmp_path / "a.zarr", gpus="2")
    order = tmp_path / "lose"
    order.touch()
    monkeypatch.setenv("TILEDSIM_TEST_LOSE", str(order))
    shards, summary = outcome(tmp_path / "b.zarr", gpus="2")
    assert not order.exists()
    assert summary.lost_workers == 1
    assert shards == expected
    assert summary.images == whole.images


def test_a_gpu_lost_for_good_charges_no_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new process finds no GPU: it would fail tiles faster than the other renders them."""
    order = tmp_path / "lose"
    order.write_text("for good")
    monkeypatch.setenv("TILEDSIM_TEST_LOSE", str(order))
    seen: list[Any] = []

    def hear(event: Any) -> None:
        seen.append(event)
        if isinstance(event, WorkerDismissed | TileFailed):
            (tmp_path / "go").touch()

    # More tiles than the threads of the other, so that some wait for it.
    _, summary = outcome(tmp_path / "b.zarr", gpus="2", tile=(512, 512), callbacks=(hear,))
    assert not order.exists()
    assert summary.lost_workers >= 1
    assert not [event for event in seen if isinstance(event, TileRetried | TileFailed)]
    (dismissed,) = (event for event in seen if isinstance(event, WorkerDismissed))
    (grave,) = tmp_path.glob("lost-*")
    assert dismissed.worker == {"lost-GPU-aa": "gpu-0", "lost-GPU-bb": "gpu-1"}[grave.name]
    assert "no CUDA-capable device" in dismissed.reason


def test_when_the_last_gpu_is_lost_the_run_ends_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "WORKERLESS_SECONDS", 2.0)
    order = tmp_path / "lose"
    order.write_text("for good")
    monkeypatch.setenv("TILEDSIM_TEST_LOSE", str(order))
    with pytest.raises(
        RunError, match=r"no worker is left that can render; gpu-0 said: .*detected"
    ):
        run(EXPERIMENT, tmp_path / "b.zarr", fsync=False, gpus="1")
    order.with_name("lost-GPU-aa").unlink()
    resumed = run(EXPERIMENT, tmp_path / "b.zarr", fsync=False, gpus="1", resume=True)
    assert resumed.tiles == 4


@contextmanager
def half_with_gpus() -> Iterator[Client]:
    """Two workers, one with a GPU and one without; numbered as dask_cuda.LocalCUDACluster does,
    which shows each of them all GPUs, its own first.
    """
    settings = {"host": "127.0.0.1", "dashboard_address": None, "nthreads": 4,
                "silence_logs": logging.CRITICAL}  # fmt: skip
    first, second = {"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "1,0"}
    workers = {
        0: {"cls": Nanny, "options": settings | {"env": first}},
        1: {"cls": Nanny, "options": settings | {"env": second | {"TILEDSIM_TEST_NO_GPU": "1"}}},
    }
    listening = {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": listening}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 10}),
        SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2)
        yield client


def test_clusters_of_both_kinds_are_refused_unless_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    with half_with_gpus() as client:
        with pytest.raises(BackendError, match=r"1 of 2 worker\(s\) can use CUDA, .* or any"):
            run(EXPERIMENT, target, client=client)
        with pytest.raises(BackendError, match=r"1 of 2 worker\(s\), such as .*no GPU"):
            run(EXPERIMENT, target, client=client, backend="cuda")
        with pytest.raises(BackendError, match="mixed"):
            run(EXPERIMENT, target, client=client, backend="any", dtype="mixed")
        assert not target.exists()
        _, summary = outcome(target, client=client, backend="any")
        _, cpu = outcome(tmp_path / "b.zarr", client=client, backend="cpu")
    assert {worker.worker for worker in summary.workers} <= {"0", "1"}
    assert summary.photons == pytest.approx(cpu.photons, rel=1e-7)
    about = store.read_attributes(files.open_files(target))
    assert about["backend"] == "any"
    assert [device["device"] for device in about["devices"]] == ["g++"]
