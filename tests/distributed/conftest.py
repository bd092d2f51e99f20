"""Experiments, undisturbed runs and faults for the distributed tests."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.session.collaborators import Collaborators
from tiledsim.scheduler.store.layout import Layout

TESTS = Path(__file__).resolve().parents[2]
KEY_ID, SECRET = "AKIATILEDSIMTEST", "s3cr3t/tiledsim+test"
"""Of the S3 server of tests."""


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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An S3 server: its address, and the folder of its log and orders."""
    folder = tmp_path_factory.mktemp("s3")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.distributed.s3_server", folder],
        cwd=TESTS, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", folder
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def orders(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of the server's users; the folder of its log and orders."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server[0])
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return server[1]


@pytest.fixture
def bucket(orders: Path, request: pytest.FixtureRequest) -> str:
    """A new bucket."""
    import boto3

    name = "b" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket=name)
    return name
