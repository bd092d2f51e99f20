"""One rule for signs in `spec`: the normal points away from the sample, photons are never negative.

Compared: images of one panel, described in several ways.  How closely: a lattice factor to 1e-12 of
its peak, a, b and c together N³, however small it is in a pixel far from all reflections.
"""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tiledsim import Experiment, build_scene, simulate
from tiledsim.description import announcements, describe
from tiledsim.errors import ExperimentError
from tiledsim.scene.detector.geometry import geometry_of
from tiledsim.vectors import xyz_rotation

angle = st.floats(-180, 180).map(lambda x: round(x, 3))


def experiment(detector: dict[str, Any], **parts: Any) -> Experiment:
    """A crystal before a detector of 9 x 7 pixels with a sensor."""
    return Experiment(
        beam={"wavelength_A": 1.0, "polarization": 0.4, **parts.pop("beam", {})},
        crystal={"cell_A_deg": (70, 80, 90, 90, 90, 90), "cells": (5, 5, 5)},
        structure_factors={"default_F": 100.0},
        detector={"size_px": (9, 7), "pixel_mm": 1.0,
                  "sensor": {"depth_um": 250.0, "thickness_um": 450.0}} | detector,
        sampling={"oversample": 1},
        **parts,
    )  # fmt: skip


def image(made: Experiment) -> np.ndarray:
    found = simulate(made, backend="cpu")[0, 0]
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    return found


def peak(made: Experiment) -> float:
    """Photons of a pixel in which every step meets a reflection."""
    scene = build_scene(made)
    solid_angle = float(scene.pixel_size / scene.close_distance[0]) ** 2
    amplitude = scene.default_F * math.prod(scene.cell_counts)
    return scene.scale * scene.steps * amplitude**2 * solid_angle


def assert_same(one: np.ndarray, other: np.ndarray, peak: float) -> None:
    """Compare pixels, whose error is twice the root times that of the root."""
    error = 1e-12 * (other + 2.0 * np.sqrt(other * peak) + 1e-12 * peak)
    assert (np.abs(one - other) <= error).all(), float((np.abs(one - other) / error).max())


@settings(max_examples=40)
@given(
    st.sampled_from(["mosflm", "denzo", "adxv", "xds", "dials"]),
    st.sampled_from(["beam", "sample"]),
    st.tuples(angle, angle, angle),
    angle,
    st.booleans(),
)
def test_any_description_of_a_panel_gives_its_image(
    convention: str,
    pivot: str,
    rotation: tuple[float, float, float],
    two_theta: float,
    curved: bool,
) -> None:
    placed = experiment(
        {"convention": convention, "pivot": pivot, "rotation_deg": rotation,
         "two_theta_deg": two_theta, "distance_mm": 90.0, "curved": curved}
    )  # fmt: skip
    try:
        geometry = geometry_of(placed)
    except ExperimentError as error:  # edge-on, or through the sample
        assume("edge-on" not in str(error) and "in the plane" not in str(error))
        raise
    assume(geometry.close_distance[0] > 1e-3)  # within 1 mm rounding grows
    assume(abs(geometry.normal[0] @ geometry.beam) > 1e-3)
    expected = image(placed)
    polarization_axis = tuple(geometry.polarization_axis)
    beam = {"direction": tuple(geometry.beam), "polarization_axis": polarization_axis}
    axes = {"fast_axis": tuple(geometry.fast[0]), "slow_axis": tuple(geometry.slow[0])}
    corner = tuple(geometry.origin[0] * 1000)
    alike = {"beam": beam, "rotation": {"axis": tuple(geometry.spindle)}}
    panel = {"panels": [{"origin_mm": corner, **axes}], "curved": curved}
    most = peak(placed)
    assert_same(image(experiment(panel, **alike)), expected, most)
    explicit = {"convention": "custom", "pix0_mm": corner, "curved": curved, **axes}
    assert_same(image(experiment(explicit, **alike)), expected, most)
    for sign in (1.0, -1.0):
        normal = {"normal": tuple(sign * geometry.normal[0])}
        assert_same(image(experiment(explicit | normal, **alike)), expected, most)


@pytest.mark.parametrize("convention", ["mosflm", "denzo", "adxv", "xds", "dials", "custom"])
@pytest.mark.parametrize("pivot", ["beam", "sample"])
@pytest.mark.parametrize("swing", [95.0, -120.0, 180.0])
def test_past_a_right_angle(convention: str, pivot: str, swing: float) -> None:
    for turn in ({"two_theta_deg": swing}, {"rotation_deg": (0.0, swing, 0.0)}):
        made = experiment({"convention": convention, "pivot": pivot, **turn})
        geometry = geometry_of(made)
        assert geometry.close_distance[0] > 0
        assert (geometry.origin[0] @ geometry.normal[0]) > 0
        if pivot == "beam":  # the beam meets it downstream, where it was told to
            assert geometry.beam_distance[0] == pytest.approx(0.1)
        image(made)


@pytest.mark.parametrize("normal", [None, (0, 0, 1), (0, 0, -1)])
@pytest.mark.parametrize("slow", [(0, 1, 0), (0, -1, 0)])
@pytest.mark.parametrize("pivot", ["beam", "sample"])
def test_a_distance_is_downstream_whatever_the_hands_of_the_axes(
    normal: tuple[float, ...] | None, slow: tuple[float, ...], pivot: str
) -> None:
    made = experiment(
        {"convention": "custom", "fast_axis": (1, 0, 0), "slow_axis": slow, "normal": normal,
         "pivot": pivot},
        beam={"direction": (0, 0, 1), "polarization_axis": (1, 0, 0)},
    )  # fmt: skip
    geometry = geometry_of(made)
    assert geometry.origin[0, 2] == pytest.approx(0.1)
    np.testing.assert_allclose(geometry.normal[0], (0, 0, 1))
    derived = normal or np.cross((1, 0, 0), slow)
    turned = derived[2] < 0
    assert bool(geometry.turned_normals) == turned
    said = [line for line in announcements(made, build_scene(made)) if "normal" in line]
    assert len(said) == turned
    facts = describe(made, build_scene(made))["panel"]
    (fact,) = (fact for fact in facts if fact.name == "normal")
    assert fact.why.startswith("turned") == turned
    image(made)


def test_the_beam_centre_is_that_of_the_panel_as_it_stands() -> None:
    made = experiment(
        {"size_px": (128, 128), "pixel_mm": 0.8, "beam_x_mm": 51.2, "beam_y_mm": 51.2,
         "rotation_deg": (5, 3, 2), "two_theta_deg": 15}
    )  # fmt: skip
    (centre,) = (
        fact.value for fact in describe(made, build_scene(made))["panel"]
        if fact.name == "beam centre"
    )  # fmt: skip
    np.testing.assert_allclose(centre, (51.6, 51.6), rtol=1e-12)


@settings(max_examples=40)
@given(st.tuples(angle, angle, angle), st.tuples(angle, angle))
def test_no_panel_catches_more_than_the_whole_sphere(
    rotation: tuple[float, float, float], place: tuple[float, float]
) -> None:
    """Ω of any panel, its sensor's capture and P stay within their bounds."""
    from tiledsim.reference.model import pixel_rays

    turn = xyz_rotation([math.radians(a) for a in rotation])
    corner = tuple(float(x) for x in (*place, 37.0))
    panel = {"origin_mm": corner, "fast_axis": tuple(turn[0]), "slow_axis": tuple(turn[1])}
    try:
        scene = build_scene(experiment({"panels": [panel], "pixel_mm": 5.0}))
    except ExperimentError:
        assume(False)
    slow, fast = (grid.ravel() for grid in np.mgrid[0:7, 0:9])
    rays = pixel_rays(scene, 0, slow, fast)
    assert (rays.omega > 0).all()
    assert ((rays.capture >= 0) & (rays.capture <= 1)).all()
    assert ((rays.polarization >= 0) & (rays.polarization <= 1 + 1e-12)).all()
