"""Each of nanoBragg's ways that decides on pixels, switched on alone, does what it says."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.kernels.test_cpu_against_reference import assert_close, both
from tiledsim import Experiment, build_scene, experiment_from_nanobragg
from tiledsim.errors import InputFileError
from tiledsim.kernels import get_backend
from tiledsim.quirks import Quirk
from tiledsim.reference.model import pixel_rays
from tiledsim.scene.crystal.c_library import has_powf, powf
from tiledsim.scene.crystal.random import ParkMiller, draw_rotation, uniform_rotations
from tiledsim.scene.detector.geometry import geometry_of
from tiledsim.tile import Tile


def experiment(*quirks: Quirk, **parts: Any) -> Experiment:
    base: dict[str, Any] = {
        "beam": {"wavelength_A": 1.0},
        "crystal": {"cell_A_deg": (70, 80, 90, 90, 90, 90), "cells": (5, 5, 5)},
        "structure_factors": {"default_F": 100.0},
        "detector": {"size_px": (21, 15), "pixel_mm": 1.0},
        "sampling": {"oversample": 1},
    }
    for name, part in parts.items():
        base[name] = base.get(name, {}) | part
    return Experiment(**base, quirks=quirks)


SENSOR = {"depth_um": 250.0, "thickness_um": 300.0, "layers": 4}
ACTS: dict[Quirk, dict[str, Any]] = {
    "twotheta_axis_raw": {"detector": {"convention": "custom", "two_theta_axis": (0, 2, 0),
                                       "two_theta_deg": 8.0}},
    "gauss_width": {"crystal": {"shape": "gauss", "cells": (3, 3, 3)}},
    "sensor_step": {"detector": {"sensor": SENSOR}},
    "flat_normal": {"detector": {"sensor": SENSOR, "curved": True, "distance_mm": 20.0}},
    "signed_distance": {"detector": {"two_theta_deg": 95.0}},
    "sinc3_cancellation": {"crystal": {"shape": "round", "misset_deg": (1, 2, 3)},
                           "detector": {"convention": "denzo", "beam_x_mm": 7.5, "beam_y_mm": 10.5,
                                        "rotation_deg": (3, 4, 5)}},
    "float32_spread": {"crystal": {"mosaic": {"spread_deg": 1.0, "domains": 5}}},
}  # fmt: skip


@pytest.mark.parametrize("quirk", ACTS)
def test_a_quirk_alone_changes_pixels_and_kernel_and_reference_agree(quirk: Quirk) -> None:
    plain, odd = experiment(**ACTS[quirk]), experiment(quirk, **ACTS[quirk])
    image, reference = both(odd)
    np.testing.assert_allclose(image, reference, rtol=1e-9, atol=1e-12 * np.abs(reference).max())
    spec, spec_reference = both(plain)
    assert_close(spec, spec_reference)
    assert (spec >= 0).all()
    assert not np.array_equal(image, spec)


def test_a_raw_two_theta_axis_stretches() -> None:
    geometry = geometry_of(experiment("twotheta_axis_raw", **ACTS["twotheta_axis_raw"]))
    assert abs(np.linalg.norm(geometry.fast[0]) - 1.0) > 1e-3
    for key in ("fast", "slow", "normal"):
        spec = getattr(geometry_of(experiment(**ACTS["twotheta_axis_raw"])), key)
        assert np.linalg.norm(spec[0]) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("layers", [None, 1, 2, 3, 4, 7])
def test_a_sensor_absorbs_as_thick_as_it_is(layers: int | None) -> None:
    sensor = SENSOR | {"layers": layers}
    scene = build_scene(experiment(detector={"sensor": sensor, "pixel_mm": 1e-3}))
    capture = pixel_rays(scene, 0, [7], [10]).capture.sum()
    assert capture == pytest.approx(1 - math.exp(-300 / 250), rel=1e-6)


def test_a_curved_sensor_is_met_at_right_angles() -> None:
    curved = {"pixel_mm": 1.0, "size_px": (210, 1), "distance_mm": 60.0, "curved": True,
              "sensor": {"depth_um": 250.0, "thickness_um": 450.0}}  # fmt: skip
    scene = build_scene(experiment(detector=curved))
    capture = pixel_rays(scene, 0, np.zeros(210, int), np.arange(210)).capture.sum(axis=1)
    np.testing.assert_allclose(capture, 1 - math.exp(-450 / 250), rtol=1e-12)
    image = get_backend("cpu").render(scene, Tile(0, 0, 0, 1, 0, 210))
    assert np.isfinite(image).all()
    assert (image >= 0).all()


def test_a_misset_seed_is_read_as_angles() -> None:
    flags = [
        "-cell",
        "50",
        "60",
        "70",
        "-default_F",
        "100",
        "-misset",
        "random",
        "-misset_seed",
        "7",
        "-N",
        "5",
    ]
    assert experiment_from_nanobragg(flags).crystal.misset_deg == (7.0, 0.0, 5.0)
    alone = experiment_from_nanobragg(flags, quirks=["misset_radians"])
    assert (alone.crystal.misset_deg, alone.crystal.misset_seed) == ("random", 7)
    assert experiment_from_nanobragg(flags, "spec").crystal.misset_deg == "random"


def test_an_hkl_text_ends_where_nanobragg_stops(tmp_path: Path) -> None:
    path = tmp_path / "a.hkl"
    path.write_text("0 0 1 5\n1 0 1 6\nEND\n2 0 1 7\n")
    factors = {"structure_factors": {"hkl_file": path, "default_F": 1.0}}
    scene = build_scene(experiment("hkl_stops", **factors))
    assert scene.F_table.shape == (4, 3, 3)
    assert scene.F_table[1:3, 1, 1].tolist() == [5.0, 6.0]
    with pytest.raises(InputFileError, match="line 3"):
        build_scene(experiment(**factors))


def test_a_fifth_column_shifts_what_nanobragg_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.hkl"
    path.write_text("-3 -3 -3 58 1.5\n-3 -3 -2 59 1.5\n-3 -3 -1 60 1.5\n-3 -3 0 61 1.5\n")
    scene = build_scene(
        experiment("hkl_stops", structure_factors={"hkl_file": path, "default_F": 0.0})
    )
    assert scene.hkl_lowest == (-3, -3, -3)
    assert np.count_nonzero(scene.F_table) == 1
    assert scene.F_table[1, 1, 1] == 58.0


def test_powf_is_the_c_librarys() -> None:
    assert has_powf()
    rounded = np.float32(0.7) ** np.float32(1 / 3)
    assert powf(0.7, 1 / 3) == pytest.approx(float(rounded), rel=1.2e-7)
    assert powf(0.7, 1 / 3) == float(np.float32(powf(0.7, 1 / 3)))


@pytest.mark.parametrize("seed", [0, -1, -7, 1, 2**31 - 2, 2**31 - 1, 2 * (2**31 - 1), 10**42])
def test_any_seed_draws_different_rotations(seed: int) -> None:
    generator = ParkMiller(seed)
    drawn = [draw_rotation(generator, 0.1, float32_spread=False) for _ in range(20)]
    assert len(np.unique(np.round(drawn, 12), axis=0)) == 20
    assert len(np.unique(uniform_rotations(seed, 20), axis=0)) == 20


def test_nan_in_a_mask_is_masked(tmp_path: Path) -> None:
    mask = np.ones((15, 21))
    mask[3, 4], mask[5, 6] = np.nan, 0.0
    np.save(tmp_path / "mask.npy", mask)
    scene = build_scene(experiment(detector={"mask_file": tmp_path / "mask.npy"}))
    assert scene.mask is not None
    assert not scene.mask[3, 4]
    assert scene.rendered_pixels == 15 * 21 - 2


def test_an_axis_is_checked_where_it_is_used() -> None:
    along = {"direction": (0, 0, -1), "polarization_axis": (0, 0, 1)}
    axes = {"convention": "custom", "fast_axis": (1, 0, 0), "slow_axis": (0, -1, 0)}
    build_scene(experiment(beam=along, detector=axes))
    for used in ({"polarization": 0.5}, {"hdiv_range_mrad": 1.0}):
        with pytest.raises(ValueError, match=r"polarization_axis .* is parallel to the beam"):
            build_scene(experiment(beam=along | used, detector=axes))
