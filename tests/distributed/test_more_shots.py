"""A run goes on with more shots: what was there stays, and the rest is as in one run of all."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.distributed.conftest import image_bytes
from tests.distributed.forks import tiledsim
from tiledsim import scheduler, simulate
from tiledsim.errors import RunError, StoreError
from tiledsim.experiment import Experiment
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.store.files import open_files


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Workers in this process, for all tests."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False,
                     dashboard_address=None) as cluster,
        Client(cluster) as connected,
    ):  # fmt: skip
        yield connected


def campaign(count: int, **changes: Any) -> Experiment:
    panel = {"fast_axis": (0, 0, 1), "slow_axis": (0, -1, 0)}
    places = [{"origin_mm": (60, 3 - 4 * n, -3.0)} | panel for n in range(2)]
    parts: dict[str, Any] = {
        "beam": {"wavelength_A": 1.0, "fluence_photons_per_m2": 1e28},
        "crystal": {"cell_A_deg": (70, 80, 90, 90, 90, 90), "cells": (5, 5, 5), "shape": "gauss"},
        "structure_factors": {"default_F": 100.0},
        "detector": {"convention": "custom", "size_px": (24, 16), "pixel_mm": 0.25,
                     "panels": places},
        "background": {"layers": [{"material": "water", "thickness_mm": 0.1}]},
        "sampling": {"oversample": 1},
        "noise": {},
        "shots": {"seed": 3, "orientation": "random",
                  "columns": {"fluence_photons_per_m2": {"lognormal": (1e28, 0.5)},
                              "cell_a_A": {"normal": (70.0, 0.2)},
                              "sample_kind": {"choice": ("a", "b")}}},
    }  # fmt: skip
    parts |= changes
    return Experiment(**parts | {"shots": parts["shots"] | {"count": count}})


def plain(count: int) -> Experiment:
    """Shots that differ in their orientations alone."""
    return campaign(count, shots={"seed": 2, "orientation": "random"})


def images(store: Path) -> np.ndarray[Any, Any]:
    return np.asarray(scheduler.open(store)["image"].values)


@pytest.mark.parametrize("of", [campaign, plain])
@pytest.mark.parametrize(("before", "after"), [(3, 7), (1, 4)])
def test_a_finished_run_goes_on(
    tmp_path: Path, client: Any, of: Any, before: int, after: int
) -> None:
    store = tmp_path / "a.zarr"
    scheduler.run(of(before), store, client=client)
    first = image_bytes(store)
    summary = scheduler.run(of(after), store, client=client, resume=True)
    whole = scheduler.run(of(after), tmp_path / "b.zarr", client=client)
    assert image_bytes(store) == image_bytes(tmp_path / "b.zarr")
    kept = image_bytes(store)
    assert all(kept[name] == first[name] for name in first if "/c/" in name)
    assert summary.physical() == whole.physical()
    assert (summary.tiles, len(summary.sessions)) == (2 * after, 2)
    opened, anew = scheduler.open(store), scheduler.open(tmp_path / "b.zarr")
    assert opened.identical(anew.assign_attrs(opened.attrs))
    assert len(opened["shot"]) == after
    assert (images(store) == simulate(of(after))).all()
    verdict = verify(store)
    assert verdict.sound, verdict.text()
    geometry = [path / "geometry/crystal_A/c/0/0/0" for path in (store, tmp_path / "b.zarr")]
    assert geometry[0].read_bytes() == geometry[1].read_bytes()
    again = scheduler.run(of(after), store, client=client, resume=True)
    assert again.to_json() == summary.to_json()
    assert len(list((store / "run/scene").iterdir())) == 1


@pytest.mark.parametrize("step", ["", "write_crystals", "lengthen"])
def test_in_a_bucket(
    bucket: str, client: Any, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiledsim.scheduler.session.opening import extend

    location = f"s3://{bucket}/a.zarr"
    scheduler.run(campaign(2), location, client=client)
    if step:
        home: Any = extend.store if step == "lengthen" else extend
        done = getattr(home, step)

        def cut_short(*arguments: Any) -> None:
            done(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as broken:
            broken.setattr(home, step, cut_short)
            with pytest.raises(KeyboardInterrupt):
                scheduler.run(campaign(4), location, client=client, resume=True)
    summary = scheduler.run(campaign(4), location, client=client, resume=True)
    whole = scheduler.run(campaign(4), tmp_path / "b.zarr", client=client)
    assert summary.physical() == whole.physical()
    files = open_files(location)
    found = {
        key: hashlib.sha256(files.read(key) or b"").hexdigest() for key in files.keys("image/")
    }
    assert found == image_bytes(tmp_path / "b.zarr")
    opened, anew = scheduler.open(location), scheduler.open(tmp_path / "b.zarr")
    assert opened.identical(anew.assign_attrs(opened.attrs))


STEPS = ["save_scene", "write_shots", "write_crystals", "lengthen", "update_attributes"]


@pytest.mark.parametrize("step", STEPS)
def test_an_extension_that_was_cut_short_is_made_again(
    tmp_path: Path, client: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiledsim.scheduler.session.opening import extend

    store = tmp_path / "a.zarr"
    scheduler.run(campaign(2), store, client=client)
    home: Any = extend.store if step in STEPS[3:] else extend
    done = getattr(home, step)

    def cut_short(*arguments: Any, **named: Any) -> None:
        done(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(home, step, cut_short)
        with pytest.raises(KeyboardInterrupt):
            scheduler.run(campaign(3), store, client=client, resume=True)
    for look in (scheduler.open, verify):
        with pytest.raises(StoreError, match="being extended to 3 shots; a run with `resume`"):
            look(store)
    for other in (2, 5):
        with pytest.raises(StoreError, match="is being extended to 3 shots; resume"):
            scheduler.run(campaign(other), store, client=client, resume=True)
    scheduler.run(campaign(3), store, client=client, resume=True)
    assert (images(store) == simulate(campaign(3))).all()
    assert verify(store).sound


def test_an_unfinished_run_goes_on_with_more(
    tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiledsim.scheduler.session import task

    store = tmp_path / "a.zarr"
    begin = task.start_tile

    def failing(kernel: Any, scene: Any, tile: Any) -> Any:
        if (tile.shot, tile.panel) == (1, 0):
            raise RuntimeError("a fault")
        return begin(kernel, scene, tile)

    with monkeypatch.context() as broken:
        broken.setattr(task, "start_tile", failing)
        with pytest.raises(RunError, match="1 of 6 tiles failed"):
            scheduler.run(campaign(3), store, client=client, attempts=1)
    summary = scheduler.run(campaign(5), store, client=client, resume=True)
    assert (summary.session_tiles, summary.tiles) == (1 + 4, 10)
    assert (images(store) == simulate(campaign(5))).all()


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (campaign(2), "the experiment differs: shots.count"),
        (campaign(4, beam={"wavelength_A": 1.1}), "the experiment differs: beam"),
        (campaign(4, noise={"seed": 8}), "the experiment differs: noise"),
    ],
)
def test_what_is_no_longer_run_is_refused(
    tmp_path: Path, client: Any, other: Experiment, match: str
) -> None:
    store = tmp_path / "a.zarr"
    scheduler.run(campaign(3), store, client=client)
    before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file() and p.name != "lease"}
    with pytest.raises(StoreError, match=match):
        scheduler.run(other, store, client=client, resume=True)
    after = {p: p.read_bytes() for p in store.rglob("*") if p.is_file() and p.name != "lease"}
    assert after == before


def test_by_the_command_whatever_the_tile_and_the_workers(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(campaign(3).to_toml())
    for words in (
        ["a.zarr", "--threads", "2"],
        ["a.zarr", "--resume", "--set", "shots.count=6", "--workers", "2", "--threads", "1"],
        ["b.zarr", "--set", "shots.count=6", "--tile", "8", "8", "--threads", "1"],
    ):
        done = tiledsim("run", str(path), "-o", str(tmp_path / words[0]), "--backend", "cpu",
                        *words[1:])  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert image_bytes(tmp_path / "a.zarr") == image_bytes(tmp_path / "b.zarr")
    fewer = tiledsim("run", str(path), "-o", str(tmp_path / "a.zarr"), "--resume")
    assert fewer.returncode == 2
    assert "shots.count" in fewer.stderr
