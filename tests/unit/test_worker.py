"""What a worker loads once, and lets go of."""

import gc
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.distributed.conftest import make_experiment
from tiledsim.build import build_scene
from tiledsim.scene import Scene
from tiledsim.scheduler import worker
from tiledsim.scheduler.files import open_files
from tiledsim.scheduler.launch import save_scene


def test_threads_load_a_scene_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load(folder: Path, scene_hash: str) -> object:
        loads.append(scene_hash)
        time.sleep(0.1)
        return object()

    monkeypatch.setattr(Scene, "load", load)
    threads = [threading.Thread(target=worker.scene_of, args=("/x", "0" * 64)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_a_copied_scene_goes_with_its_last_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = build_scene(make_experiment(size_px=(9, 9)))
    files = open_files("memory:///x")
    save_scene(files, scene)
    monkeypatch.setattr(worker, "open_files", lambda location: files)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    copy = worker.scene_of("memory:///x", scene.hash)
    assert copy.hash == scene.hash
    assert len(list(tmp_path.iterdir())) == 1
    del copy
    worker.scene_anew("memory:///x", scene.hash)
    gc.collect()
    assert len(list(tmp_path.iterdir())) == 1
