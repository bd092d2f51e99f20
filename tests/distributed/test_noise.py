"""Counts in a store: the same while rendering and afterwards, whatever the tiles and workers."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.distributed.conftest import image_bytes, make_experiment
from tests.distributed.forks import refusal, tiledsim
from tiledsim import simulate
from tiledsim.detector_model.serial.detector import nanobragg_rows
from tiledsim.errors import RunError, StoreError
from tiledsim.experiment import Experiment, Noise, PointSpread
from tiledsim.scheduler import RunOptions, Where, add_noise, run
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.store.files import open_files

NOISE = Noise(
    seed=5, readout_adu=2.0, adc_adu=10.0, calibration_percent=3.0, flicker_percent=5.0,
    modules=(3, 2, 7, 20), point_spread=PointSpread(kind="fiber", fwhm_um=60.0, radius_px=5),
)  # fmt: skip


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return make_experiment(size_px=(614, 700), pixel_mm=0.2)


@pytest.fixture(scope="module")
def photons(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("photons") / "photons.zarr"
    run(experiment, store, fsync=False)
    return store


@pytest.fixture(scope="module")
def counts(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("counts") / "counts.zarr"
    run(experiment.replace(noise=NOISE), store, fsync=False)
    return store


def pixels(store: Path) -> np.ndarray:
    return np.asarray(zarr.open_array(store, path="image", mode="r")[:])


def test_while_rendering_afterwards_and_in_memory(
    experiment: Experiment, photons: Path, counts: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later.zarr"
    summary = add_noise(photons, later, NOISE)
    assert image_bytes(later) == image_bytes(counts)
    image = pixels(later)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, simulate(experiment.replace(noise=NOISE)))
    good = image[image != 65535].astype(float)
    assert summary.images[0].photons == good.sum()
    assert f"ADU in all {good.sum():.10g}" in summary.text()
    assert "photons in all" not in summary.text()
    assert verify(later).sound
    assert verify(counts).sound


def test_larger_tiles_and_more_workers(
    experiment: Experiment, counts: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.zarr"
    run(experiment.replace(noise=NOISE), other, fsync=False, tile=(700, 614), workers=2)
    assert image_bytes(other) == image_bytes(counts)


def test_an_unfinished_store(photons: Path, experiment: Experiment, tmp_path: Path) -> None:
    part = tmp_path / "part.zarr"
    run(experiment, part, fsync=False)
    Journal(open_files(part)).drop([1])
    with pytest.raises(StoreError, match=r"1 of 4 tiles are missing, the first shot 0 panel 0"):
        add_noise(part, tmp_path / "no.zarr", NOISE)
    assert not (tmp_path / "no.zarr").exists()
    plain = Noise(seed=5)
    add_noise(part, tmp_path / "partial.zarr", plain, partial=True)
    add_noise(photons, tmp_path / "whole.zarr", plain)
    found, whole = pixels(tmp_path / "partial.zarr"), pixels(tmp_path / "whole.zarr")
    assert (found[0, 0, :512, 512:] == 65535).all()
    found[0, 0, :512, 512:] = whole[0, 0, :512, 512:]
    np.testing.assert_array_equal(found, whole)


def test_command(photons: Path, counts: Path, tmp_path: Path) -> None:
    experiment = make_experiment().replace(noise=NOISE)
    (tmp_path / "noise.toml").write_text(experiment.to_toml())
    assert tomllib.loads(experiment.to_toml())["noise"]["seed"] == 5
    done = tiledsim(
        "noise", photons, "-o", "n.zarr", "--noise", "noise.toml", "--quiet", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert image_bytes(tmp_path / "n.zarr") == image_bytes(counts)
    done = tiledsim("noise", photons, "-o", "s.zarr", "--seed", "9", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (pixels(tmp_path / "s.zarr") != pixels(tmp_path / "n.zarr")).any()
    (tmp_path / "empty.toml").write_text("[beam]\nwavelength_A = 1.0\n")
    (tmp_path / "typo.toml").write_text("[noise]\nreadout = 1.0\n")
    for words, said in (
        (("noise", counts, "-o", "x.zarr"), "holds counts"),
        (("noise", photons, "-o", photons), "cannot be written over"),
        (("noise", photons, "-o", "x.zarr", "--seed", "-1"), "--seed"),
        (("noise", photons, "-o", "x.zarr", "--noise", "empty.toml"), "no [noise] table"),
        (("noise", photons, "-o", "x.zarr", "--noise", "typo.toml"), "readout_adu"),
        (("noise", "nothing.zarr", "-o", "x.zarr"), "does not exist"),
    ):
        assert said in refusal(*words, cwd=tmp_path)
    assert not (tmp_path / "x.zarr").exists()


def test_too_bright_to_count(experiment: Experiment, tmp_path: Path) -> None:
    beam = experiment.beam.model_copy(update={"fluence_photons_per_m2": 1e300})
    bright = experiment.replace(beam=beam, noise=Noise())
    with pytest.raises(RunError, match="finite"):
        run(bright, tmp_path / "x.zarr", fsync=False, attempts=1)


def test_the_serial_generator_of_c_parity(
    experiment: Experiment, photons: Path, tmp_path: Path
) -> None:
    flags = ("--mode", "c-parity", "--seed", "7", "--quiet")
    done = tiledsim("noise", photons, "-o", "one.zarr", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    image = np.array(pixels(photons)[0, 0])
    drawn = np.concatenate(
        [rows.pixels for rows in nanobragg_rows(image, (0, 613, 0, 699), 0.0, 7)]
    )
    np.testing.assert_array_equal(pixels(tmp_path / "one.zarr")[0, 0], drawn)
    assert verify(tmp_path / "one.zarr").sound
    other = RunOptions(fsync=False, tile=(700, 614), where=Where(workers=2))
    add_noise(photons, tmp_path / "two.zarr", mode="c-parity", seed=7, options=other)
    assert image_bytes(tmp_path / "two.zarr") == image_bytes(tmp_path / "one.zarr")
    parity = tmp_path / "parity.zarr"
    run(experiment.replace(mode="c-parity"), parity, fsync=False)
    add_noise(parity, tmp_path / "by-mode.zarr", Noise(seed=7))
    about = zarr.open_group(tmp_path / "by-mode.zarr", mode="r").attrs.asdict()
    assert tomllib.loads(str(about["experiment"]))["noise"]["mode"] == "c-parity"
    Journal(open_files(parity)).drop([1])
    with pytest.raises(StoreError, match="whole images"):
        add_noise(parity, tmp_path / "no.zarr", partial=True)
    for words, said in (
        (("noise", photons, "-o", "x.zarr", "--mode", "C"), "--mode C"),
        (("noise", photons, "-o", "x.zarr", "--mode", "c-parity", "--noise", "m.toml"), "modules"),
    ):
        (tmp_path / "m.toml").write_text("[noise]\nmodules = [2, 1, 2]\n")
        assert said in refusal(*words, cwd=tmp_path)
