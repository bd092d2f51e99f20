"""What is left out is within the bound that is given, for every pixel, and no tile shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.strategies import experiments
from tiledsim import Experiment, Tile, build_scene, simulate
from tiledsim.detector_model.stage import start_tile
from tiledsim.kernels import get_backend
from tiledsim.kernels.cpu.backend import CpuBackend
from tiledsim.kernels.cpu.culled import choice_of, render_listed
from tiledsim.reach.choice import choose
from tiledsim.reference.trace import trace
from tiledsim.scene import Scene

ROUNDING = 1e-9


def _listed(scene: Scene, tile: Tile) -> tuple[np.ndarray, float]:
    """Render a tile from lists, whether or not that pays."""
    backend = CpuBackend()
    p, rendered = backend._parameters(scene, tile, interpolate=False)
    image = np.empty((tile.rows, tile.cols))
    return image, render_listed(scene, tile, p, rendered, image)


def _exact(experiment: Experiment) -> np.ndarray:
    sampling = experiment.sampling.model_copy(update={"tolerance": 0.0})
    return np.asarray(simulate(experiment.replace(sampling=sampling), backend="cpu")[0, 0])


def _with(experiment: Experiment, photons: float, relative: float, **crystal: Any) -> Experiment:
    sampling = experiment.sampling.model_copy(
        update={"tolerance_photons": photons, "tolerance": relative, "oversample": 2}
    )
    detector = experiment.detector.model_copy(update={"curved": False})
    return experiment.replace(
        sampling=sampling,
        detector=detector,
        crystal=experiment.crystal.model_copy(update=crystal),
        structure_factors=experiment.structure_factors,
    )


def _whole(scene: Scene) -> Tile:
    return Tile(0, 0, 0, scene.shape[2], 0, scene.shape[3])


@settings(max_examples=25)
@given(
    experiments(),
    st.sampled_from(["gauss", "tophat", "round"]),
    st.sampled_from([1e-2, 1e-4, 1e-8, 1e-14]),
    st.tuples(*[st.integers(6, 60)] * 3),
    st.integers(0, 60),
    st.integers(0, 8),
)
def test_every_pixel_is_within_the_bound_and_no_tile_shows(
    drawn: Experiment,
    shape: str,
    relative: float,
    cells: tuple[int, int, int],
    cut_fast: int,
    cut_slow: int,
) -> None:
    # The tails of `round` fall as the fourth power: below 1e-8 each reflection reaches each pixel.
    assume(shape != "round" or relative >= 1e-8)
    experiment = _with(drawn, 1e300, relative, shape=shape, cells=cells)
    scene = build_scene(experiment)
    image, bound = _listed(scene, _whole(scene))
    missing = _exact(experiment) - image
    rounding = ROUNDING * max(float(image.max()), 1e-300)
    assert missing.min() >= -rounding
    assert missing.max() <= bound + rounding
    _, _, slow, fast = scene.shape
    s, f = min(cut_slow, slow - 1), min(cut_fast, fast - 1)
    for s0, s1 in ((0, s), (s, slow)):
        for f0, f1 in ((0, f), (f, fast)):
            if s1 > s0 and f1 > f0:
                part, _ = _listed(scene, Tile(0, 0, s0, s1, f0, f1))
                assert np.array_equal(part, image[s0:s1, f0:f1])


SPOTS: dict[str, Any] = {
    "beam": {"wavelength_A": 1.0},
    "crystal": {
        "cell_A_deg": (70, 80, 90, 75, 85, 95),
        "misset_deg": (10, 20, 30),
        "cells": (20, 20, 20),
        "shape": "gauss",
        "mosaic": {"spread_deg": 0.5, "domains": 10},
    },
    "structure_factors": {"default_F": 100},
    "detector": {"size_px": (150, 140), "distance_mm": 100, "pixel_mm": 0.1},
    "sampling": {"oversample": 1},
}

LOOSE = {"oversample": 2, "tolerance_photons": 1e15, "tolerance": 1e-3}
SENSOR = {"depth_um": 200.0, "thickness_um": 300.0, "layers": 2}


def _spots(**changes: Any) -> Experiment:
    merged = {
        name: SPOTS.get(name, {}) | changes.get(name, {}) for name in (SPOTS.keys() | changes)
    }
    return Experiment(**merged)


@pytest.mark.parametrize("beam", [{}, {"dispersion_percent": 5, "dispersion_steps": 40}])
def test_the_tolerances_are_kept(beam: dict[str, Any]) -> None:
    experiment = _spots(beam=beam | {"wavelength_A": 1.0, "flux_photons_per_s": 1e17})
    scene = build_scene(experiment)
    assert choice_of(scene).method == "events"
    image, bound = CpuBackend().render_bounded(scene, _whole(scene))
    exact = _exact(experiment)
    assert 0.0 < bound <= 1e-3
    assert exact.max() > 1.0
    assert (exact - image).max() <= bound
    assert (exact - image).sum() <= bound * image.size


def test_a_top_hat_is_exact() -> None:
    experiment = _spots(crystal={**SPOTS["crystal"], "shape": "tophat"})
    scene = build_scene(experiment)
    assert choice_of(scene).method == "events"
    image, bound = CpuBackend().render_bounded(scene, _whole(scene))
    exact = _exact(experiment)
    assert bound == 0.0
    assert (exact > 0).any()
    np.testing.assert_allclose(image, exact, rtol=1e-11)


def _faint_and_strong(folder: Path) -> Path:
    """A table of reflections of which one in three is a hundred thousand times weaker."""
    file = folder / "reflections.hkl"
    lines = [
        f"{h} {k} {l} {0.001 if (h + k + l) % 3 else 100.0}\n"
        for h in range(-9, 10) for k in range(-9, 10) for l in range(-9, 10)
    ]  # fmt: skip
    file.write_text("".join(lines))
    return file


@pytest.mark.parametrize("shape", ["gauss", "round", "tophat"])
def test_weak_reflections_are_left_out_within_the_bound(tmp_path: Path, shape: str) -> None:
    experiment = _spots(
        crystal={**SPOTS["crystal"], "shape": shape},
        structure_factors={"hkl_file": str(_faint_and_strong(tmp_path)), "default_F": 0},
        sampling=LOOSE,
    )
    image, bound = _listed(build_scene(experiment), _whole(build_scene(experiment)))
    missing = _exact(experiment) - image
    assert np.abs(missing).max() <= bound + ROUNDING * image.max()
    assert (missing.max() > ROUNDING * image.max()) == (shape != "tophat")


@pytest.mark.parametrize("shape", ["gauss", "round", "tophat"])
@pytest.mark.parametrize("beam", [{}, {"dispersion_percent": 5, "dispersion_steps": 40}])
def test_a_trace_says_what_is_left_out(shape: str, beam: dict[str, Any]) -> None:
    experiment = _spots(
        crystal={**SPOTS["crystal"], "shape": shape}, beam=beam | {"wavelength_A": 1.0},
        sampling=LOOSE,
        detector=SPOTS["detector"] | {"sensor": SENSOR},
    )  # fmt: skip
    scene = build_scene(experiment)
    image, _ = CpuBackend().render_bounded(scene, _whole(scene))
    slow, fast = (int(i) for i in np.unravel_index(image.argmax(), image.shape))
    left_out, in_all = 0.0, 0
    for col in range(max(fast - 8, 0), min(fast + 9, 150), 4):
        found = trace(scene, 0, slow, col)
        number = {entry.key: float(np.sum(entry.value)) for entry in found.entries}
        total = number["I_pixel_final"]
        told = number["kernel_I_pixel"] + number["skipped_photons"]
        assert told == pytest.approx(total, rel=1e-10)
        assert 0.0 <= number["skipped_photons"] <= number["skipped_bound"] + 1e-15 * total
        assert found.all_steps()["skipped"].sum() == number["steps_skipped"]
        left_out, in_all = left_out + number["steps_skipped"], in_all + scene.steps_per_pixel
    assert 0 < left_out < in_all


def test_a_trace_of_every_step_says_nothing_of_it() -> None:
    found = trace(_spots().replace(mode="c-parity"), 0, 20, 20)
    assert not [entry.key for entry in found.entries if "skipped" in entry.key]
    assert "skipped" not in found.all_steps()


def test_the_bound_is_told_where_a_background_is_added() -> None:
    layers = [{"material": "water", "thickness_mm": 0.1}]
    scene = build_scene(_spots(background={"layers": layers}))
    assert choice_of(scene).method == "events"
    alone = start_tile(get_backend("cpu"), build_scene(_spots()), _whole(scene)).result()
    together = start_tile(get_backend("cpu"), scene, _whole(scene)).result()
    assert together.bound == alone.bound > 0.0


def test_masked_pixels_stay_dark_and_others_do_not_change() -> None:
    whole = simulate(_spots(), backend="cpu")[0, 0]
    detector = SPOTS["detector"] | {"roi": (20, 90, 31, 77)}
    part = simulate(_spots(detector=detector), backend="cpu")[0, 0]
    assert np.array_equal(part[31:78, 20:91], whole[31:78, 20:91])
    assert part.sum() == pytest.approx(whole[31:78, 20:91].sum())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sampling": {"tolerance_photons": 0}}, "tolerance is 0"),
        ({"sampling": {"tolerance": 0}}, "tolerance is 0"),
        ({"detector": {**SPOTS["detector"], "curved": True}}, "curved"),
        ({"crystal": {**SPOTS["crystal"], "cells": (2, 2, 2)}}, "matter"),
    ],
)
def test_every_step_is_evaluated_where_lists_cannot_help(changes: dict[str, Any], why: str) -> None:
    choice = choose(build_scene(_spots(**changes)))
    assert choice.method == "every step"
    assert why in choice.line()


def test_c_parity_evaluates_every_step() -> None:
    scene = build_scene(_spots().replace(mode="c-parity"))
    assert scene.tolerance_photons == scene.tolerance == 0.0
    assert choose(scene).method == "every step"
