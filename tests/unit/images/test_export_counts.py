"""Exports of counts, of counts made on the way, and at the end of a run."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.unit.images.exports import make, pixels_of, tiledsim_run
from tiledsim import scheduler
from tiledsim.errors import ExperimentError, StoreError
from tiledsim.scheduler.export.export import export

COUNTED = {"poisson": True, "seed": 7, "gap_value": -5, "image": "int32", "bits": 3}


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A run with noise: its store, and where it has gaps and dead pixels [slow, fast]."""
    folder = tmp_path_factory.mktemp("counts")
    gaps, dead = np.zeros((2, 170, 300), dtype=bool)
    gaps[:, 100:110], dead[5, 7] = True, True
    np.save(folder / "gaps.npy", gaps)
    np.save(folder / "dead.npy", dead)
    noise = COUNTED | {"gap_file": folder / "gaps.npy", "dead_file": folder / "dead.npy"}
    tiledsim_run(make(noise=noise, shots={"count": 1}), folder / "run.zarr")
    return folder / "run.zarr", gaps, dead


def test_counts_have_gaps_and_saturation(
    counts: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    store, gaps, dead = counts
    stored = pixels_of(store)[0, 0]
    assert (stored == -5)[gaps].all()
    assert stored.max() == 7  # 3 bits: some are saturated
    wanted = np.where(gaps, -1, stored)
    export(store, tmp_path / "a.h5", truth=True)
    with h5py.File(tmp_path / "a.h5") as file:
        detector = file["/entry/instrument/detector"]
        np.testing.assert_array_equal(file["/entry/data/data"][0], wanted)
        np.testing.assert_array_equal(detector["pixel_mask"][...], gaps + 2 * dead)
        assert detector["saturation_value"][()] == 6
    panel = json.loads((tmp_path / "a.expt").read_text())["detector"][0]["panels"][0]
    assert panel["trusted_range"] == [-1.0, 6.0]
    export(store, tmp_path / "a.cbf")
    fabio = pytest.importorskip("fabio")
    with fabio.open(str(tmp_path / "a.cbf")) as file:
        np.testing.assert_array_equal(file.data, wanted)
    assert b"# Count_cutoff 6 counts" in (tmp_path / "a.cbf").read_bytes()
    export(store, tmp_path / "a.img")
    with fabio.open(str(tmp_path / "a.img")) as file:
        np.testing.assert_array_equal(file.data, np.where(gaps, 65535, stored))
    export(store, tmp_path / "a.npy", dtype="float32")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[0, 0], np.where(gaps, np.nan, stored))


def test_photons_are_counted_on_the_way(store: Path, tmp_path: Path) -> None:
    scheduler.add_noise(store, tmp_path / "counts.zarr", seed=3)
    export(store, tmp_path / "a.npy", with_noise=3)
    made = np.load(tmp_path / "a.npy")
    assert made.dtype == np.int32
    np.testing.assert_array_equal(made, pixels_of(tmp_path / "counts.zarr"))
    with pytest.raises(StoreError, match=r"holds counts .*leave out `with_noise`"):
        export(tmp_path / "counts.zarr", tmp_path / "b.npy", with_noise=3)
    with pytest.raises(ExperimentError, match="`with_noise=-1`: must be a whole number from 0"):
        export(store, tmp_path / "b.npy", with_noise=-1)


def test_what_is_missing_is_not_counted(unfinished: Path, tmp_path: Path) -> None:
    export(unfinished, tmp_path / "a.npy", partial=True, with_noise=1)
    made = np.load(tmp_path / "a.npy")[0, 0]
    assert (made[:512, 512:] == -1).all()
    assert (np.delete(made, np.s_[512:], axis=1) >= 0).all()


def test_a_run_exports_at_its_end(tmp_path: Path) -> None:
    small = make(detector={"size_px": (50, 40)}, shots={"count": 1})
    store, name = tmp_path / "run.zarr", tmp_path / "a.npy"
    scheduler.run(small, store, fsync=False, threads=1, export=name)
    np.testing.assert_array_equal(np.load(name), pixels_of(store))
    with pytest.raises(StoreError, match=r"a.npy exists; `overwrite`"):
        scheduler.run(small, store, fsync=False, threads=1, resume=True, export=name)
    name.unlink()
    scheduler.run(small, store, fsync=False, threads=1, resume=True, export=name)
    np.testing.assert_array_equal(np.load(name), pixels_of(store))
    brighter = small.replace(structure_factors={"default_F": 60.0})
    scheduler.run(brighter, store, fsync=False, threads=1, overwrite=True, export=name)
    np.testing.assert_array_equal(np.load(name), pixels_of(store))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.xyz", "its ending names no format"),
        ("no/a.h5", "no is no folder"),
        ("old.npy", "old.npy exists"),
        ("a.img", "cbf and nxmx can say where it stands"),
    ],
)
def test_what_cannot_be_exported_is_not_rendered(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "old.npy").write_bytes(b"old")
    tilted = make(detector={"size_px": (50, 40), "rotation_deg": (3.0, 0.0, 0.0)})
    with pytest.raises((ExperimentError, StoreError), match=re.escape(said)):
        scheduler.run(tilted, tmp_path / "run.zarr", threads=1, export=tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["old.npy"]
