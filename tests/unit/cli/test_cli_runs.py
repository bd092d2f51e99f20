"""Runs through the command line: a good one, and every bad input in one line with no store left."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray

from tests.parity.golden import CASES
from tests.parity.test_golden import assert_parity
from tests.unit.command import refusal, tiledsim

EXPERIMENT = """
[beam]
wavelength_A = 1.0
[crystal]
cell_A_deg = [70, 80, 90, 75, 85, 95]
cells = [5, 5, 5]
[structure_factors]
default_F = 100
[detector]
size_px = [80, 60]
pixel_mm = 0.4
[sampling]
oversample = 1
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT)
    return path


def test_run_summary_resume_overwrite(experiment: Path, tmp_path: Path) -> None:
    store = tmp_path / "out.zarr"
    done = tiledsim("run", experiment, "-o", store)
    assert done.returncode == 0, done.stderr
    assert "shot 0 panel 0: max" in done.stdout
    for word in ("pixels", "steps", "tiles", "to write", "memory", "time"):
        assert f"\n{word}" in "\n" + done.stderr
    summary = json.loads(tiledsim("summary", store, "--json").stdout)
    with xarray.open_zarr(store, consolidated=False) as dataset:
        image = dataset["image"].values.astype(np.float64)
    assert summary["photons"] == pytest.approx(image.sum(), rel=1e-12)
    assert summary["images"][0]["maximum"] == image.max()
    assert "--overwrite" in refusal("run", experiment, "-o", store)
    assert tiledsim("run", experiment, "-o", store, "--resume").stdout == done.stdout
    assert tiledsim("run", experiment, "-o", store, "--overwrite", "--quiet").stderr == ""


@pytest.mark.parametrize("name", ["oversample3", "phi_mosaic_carryover", "hkl_default_F"])
def test_nanobragg_through_the_installed_command(name: str, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == name)
    script = Path(sys.executable).with_name("tiledsim")
    if not script.exists():
        pytest.skip("tiledsim is not installed beside this Python")
    out = tmp_path / "img.bin"
    subprocess.run(
        [script, "nanobragg", *case.argv, "-floatfile", out, "-intfile", "/dev/null", "-nopgm",
         "-nonoise"], cwd=case.inputs, check=True,
        capture_output=True,
    )  # fmt: skip
    golden = case.image()
    assert_parity(np.fromfile(out, dtype="<f4").reshape(golden.shape), golden)
    assert [path.name for path in tmp_path.iterdir()] == ["img.bin"]


def test_plan_counts(experiment: Path) -> None:
    plan = json.loads(tiledsim("plan", experiment, "--json").stdout)
    assert plan["pixels"] == plan["steps"] == 4800
    assert plan["bytes_to_write"] == 4 * 4800
    assert "tiles" in tiledsim("plan", experiment).stdout


BAD = {
    "an unknown key": ("size_px", "size_pixels", "size_px"),
    "no volume": ("75, 85, 95", "20, 40, 90", "close no volume"),
    "wavelength": ("wavelength_A = 1.0", "wavelength_A = 0", "wavelength_A"),
    "a negative wavelength": ("wavelength_A = 1.0", "wavelength_A = -1", "wavelength_A"),
    "distance": ("pixel_mm = 0.4", "distance_mm = 0", "distance_mm"),
    "pixel": ("pixel_mm = 0.4", "pixel_mm = nan", "pixel_mm"),
    "counts": ("cells = [5, 5, 5]", "cells = [5, 0, 5]", "cells"),
    "pivot": ("pixel_mm = 0.4", 'pivot = "corner"', "pivot"),
    "roi": ("pixel_mm = 0.4", "roi = [0, 80, 0, 10]", "roi"),
    "mode": ("[beam]", 'mode = "fast"\n[beam]', "mode"),
    "a missing file": ("default_F = 100", 'hkl_file = "none.hkl"', "none.hkl"),
    "few columns": ("default_F = 100", 'hkl_file = "short.hkl"', "line 2: 3 columns"),
    "not whole": ("default_F = 100", 'hkl_file = "half.hkl"', "not integers"),
    "not finite": ("default_F = 100", 'hkl_file = "nan.hkl"', "line 1: not finite"),
    "too large": ("default_F = 100", 'hkl_file = "wide.hkl"', "is an index mistyped"),
    "a mask of another size": (
        "pixel_mm = 0.4",
        'mask_file = "mask.npy"',
        "the detector is 60 x 80",
    ),
    "edge-on": ("pixel_mm = 0.4", "rotation_deg = [0, 90, 0]", "edge-on"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_experiments_leave_nothing(what: str, tmp_path: Path) -> None:
    (tmp_path / "short.hkl").write_text("1 2 3 4\n1 2 3\n")
    (tmp_path / "half.hkl").write_text("1 2 3.5 4\n")
    (tmp_path / "nan.hkl").write_text("1 2 3 nan\n")
    (tmp_path / "wide.hkl").write_text("0 0 0 1\n900000 900000 900000 1\n")
    np.save(tmp_path / "mask.npy", np.ones((10, 10)))
    old, new, named = BAD[what]
    assert old in EXPERIMENT
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT.replace(old, new))
    assert named in refusal("run", path, "-o", tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--backend", "cuda"], "cuda"),
        (["--backend", "gpu"], "auto, cpu, cuda"),
        (["--dtype", "mixed", "--backend", "cpu"], "float64"),
        (["--mode", "exact"], "spec or c-parity"),
        (["--quirks", "cell_cstr"], "cell_cstar"),
        (["--tile", "0", "5"], "at least 1"),
        (["--scheduler", "tcp://127.0.0.1:1"], "does not answer"),
        (["--scheduler", "head"], "'head' is no address of a scheduler; give one such as tcp://"),
    ],
)
def test_bad_options_leave_nothing(
    experiment: Path, tmp_path: Path, words: list[str], named: str
) -> None:
    assert named in refusal("run", experiment, "-o", tmp_path / "out.zarr", *words)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["-lamda", "1"], "-lambda"),
        (["-pgmfile", "nowhere/x.pgm"], "nowhere/x.pgm: cannot be written; its folder must exist"),
        (["-noisefile", "same.img", "-intfile", "same.img"], "names the same file"),
        (["-intfile", "/"], "-intfile /: cannot be written"),
        (["-printout_pixel", "20", "0"], "20"),
        (["-floatfile", "nowhere/img.bin"], "folder must exist"),
        (["-hkl", "P1.hkl", "-dump", "nowhere/F.bin"], "folder must exist"),
        (["--resume"], "--zarr"),
    ],
)
def test_bad_flags_leave_nothing(tmp_path: Path, flags: list[str], named: str) -> None:
    cell = ["-cell", "70", "80", "90", "75", "85", "95"]
    base = [*cell, "-default_F", "100", "-N", "5", "-detpixels", "20"]
    assert named in refusal("nanobragg", *base, *flags, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_heavy_automatic_oversampling_is_announced(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(
        EXPERIMENT.replace("oversample = 1", "").replace("cells = [5, 5, 5]", "cells = [300, 5, 5]")
    )
    assert "oversampling" in tiledsim("plan", path).stderr


def test_every_image_has_nanobraggs_default_name(tmp_path: Path) -> None:
    flags = ["-cell", "70", "-default_F", "1", "-N", "5", "-detpixels", "8", "-oversample", "1"]
    done = tiledsim("nanobragg", *flags, "-seed", "7", "-adc", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = ["floatimage.bin", "image.pgm", "intimage.img", "noiseimage.img"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert "\n  seed: -7\n" in done.stdout
