"""What must hold without any other program to compare with."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import angles, cells, experiments
from tiledsim import Experiment, build_scene, simulate
from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.kernels import get_backend
from tiledsim.scene.crystal.lattice import build_lattice, cell_volume
from tiledsim.scene.files import read_scene, write_scene
from tiledsim.tile import Tile
from tiledsim.units import ANGSTROM


def experiment(**parts: object) -> Experiment:
    """A small crystal before a small detector; keyword arguments replace fields of its parts."""
    alone = {} if "panels" in str(parts) else {"distance_mm": 100.0}
    base: dict[str, dict[str, object]] = {
        "beam": {"wavelength_A": 1.0},
        "crystal": {"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (10, 10, 10)},
        "structure_factors": {"default_F": 100.0},
        "detector": {"size_px": (96, 96), "pixel_mm": 0.3, **alone},
        "sampling": {"oversample": 1},
    }
    for name, fields in parts.items():
        assert isinstance(fields, dict)
        base[name] = base.get(name, {}) | fields
    return Experiment(**base)


@given(cells, angles, st.tuples(*[st.floats(-180, 180)] * 3))
def test_the_direct_cell_is_the_one_given(
    lengths: tuple[float, ...], degrees: tuple[float, ...], misset: tuple[float, ...]
) -> None:
    cell = (*lengths, *degrees)
    crystal = experiment(crystal={"cell_A_deg": cell, "misset_deg": misset}).crystal
    lattice = build_lattice(crystal, 1.0, frozenset())
    np.testing.assert_allclose(lattice.cell, cell, rtol=1e-12)
    np.testing.assert_allclose(lattice.volume_A3, cell_volume(cell), rtol=1e-12)
    np.testing.assert_allclose(lattice.direct @ lattice.reciprocal.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("degrees", [(60, 60, 130), (120, 120, 120), (10, 20, 40), (90, 90, 190)])
def test_angles_that_close_no_volume(degrees: tuple[float, float, float]) -> None:
    with pytest.raises(ExperimentError, match="close no volume"):
        build_scene(experiment(crystal={"cell_A_deg": (50, 50, 50, *degrees)}))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_peaks_are_where_braggs_law_puts_them(order: int) -> None:
    # A cubic cell whose a* stands against the beam, turned by θ about the axis across it: the
    # reflection (h 0 0) fulfils Bragg's law and goes to 2θ.
    wavelength, a = 1.0, 50.0
    theta = math.asin(order * wavelength / (2 * a))
    pixel, distance = 0.02, 200.0
    where = distance * math.tan(2 * theta)
    width = 101
    # mosflm: beam +x, spindle +z, slow axis −y.  The spot goes to −y, along the slow axis.
    image = simulate(
        experiment(
            crystal={"cell_A_deg": (a, a, a, 90, 90, 90), "cells": (60, 60, 60),
                     "misset_deg": (0, 0, -(90 + math.degrees(theta)))},
            detector={"convention": "denzo", "size_px": (width, width), "pixel_mm": pixel,
                      "distance_mm": distance, "beam_x_mm": width / 2 * pixel - where,
                      "beam_y_mm": width / 2 * pixel},
        )
    )[0, 0]  # fmt: skip
    slow, fast = np.unravel_index(image.argmax(), image.shape)
    assert abs(slow - width // 2) <= 1
    assert abs(fast - width // 2) <= 1


def straight_through(**parts: object) -> float:
    """Intensity of the pixel in the direct beam, where h = k = l = 0 for every crystal."""
    fields = {"size_px": (1, 1), "pixel_mm": 1e-6, "convention": "denzo", "beam_x_mm": 0.5e-6,
              "beam_y_mm": 0.5e-6}  # fmt: skip
    detector = {**fields, **parts.pop("detector", {})}  # type: ignore[dict-item]
    return float(simulate(experiment(detector=detector, **parts))[0, 0, 0, 0])


@pytest.mark.parametrize("shape", ["square", "gauss", "tophat", "round"])
def test_peak_intensity_grows_as_the_sixth_power_of_size(shape: str) -> None:
    small = straight_through(crystal={"cells": (4, 4, 4), "shape": shape})
    large = straight_through(crystal={"cells": (12, 12, 12), "shape": shape})
    assert large / small == pytest.approx(3.0**6, rel=1e-9)


def test_peak_intensity_grows_as_the_square_of_F() -> None:
    ratio = straight_through(structure_factors={"default_F": 70.0}) / straight_through(
        structure_factors={"default_F": 10.0}
    )
    assert ratio == pytest.approx(49.0, rel=1e-12)


def test_photons_of_the_direct_beam_in_absolute_numbers() -> None:
    # I = r_e²·Φ·Ω·F²·N⁶ with P = 1 straight ahead; Ω = p²/R².
    value = straight_through(beam={"wavelength_A": 1.0, "fluence_photons_per_m2": 1e24})
    assert value == pytest.approx(7.94079248018965e-30 * 1e24 * (1e-8) ** 2 * 1e4 * 1e6, rel=1e-9)


@settings(max_examples=20)
@given(experiments(), st.randoms(use_true_random=False))
def test_the_order_of_sources_does_not_matter(drawn: Experiment, random: object) -> None:
    wavelengths = [0.9, 1.0, 1.1, 1.3]
    weights = [1.0, 4.0, 0.0, 2.0]
    order = [0, 1, 2, 3]
    random.shuffle(order)  # type: ignore[attr-defined]

    def with_spectrum(rows: list[int], scale: float = 1.0) -> np.ndarray:
        spectrum = {"wavelengths_A": [wavelengths[i] for i in rows],
                    "weights": [scale * weights[i] for i in rows]}  # fmt: skip
        return simulate(drawn.replace(beam={"spectrum": spectrum, "wavelength_A": 1.0}))

    image = with_spectrum([0, 1, 2, 3])
    np.testing.assert_allclose(with_spectrum(order), image, rtol=1e-9, atol=1e-12 * image.max())
    np.testing.assert_allclose(
        with_spectrum([0, 1, 2, 3], 37.5), image, rtol=1e-12, atol=1e-14 * image.max()
    )


def test_the_order_of_phi_and_domains_does_not_matter() -> None:
    scene = build_scene(
        experiment(
            crystal={"mosaic": {"spread_deg": 0.5, "domains": 7}},
            rotation={"start_deg": 10, "range_deg": 1, "steps": 5},
        )
    )
    shuffled = replace(scene, rotations=np.random.default_rng(1).permutation(scene.rotations))
    tile = Tile(0, 0, 0, 96, 0, 96)
    image = get_backend("cpu").render(scene, tile)
    np.testing.assert_allclose(
        get_backend("cpu").render(shuffled, tile), image, rtol=1e-10, atol=1e-13 * image.max()
    )


def test_doubling_the_oversampling_converges() -> None:
    def image(n: int) -> np.ndarray:
        return simulate(experiment(sampling={"oversample": n}))

    finest = image(32)
    errors = [np.abs(image(n) - finest).max() for n in (2, 4, 8, 16)]
    assert all(later < earlier / 2 for earlier, later in pairwise(errors))


def test_random_shots_are_the_same_however_many_there_are() -> None:
    few = build_scene(experiment(shots={"count": 2, "orientation": "random", "seed": 7}))
    many = build_scene(experiment(shots={"count": 9, "orientation": "random", "seed": 7}))
    np.testing.assert_array_equal(few.cells, many.cells[:2])
    lengths = np.linalg.norm(many.cells, axis=2) * ANGSTROM
    np.testing.assert_allclose(lengths, np.broadcast_to([70, 80, 90], lengths.shape), rtol=1e-12)


def test_panels_cut_from_a_detector_give_its_image() -> None:
    whole = experiment(detector={"size_px": (96, 96), "convention": "mosflm"})
    scene = build_scene(whole)
    fast, slow = scene.fast[0], scene.slow[0]
    origins = [scene.origin[0] + 48 * scene.pixel_size * slow * i for i in range(2)]
    panels = [
        {"origin_mm": tuple(o * 1000), "fast_axis": tuple(fast), "slow_axis": tuple(slow)}
        for o in origins
    ]
    parts = experiment(detector={"size_px": (96, 48), "panels": panels})
    image = simulate(whole)[0, 0]
    np.testing.assert_allclose(simulate(parts)[0].reshape(96, 96), image, rtol=1e-9)


def test_a_scene_comes_back_from_its_files(tmp_path: Path) -> None:
    scene = build_scene(experiment(rotation={"range_deg": 1.0, "steps": 3}))
    write_scene(scene, tmp_path)
    write_scene(scene, tmp_path)
    again = read_scene(tmp_path, scene.hash)
    assert again.hash == scene.hash
    np.save(tmp_path / scene.hash / "cells.npy", scene.cells * 2)
    with pytest.raises(InputFileError, match="changed"):
        read_scene(tmp_path, scene.hash)
    with pytest.raises(InputFileError, match="does not exist"):
        read_scene(tmp_path, "0" * 64)
