"""What a worker loads once, and lets go of."""

import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.distributed.conftest import make_experiment
from tiledsim.kernels import Backend, get_backend
from tiledsim.kernels.cuda.backend import LostDeviceError
from tiledsim.kernels.rendered import Rendered
from tiledsim.pixel_statistics import reduce_rows
from tiledsim.scene import files as scene_files
from tiledsim.scene.build import build_scene
from tiledsim.scheduler.journal.tile_record import TileFailure, Unfit
from tiledsim.scheduler.session import task as worker
from tiledsim.scheduler.session.opening.create import save_scene
from tiledsim.scheduler.session.task import Job
from tiledsim.scheduler.store.files import ObjectFiles
from tiledsim.scheduler.store.layout import Layout
from tiledsim.tile import Tile


def test_threads_load_a_scene_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load(folder: Path, scene_hash: str) -> object:
        loads.append(scene_hash)
        time.sleep(0.1)
        return object()

    monkeypatch.setattr(scene_files, "read_scene", load)
    threads = [threading.Thread(target=worker.scene_of, args=("/x", "0" * 64)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_a_copied_scene_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = build_scene(make_experiment(size_px=(9, 9)))
    files = ObjectFiles("memory:///x")
    save_scene(files.writer("mark", lambda: None), scene)
    monkeypatch.setattr(worker, "open_files", lambda location: files)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    copy = worker.scene_of("memory:///x", scene.hash)
    assert copy.hash == scene.hash
    assert not list(tmp_path.iterdir())
    pixels, _ = get_backend("cpu", "float64").render_bounded(copy, Tile(0, 0, 0, 9, 0, 9))
    assert pixels.max() > 0


def test_a_worker_of_another_version_renders_nothing(tmp_path: Path) -> None:
    """Such a one may join a run that has begun."""
    layout = Layout((1, 1, 9, 9), (9, 9), (9, 9), (9, 9))
    job = Job(str(tmp_path), "run", "0" * 64, layout, "cpu", "float64", False, version="9.9.9")
    (refusal,) = worker.render_tiles(job, [(0, 1), (1, 1)])
    assert isinstance(refusal, Unfit)
    assert refusal.reason.endswith("the run 9.9.9; install the same")


def test_a_worker_without_its_backend_touches_no_tile(tmp_path: Path) -> None:
    def none(backend: str, dtype: str) -> Backend:
        raise RuntimeError("libcuda.so.1: a broken file\nand more")

    layout = Layout((1, 1, 9, 9), (9, 9), (9, 9), (9, 9))
    job = Job(str(tmp_path), "run", "0" * 64, layout, "cuda", "float64", False)
    (refusal,) = worker.render_tiles(job, [(0, 1)], none)
    assert refusal == Unfit(refusal.worker, "RuntimeError: libcuda.so.1: a broken file")


def test_a_gpu_that_is_lost_ends_the_use_of_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no nanny starts another process."""

    class Renderer:
        ahead = 1

        def start(self, scene: object, tile: Tile) -> "Renderer":
            return self

        def result(self) -> Rendered:
            raise LostDeviceError("cudaErrorIllegalAddress")

    described = SimpleNamespace(
        shape=(1, 1, 27, 9), noise=None, amorphous_table=None, absorption=None
    )
    monkeypatch.setattr(worker, "scene_of", lambda *_: described)
    layout = Layout((1, 1, 27, 9), (9, 9), (9, 9), (9, 9))
    job = Job(str(tmp_path), "run", "0" * 64, layout, "cuda", "float64", False)
    results = worker.render_tiles(job, [(0, 1), (1, 1), (2, 1)], lambda *_: Renderer())  # type: ignore[arg-type,return-value]
    (failure,) = results
    assert isinstance(failure, TileFailure)
    assert failure.ends_the_worker


def test_a_tile_on_its_way_is_waited_for_before_anything_can_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A GPU would still write into its memory, which is another tile's by then."""
    waited: list[Tile] = []

    class Renderer:
        ahead = 1

        def start(self, scene: object, tile: Tile) -> "Renderer":
            self.tile = tile
            return self

        def result(self) -> Rendered:
            waited.append(self.tile)
            pixels = np.zeros((9, 9), np.float32)
            return Rendered(pixels, reduce_rows(pixels, 0, 9), 0.0)

    def gone(location: str, layout: Layout, run: str) -> None:
        raise OSError("gone")

    monkeypatch.setattr(worker, "image_of", gone)
    monkeypatch.setattr(
        worker,
        "scene_of",
        lambda *_: SimpleNamespace(
            shape=(1, 1, 9, 9), roi=(0, 8, 0, 8), noise=None, amorphous_table=None, absorption=None
        ),
    )
    layout = Layout((1, 1, 9, 9), (9, 9), (9, 9), (9, 9))
    job = Job("/x", "run", "0" * 64, layout, "cuda", "float64", False)
    (failure,) = worker.render_tiles(job, [(0, 1)], lambda backend, dtype: Renderer())  # type: ignore[arg-type,return-value]
    assert isinstance(failure, TileFailure)
    assert waited == [layout.tile_at(0)], failure


def test_what_failed_is_one_line_and_the_rest_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("first line\n\nand many more")

    monkeypatch.setattr(worker, "scene_of", fails)
    layout = Layout((1, 1, 9, 9), (9, 9), (9, 9), (9, 9))
    (failure,) = worker.render_tiles(
        Job("/x", "run", "0" * 64, layout, "cpu", "float64", False), [(0, 1)]
    )
    assert isinstance(failure, TileFailure)
    assert failure.error == "ValueError: first line"
    assert "and many more" in failure.log
