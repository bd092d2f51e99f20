"""DIALS opens what tiledsim exports, reads every pixel and number of it, and processes it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tiledsim import scheduler
from tiledsim.experiment import Experiment
from tiledsim.scheduler.export.export import export

PYTHON = "/usr/bin/python3"
HERE = Path(__file__).parent
HEWL = HERE.parents[2] / "shared/formats/p1/HEWL_refined.mtz"

pytestmark = [
    pytest.mark.dials,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        shutil.which("dials.import", path="/usr/bin") is None,
        reason="DIALS is not installed (Debian's package dials)",
    ),
]


def dials(*words: str | Path, cwd: Path) -> str:
    """Run a program of DIALS, or a script in its Python, and return what it printed."""
    hdf5plugin = pytest.importorskip("hdf5plugin")
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "HDF5_PLUGIN_PATH": hdf5plugin.PLUGIN_PATH}
    if "TMPDIR" in os.environ:
        clean["TMPDIR"] = os.environ["TMPDIR"]
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


READ = """
import json, sys
import dxtbx
from dxtbx import flumpy
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
image = dxtbx.load(sys.argv[1])
number = int(sys.argv[2])
raw = image.get_raw_data(number) if number >= 0 else image.get_raw_data()
raw = raw if isinstance(raw, tuple) else (raw,)
np.savez(sys.argv[3], *[flumpy.to_numpy(part) for part in raw])
scan, goniometer, beam = image.get_scan(), image.get_goniometer(), image.get_beam()
print(json.dumps({
    "format": type(image).__name__,
    "panels": [[p.get_origin(), p.get_fast_axis(), p.get_slow_axis(), p.get_pixel_size(),
                p.get_image_size(), p.get_thickness(), p.get_material()]
               for p in image.get_detector()],
    "wavelength": beam.get_wavelength(), "to_source": beam.get_sample_to_source_direction(),
    "axis": goniometer and goniometer.get_rotation_axis(),
    "scan": scan and [scan.get_image_range(), scan.get_oscillation(),
                      list(scan.get_exposure_times())],
}))
"""


def read(path: Path, number: int, cwd: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    (cwd / "read.py").write_text(READ)
    said = dials(PYTHON, "read.py", path, str(number), "raw.npz", cwd=cwd)
    with np.load(cwd / "raw.npz") as raw:
        return json.loads(said), [raw[name] for name in raw.files]


def make(panels: list[dict[str, Any]], **parts: Any) -> Experiment:
    values: dict[str, Any] = {
        "beam": {"wavelength_A": 0.9793, "direction": (0, 0, -1), "polarization_axis": (1, 0, 0),
                 "exposure_s": 0.25},
        "crystal": {"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (4, 4, 4)},
        "structure_factors": {"default_F": 100.0},
        "detector": {"convention": "custom", "size_px": (310, 270), "pixel_mm": 0.15,
                     "panels": panels},
        "sampling": {"oversample": 1},
        "rotation": {"start_deg": 10.0, "range_deg": 0.5, "steps": 1, "axis": (1, 0, 0)},
        "shots": {"count": 2, "misset_deg": [(0, 0, 0), (0.5, 0, 0)]},
    }  # fmt: skip
    return Experiment(**values | parts)


FLAT = {"origin_mm": (-25.0, 21.0, -120.0), "fast_axis": (1, 0, 0), "slow_axis": (0, -1, 0)}
TILTED = {"origin_mm": (-25.0, 41.0, -110.0), "fast_axis": (0.98, 0.1, 0.17),
          "slow_axis": (0.1, -0.98, 0.0)}  # fmt: skip


@pytest.mark.parametrize(
    ("panels", "name", "number", "format"),
    [
        ([FLAT], "a.cbf", -1, "FormatCBFMini"),
        ([TILTED], "a.cbf", -1, "FormatCBFFullByteOffset"),
        ([FLAT], "a.img", -1, "FormatSMVADSCSN"),
        ([FLAT], "a_master.h5", 1, "FormatNXmx"),
        ([TILTED], "a_master.h5", 1, "FormatNXmx"),
        ([FLAT, TILTED], "a_master.h5", 1, "FormatNXmx"),
    ],
)
def test_every_pixel_and_number(
    tmp_path: Path, panels: list[dict[str, Any]], name: str, number: int, format: str
) -> None:
    store = tmp_path / "run.zarr"
    scheduler.run(make(panels), store, fsync=False, threads=1)
    made = export(store, tmp_path / name, dtype="uint16" if name.endswith("img") else "int32")
    image = np.rint(np.asarray(scheduler.open(store).image.values)[1])
    about, raw = read(made[-1], number, tmp_path)
    assert about["format"] == format
    for panel, (pixels, wanted) in enumerate(zip(raw, image, strict=True)):
        np.testing.assert_array_equal(pixels, wanted)
        origin, fast, slow, pixel, size, *_ = about["panels"][panel]
        given = panels[panel]
        across = np.array(given["fast_axis"]) / np.linalg.norm(given["fast_axis"])
        down = np.array(given["slow_axis"]) / np.linalg.norm(given["slow_axis"])
        near = {"atol": 1e-6 if name == "a.img" else 2e-7}
        np.testing.assert_allclose(origin, given["origin_mm"], **near)
        np.testing.assert_allclose(fast, across, atol=1e-9)
        np.testing.assert_allclose(slow, down, atol=1e-9)
        assert pixel == pytest.approx([0.15, 0.15])
        assert size == [310, 270]
    assert about["wavelength"] == pytest.approx(0.9793, abs=1e-9)
    np.testing.assert_allclose(about["to_source"], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(about["axis"], [1, 0, 0], atol=1e-12)
    images, oscillation, exposures = about["scan"]
    if number >= 0:
        assert (images, oscillation) == ([1, 2], pytest.approx([10.0, 0.5]))
    else:
        assert (images, oscillation) == ([2, 2], pytest.approx([10.5, 0.5]))
    assert exposures[0] == pytest.approx(0.25)


def test_float_images(tmp_path: Path) -> None:
    store = tmp_path / "run.zarr"
    scheduler.run(make([FLAT]), store, fsync=False, threads=1)
    export(store, tmp_path / "a_master.h5", dtype="float32")
    _, raw = read(tmp_path / "a_master.h5", 0, tmp_path)
    np.testing.assert_array_equal(raw[0], np.asarray(scheduler.open(store).image.values)[0, 0])


def hewl() -> Experiment:
    """22 images of 1° of lysozyme, with background and a sensor."""
    panel = {"origin_mm": (-90.3, 88.1, -180.0), "fast_axis": (1, 0, 0), "slow_axis": (0, -1, 0)}
    return make(
        [],
        title="HEWL",
        beam={"wavelength_A": 1.0, "fluence_photons_per_m2": 2e30, "polarization": 0.998,
              "polarization_axis": (1, 0, 0), "direction": (0, 0, -1), "exposure_s": 0.1},
        crystal={"cell_A_deg": (79.344, 79.344, 37.810, 90, 90, 90), "cells": (6, 6, 12),
                 "shape": "gauss", "misset_deg": (12, 34, 56),
                 "mosaic": {"spread_deg": 0.1, "domains": 4}},
        structure_factors={"file": HEWL},
        detector={"convention": "custom", "panels": [panel], "pixel_mm": 0.2,
                  "size_px": (900, 900),
                  "sensor": {"depth_um": 251.0, "thickness_um": 320.0, "layers": 3}},
        rotation={"range_deg": 1.0, "steps": 12, "axis": (1, 0, 0)},
        background={"water_um": 0.0151},
        shots={"count": 22, "misset_deg": [(n, 0, 0) for n in range(22)]},
    )  # fmt: skip


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the series, its photons counted."""
    if not HEWL.exists():
        pytest.skip(f"{HEWL} is not there")
    store = tmp_path_factory.mktemp("hewl") / "hewl.zarr"
    scheduler.run(hewl(), store, fsync=False)
    image = zarr.open_array(store / "image", mode="r+")
    image[...] = np.random.default_rng(1).poisson(image[...]).astype(np.float32)
    return store


@pytest.mark.parametrize("name", ["hewl_master.h5", "hewl.cbf"])
def test_lysozyme_is_processed(counted: Path, tmp_path: Path, name: str) -> None:
    made = export(counted, tmp_path / name, dtype="int32", truth=True)
    images = [path for path in made if path.suffix == ".cbf"] or [made[-1]]
    dials("/usr/bin/dials.import", *images, "output.experiments=imported.expt", cwd=tmp_path)
    dials("/usr/bin/dials.find_spots", "imported.expt", "nproc=1", cwd=tmp_path)
    dials(
        "/usr/bin/dials.index", "imported.expt", "strong.refl", "space_group=P43212", cwd=tmp_path
    )
    dials(
        "/usr/bin/dials.refine", "indexed.expt", "indexed.refl", "scan_varying=False", cwd=tmp_path
    )
    dials("/usr/bin/dials.integrate", "refined.expt", "refined.refl", "nproc=1", cwd=tmp_path)
    said = dials(PYTHON, HERE / "dials_answers.py", ".", "hewl.expt", HEWL, cwd=tmp_path)
    found = json.loads(said.splitlines()[-1])
    print(found)
    assert found["indexed"] / found["strong"] >= 0.97
    np.testing.assert_allclose(found["cell"][:3], [79.344, 79.344, 37.810], rtol=5e-4)
    np.testing.assert_allclose(found["true_cell"][:3], [79.344, 79.344, 37.810], rtol=1e-9)
    np.testing.assert_allclose(found["beam_px"], found["true_beam_px"], atol=0.02)
    assert found["distance_mm"] == pytest.approx(found["true_distance_mm"], rel=1e-3)
    assert found["correlation"] >= 0.99
