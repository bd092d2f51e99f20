"""The true reflections stand where the pixels are bright, and hold as many photons."""

import json
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import pytest

from tests.unit.images.exports import make
from tiledsim import Experiment, build_scene, scheduler
from tiledsim.errors import ExperimentError
from tiledsim.image_files.dials.models import expt_document
from tiledsim.image_files.dials.reflections import Reflections
from tiledsim.reach.bragg_law import rotation_crossings, still_crossings
from tiledsim.scheduler.export.export import export
from tiledsim.scheduler.export.formats import check_geometry, choose_format
from tiledsim.scheduler.export.instrument import instrument_of
from tiledsim.scheduler.export.truth import true_reflections
from tiledsim.vectors import axis_rotation, unit

SHOTS = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rotation series of a small cell, whose spots are far apart and turn in fully."""
    path = tmp_path_factory.mktemp("truth") / "run.zarr"
    experiment = make(
        crystal={"cell_A_deg": (17, 19, 23, 80, 85, 95), "cells": (24, 22, 18), "shape": "gauss",
                 "misset_deg": (10, 20, 30)},
        detector={"size_px": (200, 180), "pixel_mm": 0.4, "distance_mm": 90},
        rotation={"start_deg": 5.0, "range_deg": 1.0, "steps": 10},
        sampling={"oversample": 2},
        shots={"count": SHOTS, "misset_deg": [(0, 0, n) for n in range(SHOTS)]},
    )  # fmt: skip
    scheduler.run(experiment, path, fsync=False, threads=1)
    return path


def columns(path: Path) -> dict[str, np.ndarray]:
    name, version, about = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    assert (name, version) == ("dials::af::reflection_table", 1)
    types = {
        "int": "<i4", "cctbx::miller::index<>": "<i4", "std::size_t": "<u8", "bool": "?",
        "double": "<f8", "vec3<double>": "<f8",
    }  # fmt: skip
    return {
        key: np.frombuffer(data, types[kind]).reshape(n, -1).squeeze(1)
        if len(data) == n * np.dtype(types[kind]).itemsize
        else np.frombuffer(data, types[kind]).reshape(n, -1)
        for key, (kind, (n, data)) in about["data"].items()
    }


def test_spots_stand_where_they_are_predicted(store: Path, tmp_path: Path) -> None:
    export(store, tmp_path / "a_master.h5", truth=True)
    table = columns(tmp_path / "a.refl")
    images = np.asarray(scheduler.open(store).image.values)[:, 0]
    checked = 0
    for (x, y, z), photons in zip(table["xyzcal.px"], table["expected.photons"], strict=True):
        i, j = int(x), int(y)
        # Far from the edges, and from the first and last image: else a part of it is missing.
        if not (8 <= i < 192 and 8 <= j < 172 and 1.0 < z < SHOTS - 1.0):
            continue
        others = np.abs(table["xyzcal.px"][:, :2] - (x, y)).max(axis=1) < 14
        if np.count_nonzero(others) > 1 or photons < 1e-3 * table["expected.photons"].max():
            continue
        box = images[:, j - 7 : j + 8, i - 7 : i + 8].astype(float)
        total = box.sum()
        rows, cols = np.mgrid[j - 7 : j + 8, i - 7 : i + 8] + 0.5
        frames = np.arange(SHOTS)[:, None, None] + 0.5
        assert total == pytest.approx(photons, rel=0.03)
        # Points of this small crystal are thick: that alone moves a centroid by a tenth of a pixel.
        assert (box * cols).sum() / total == pytest.approx(x, abs=0.15)
        assert (box * rows).sum() / total == pytest.approx(y, abs=0.15)
        assert (box * frames).sum() / total == pytest.approx(z, abs=0.51)
        checked += 1
    assert checked >= 5


def test_the_experiment_list_has_the_true_crystal(store: Path, tmp_path: Path) -> None:
    export(store, tmp_path / "a.cbf", truth=True, shots="1:4")
    document = json.loads((tmp_path / "a.expt").read_text())
    assert document["scan"][0]["image_range"] == [2, 4]
    assert document["scan"][0]["oscillation"] == pytest.approx([6.0, 1.0])
    assert document["imageset"][0]["template"] == str(tmp_path / "a_####.cbf")
    crystal = document["crystal"][0]
    lengths = [np.linalg.norm(crystal[f"real_space_{axis}"]) for axis in "abc"]
    np.testing.assert_allclose(lengths, [17, 19, 23])
    # At spindle zero, though the export begins with the second image.
    export(store, tmp_path / "b_master.h5", truth=True)
    whole = json.loads((tmp_path / "b.expt").read_text())
    np.testing.assert_allclose(
        crystal["real_space_a"], whole["crystal"][0]["real_space_a"], atol=1e-9
    )
    table, part = columns(tmp_path / "b.refl"), columns(tmp_path / "a.refl")
    inside = (table["xyzcal.px"][:, 2] >= 1) & (table["xyzcal.px"][:, 2] < 4)
    np.testing.assert_allclose(part["xyzcal.px"], table["xyzcal.px"][inside], atol=1e-9)


def test_stills_have_an_experiment_each(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    experiment = make(rotation={}, shots={"count": 2, "orientation": "random"})
    scheduler.run(experiment, path, fsync=False, threads=1)
    export(path, tmp_path / "s_master.h5", truth=True)
    document = json.loads((tmp_path / "s.expt").read_text())
    assert [each["crystal"] for each in document["experiment"]] == [0, 1]
    assert not document["scan"]
    assert set(columns(tmp_path / "s.refl")["id"]) == {0, 1}


@pytest.mark.parametrize("spread", [{"spread_deg": 1.0}, {"spread_abc_deg": (0.7, 0.7, 0.7)}])
def test_stills_of_mosaic_crystals_have_more_reflections(
    spread: dict[str, object], tmp_path: Path
) -> None:
    """Drawn in either way: domains bring more points to the sphere, the farther out the more."""
    counts = []
    for name, mosaic in (("one", {}), ("many", spread | {"domains": 60})):
        experiment = make(
            rotation={}, crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (60, 60, 60),
                                  "mosaic": mosaic},
            shots={"count": 1, "orientation": "random"},
        )  # fmt: skip
        scheduler.run(experiment, tmp_path / f"{name}.zarr", fsync=False, threads=1)
        export(tmp_path / f"{name}.zarr", tmp_path / f"{name}_master.h5", truth=True)
        counts.append(len(columns(tmp_path / f"{name}.refl")["id"]))
    assert counts[1] > 2 * counts[0]


def test_crossings_lie_on_the_sphere() -> None:
    rng = np.random.default_rng(0)
    s0 = unit(np.array([0.1, -0.2, -1.0])) / 0.9
    axis = unit(np.array([1.0, 0.1, 0.2]))
    q = rng.normal(0, 0.4, (500, 3))
    found = rotation_crossings(s0, axis, q, -0.3, 7.0)
    np.testing.assert_allclose(np.linalg.norm(found.diffracted, axis=1), 1 / 0.9)
    assert found.angle.min() >= -0.3
    assert found.angle.max() < 7.0
    for row, angle, s1, speed in zip(*vars(found).values(), strict=True):
        turned = axis_rotation(axis, angle) @ q[row]
        np.testing.assert_allclose(s0 + turned, s1, atol=1e-12)
        later = np.linalg.norm(s0 + axis_rotation(axis, angle + 1e-6) @ q[row])
        assert (1 / 0.9 - later) / 1e-6 == pytest.approx(speed, abs=1e-4)


def test_stills_take_what_is_near_the_sphere() -> None:
    s0 = np.array([0.0, 0.0, -1.0])
    q = np.array([[0.0, 1.0, 1.0], [0.0, 1.01, 1.0], [0.0, 1.2, 1.0]])
    found = still_crossings(s0, q, np.full(3, 0.05))
    assert found.row.tolist() == [0, 1]
    np.testing.assert_allclose(found.crossing, [0.0, -0.01])
    np.testing.assert_allclose(np.linalg.norm(found.diffracted, axis=1), 1.0)


def truth_of(experiment: Experiment) -> Reflections:
    scene = build_scene(experiment)
    instrument = instrument_of(experiment, scene)
    return true_reflections(instrument, scene, [], range(scene.shape[0]))


def still(**changes: Any) -> Experiment:
    parts: dict[str, Any] = {
        "crystal": {"cell_A_deg": (31, 41, 37, 80, 85, 95), "cells": (24, 22, 18),
                    "misset_deg": (10, 20, 30), "shape": "gauss"},
        "detector": {"size_px": (200, 180), "pixel_mm": 0.4, "distance_mm": 90},
        "beam": {"wavelength_A": 1.1, "polarization": 0.9}, "shots": {},
    }  # fmt: skip
    return make(rotation={}, **{n: parts.get(n, {}) | changes.get(n, {}) for n in parts | changes})


def test_each_shot_of_a_campaign_has_its_own_truth() -> None:
    columns = {
        "wavelength_A": {"list": (1.0, 1.06)}, "fluence_photons_per_m2": {"list": (1e24, 5e24)},
        "distance_mm": {"list": (90.0, 84.0)}, "cell_b_A": {"list": (41.0, 40.2)},
    }  # fmt: skip
    many = truth_of(still(shots={"count": 2, "columns": columns}))
    own = truth_of(still(
        beam={"wavelength_A": 1.06, "fluence_photons_per_m2": 5e24},
        detector={"distance_mm": 84.0}, crystal={"cell_A_deg": (31, 40.2, 37, 80, 85, 95)},
    ))  # fmt: skip
    mine = many.experiment == 1
    assert len(own.hkl) > 10
    assert 10 < np.count_nonzero(mine) < len(mine)
    assert (many.hkl[mine] == own.hkl).all()
    np.testing.assert_allclose(many.position_px[mine, :2], own.position_px[:, :2], rtol=1e-7)
    np.testing.assert_allclose(many.photons[mine], own.photons, rtol=1e-7)
    np.testing.assert_allclose(many.s1[mine], own.s1, rtol=1e-7, atol=1e-12)


def test_models_of_shots_that_differ_are_their_own() -> None:
    columns = {"wavelength_A": {"list": (1.0, 1.06)}}
    beams = still(shots={"count": 2, "columns": columns})
    document = expt_document(instrument_of(beams, build_scene(beams)), [], 1e6, 0.0)
    assert [beam["wavelength"] for beam in document["beam"]] == pytest.approx([1.0, 1.06])
    assert [(one["beam"], one["detector"]) for one in document["experiment"]] == [(0, 0), (1, 0)]
    moved = still(shots={"count": 2, "columns": columns | {"distance_mm": {"list": (90.0, 84.0)}}})
    instrument = instrument_of(moved, build_scene(moved))
    document = expt_document(instrument, [], 1e6, 0.0)
    distances = [abs(one["panels"][0]["origin"][2]) for one in document["detector"]]
    assert distances == pytest.approx([90.0, 84.0])
    with pytest.raises(ExperimentError, match="the detector moves from shot to shot, and nxmx"):
        check_geometry(choose_format("nxmx", Path("a.h5")), instrument)
    check_geometry(choose_format("nxmx", Path("a.h5")), instrument.alone(1))
    check_geometry(choose_format("cbf", Path("a.cbf")), instrument)


def test_a_stack_has_the_wavelength_of_each_shot(tmp_path: Path) -> None:
    columns = {"wavelength_A": {"list": (1.0, 1.06, 1.02)},
               "fluence_photons_per_m2": {"list": (1e24, 5e24, 2e24)}}  # fmt: skip
    made = still(shots={"count": 3, "columns": columns}, detector={"size_px": (40, 40)})
    scheduler.run(made, tmp_path / "a.zarr", fsync=False, threads=1)
    export(tmp_path / "a.zarr", tmp_path / "a_master.h5", shots="1:3", truth=True)
    with h5py.File(tmp_path / "a_master.h5") as file:
        beam = file["entry/instrument/beam"]
        np.testing.assert_allclose(beam["incident_wavelength"], [1.06, 1.02])
        np.testing.assert_allclose(beam["incident_fluence"], [5e24, 2e24])
    document = json.loads((tmp_path / "a.expt").read_text())
    assert [beam["wavelength"] for beam in document["beam"]] == pytest.approx([1.06, 1.02])
    export(tmp_path / "a.zarr", tmp_path / "b.cbf")
    assert b"Wavelength 1.060" in (tmp_path / "b_0002.cbf").read_bytes()


def test_blocks_multiply_the_photons() -> None:
    volume = abs(np.linalg.det(build_scene(still()).cells[0])) * 24 * 22 * 18 * 1e18
    many = truth_of(still(crystal={"volume_um3": 7.0 * volume}))
    np.testing.assert_allclose(many.photons, 7.0 * truth_of(still()).photons, rtol=1e-9)
