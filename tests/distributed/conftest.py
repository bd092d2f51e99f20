"""Experiments, undisturbed runs and faults for the distributed tests."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.session.collaborators import Collaborators
from tiledsim.scheduler.store.layout import Layout

TESTS = Path(__file__).resolve().parents[2]


def make_experiment(**detector: Any) -> Experiment:
    """An image of 6 x 5 shards with spots on it, cheap to render."""
    return Experiment(
        beam={"wavelength_A": 1.0},
        crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (9, 8, 7),
                 "misset_deg": (10, 20, 30)},
        structure_factors={"default_F": 100.0},
        detector={"size_px": (2200, 2700), "pixel_mm": 0.05} | detector,
        sampling={"oversample": 1},
    )  # fmt: skip


def image_bytes(store: Path) -> dict[str, str]:
    """Hashes of the shards of a store, by their path."""
    shards = sorted(p for p in (store / "image").rglob("*") if p.is_file())
    return {str(p.relative_to(store)): hashlib.sha256(p.read_bytes()).hexdigest() for p in shards}


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    return make_experiment()


@pytest.fixture(scope="session")
def undisturbed(
    experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Summary]:
    store = tmp_path_factory.mktemp("undisturbed") / "image.zarr"
    return store, run(experiment, store, fsync=False)


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that tells the faulty renderer what to do; workers inherit where it is."""
    folder = tmp_path / "faults"
    folder.mkdir()
    monkeypatch.setenv("TILEDSIM_TEST_FAULTS", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return folder


@pytest.fixture
def same_as_undisturbed(
    undisturbed: tuple[Path, Summary],
) -> Callable[[Path, Summary], None]:
    def check(store: Path, summary: Summary) -> None:
        expected_store, expected = undisturbed
        assert image_bytes(store) == image_bytes(expected_store)
        assert summary.images == expected.images
        assert summary.photons == expected.photons
        assert summary.tiles == expected.tiles

    return check


def tiny_tiles(edge: int) -> tuple[Experiment, Collaborators]:
    """Make an experiment, and who cuts it into edge² tiles of one shard of 16 x 16 pixels."""
    size = 16 * edge
    layout = Layout((1, 1, size, size), (16, 16), (16, 16), (16, 16))
    return make_experiment(size_px=(size, size)), Collaborators(cut=lambda scene, tile: layout)
