"""Campaigns: each shot is what an experiment of its own would be, and depends on no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.unit.scene.test_physics import experiment
from tiledsim import Experiment, build_scene, simulate
from tiledsim.campaign.orientations import matrix_turns
from tiledsim.campaign.spectra import sase_model, sase_spectrum
from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Sase
from tiledsim.scene.crystal.random import quaternion_rotations, uniform_rotations

MOSAIC = {"spread_deg": 0.5, "domains": 3}


def campaign(columns: dict[str, Any] | None = None, **parts: Any) -> Experiment:
    shots = {"count": 6, "seed": 5, "columns": columns or {}} | parts.pop("shots", {})
    return experiment(shots=shots, **parts)


@pytest.mark.parametrize(
    ("column", "value", "parts"),
    [
        ("fluence_photons_per_m2", 3e28, {"beam": {"fluence_photons_per_m2": 3e28}}),
        ("wavelength_A", 1.1, {"beam": {"wavelength_A": 1.1}}),
        ("energy_eV", 12000.0, {"beam": {"wavelength_A": None, "energy_eV": 12000.0}}),
        ("polarization", 0.7, {"beam": {"polarization": 0.7}}),
        ("distance_mm", 91.0, {"detector": {"distance_mm": 91.0}}),
        ("cell_b_A", 84.0, {"crystal": {"cell_A_deg": (70, 84, 90, 75, 85, 95)}}),
        ("cell_gamma_deg", 91.0, {"crystal": {"cell_A_deg": (70, 80, 90, 75, 85, 91)}}),
        ("cells_b", 14, {"crystal": {"cells": (10, 14, 10)}}),
        ("water_um", 50.0, {"background": {"water_um": 50.0}}),
        ("misset_y_deg", 12.0, {"crystal": {"misset_deg": (0, 12.0, 0)}}),
        ("noise_seed", 17, {"noise": {"seed": 17}}),
        (
            "mosaic_spread_deg",
            0.9,
            {"crystal": {"mosaic": MOSAIC | {"spread_deg": 0.9}}},
        ),
    ],
)
def test_a_shot_is_an_experiment_of_its_own(
    column: str, value: float, parts: dict[str, dict[str, Any]]
) -> None:
    given: dict[str, dict[str, Any]] = {"sampling": {"oversample": "auto"}}
    if column == "noise_seed":
        given["noise"] = {"seed": 3}
    if column == "mosaic_spread_deg":
        given["crystal"] = {"mosaic": MOSAIC}
    own = experiment(**{k: given.get(k, {}) | parts.get(k, {}) for k in given | parts})
    many = campaign({column: {"list": (value,), "repeat": True}}, **given)
    expected = simulate(own)[0]
    assert expected.max() > 0
    shot = 0 if column == "noise_seed" else 4  # noise differs with the number of the shot
    np.testing.assert_allclose(simulate(many, shots=[shot])[0], expected, rtol=1e-9)
    if column != "noise_seed":
        assert not np.allclose(simulate(experiment(**given))[0], expected, rtol=1e-6)


def test_a_B_factor_of_each_shot(tmp_path: Path) -> None:
    table = tmp_path / "f.hkl"
    table.write_text("".join(f"{h} {k} {l} {50 + h}\n" for h in range(-6, 7)
                             for k in range(-6, 7) for l in range(-6, 7)))  # fmt: skip
    factors = {"file": table, "default_F": 3.0}
    own = experiment(structure_factors=factors, crystal={"B_A2": 40.0})
    many = campaign({"B_A2": {"list": (0.0, 40.0), "repeat": True}}, structure_factors=factors,
                    crystal={"B_A2": 7.0})  # fmt: skip
    np.testing.assert_allclose(simulate(many, shots=[1]), simulate(own), rtol=1e-12)


def every_kind() -> Experiment:
    return campaign(
        {
            "fluence_photons_per_m2": {"lognormal": (1e28, 0.4)},
            "wavelength_A": {"normal": (1.0, 0.01)},
            "cell_a_A": {"uniform": (68.0, 72.0)},
            "cells_c": {"choice": (8, 12)},
            "noise_seed": {"linspace": (0, 99, 100)},
            "batch": {"choice": ("wet", "dry")},
        },
        shots={"orientation": "random", "sase": {"bandwidth_eV": 60, "spike_eV": 8, "channels": 9}},
        noise={},
    )


def test_a_shot_depends_on_the_seed_and_its_number_alone() -> None:
    few = every_kind()
    more = few.replace(shots=few.shots.model_copy(update={"count": 40}))
    whole = simulate(few)
    assert len({image.tobytes() for image in whole}) == 6
    assert (simulate(more, shots=[5, 0, 3]) == whole[[5, 0, 3]]).all()
    np.testing.assert_array_equal(build_scene(more).shot_values[:6], build_scene(few).shot_values)


def test_orientations_do_not_change_with_a_column_beside_them() -> None:
    shots = {"count": 3, "orientation": "random", "seed": 4}
    plain = simulate(experiment(shots=shots))
    beside = campaign({"polarization": {"list": (0.0,), "repeat": True}}, shots=shots)
    np.testing.assert_allclose(simulate(beside), plain, rtol=1e-9, atol=1e-12)


def test_the_three_sources_of_rows_are_the_same(tmp_path: Path) -> None:
    import pandas as pd

    U = uniform_rotations(2, 6)
    rows = {"fluence_photons_per_m2": np.linspace(1e28, 2e28, 6), "sample": np.arange(6)}
    rows |= {f"U_{i + 1}{j + 1}": U[:, i, j] for i in range(3) for j in range(3)}
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "shots.csv", index=False)
    frame.to_parquet(tmp_path / "shots.parquet")
    np.savez(tmp_path / "shots.npz", **rows)
    base = campaign({"polarization": {"normal": (0.5, 0.1)}})
    images = simulate(base.with_shots(rows))
    assert (simulate(base.with_shots(frame)) == images).all()
    assert (simulate(base.with_shots(frame.to_records(index=False))) == images).all()
    for name in ("shots.csv", "shots.parquet", "shots.npz"):
        toml = base.to_toml().replace("count = 6", f'table = "{name}"')
        assert (simulate(Experiment.from_toml(toml, tmp_path)) == images).all()
    np.testing.assert_allclose(quaternion_rotations(matrix_turns(U)), U, atol=1e-12)


@pytest.mark.parametrize(
    ("column", "cdf"),
    [
        ({"uniform": (-3.0, 5.0)}, stats.uniform(-3, 8).cdf),
        ({"normal": (2.0, 0.5)}, stats.norm(2, 0.5).cdf),
        ({"lognormal": (2.0, 0.5)}, stats.lognorm(0.5, scale=2.0).cdf),
    ],
)
def test_distributions_are_what_they_say(column: dict[str, Any], cdf: Callable[[Any], Any]) -> None:
    from tiledsim.campaign.distributions import draw
    from tiledsim.experiment import Column

    values = draw("x", Column(**column), 1, 20_000)
    assert stats.kstest(values, cdf).pvalue > 0.01
    other = draw("y", Column(**column), 1, 20_000)
    assert abs(stats.spearmanr(values, other).statistic) < 0.03


def test_choices_have_their_weights() -> None:
    from tiledsim.campaign.distributions import draw
    from tiledsim.experiment import Column

    values = draw("x", Column(choice=(1.0, 2.0, 4.0), weights=(1, 0, 3)), 1, 20_000)
    counts = [int((values == v).sum()) for v in (1.0, 2.0, 4.0)]
    assert counts[1] == 0
    assert stats.binomtest(counts[0], 20_000, 0.25).pvalue > 0.01


def test_random_orientations_are_uniform() -> None:
    # Uniform over SO(3): the angle θ has the density (1 − cos θ)/π, and where the rotation takes
    # any axis is uniform over the sphere.
    turns = build_scene(campaign({"polarization": {"uniform": (0, 1)}},
                        shots={"count": 20_000, "orientation": "random"})).shot_values  # fmt: skip
    matrices = quaternion_rotations(turns[:, 1:])
    cosine = (np.trace(matrices, axis1=1, axis2=2) - 1) / 2
    angle = np.arccos(np.clip(cosine, -1, 1))
    assert stats.kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 0.01
    for axis in matrices.transpose(1, 2, 0).reshape(9, -1):
        assert stats.kstest(axis, stats.uniform(-1, 2).cdf).pvalue > 0.001


def test_orientations_about_an_axis_and_within_a_spread() -> None:
    about = campaign(shots={"count": 5000, "orientation": "about_axis", "axis": (0, 3, 0),
                            "range_deg": (10, 50)})  # fmt: skip
    matrices = quaternion_rotations(build_scene(about).shot_values)
    np.testing.assert_allclose(matrices[:, :, 1], [[0, 1, 0]] * 5000, atol=1e-12)
    angle = np.degrees(np.arctan2(matrices[:, 0, 2], matrices[:, 0, 0]))
    assert stats.kstest(angle, stats.uniform(10, 40).cdf).pvalue > 0.01
    spread = campaign(shots={"count": 5000, "orientation": "spread", "spread_deg": 2.0})
    turns = build_scene(spread).shot_values
    vectors = np.degrees(2 * turns[:, 1:])  # of a small angle
    for component in vectors.T:
        assert stats.kstest(component, stats.norm(0, 2.0).cdf).pvalue > 0.001


def test_spectra_of_a_free_electron_laser() -> None:
    # Fully chaotic light: in a fine channel intensities are exponential, neighbours correlate as
    # |g|² with the width of a spike, and the mean is the envelope.
    sase = Sase(bandwidth_eV=40.0, spike_eV=1.0, channels=480, span_eV=120.0)
    model = sase_model(sase, 3)
    spectra = np.stack([sase_spectrum(model, shot) for shot in range(2000)])
    np.testing.assert_allclose(spectra.mean(axis=1), 1.0, rtol=1e-6)
    mean, envelope = spectra.mean(axis=0), model.envelope
    assert np.abs(mean / mean.sum() - envelope / envelope.sum()).max() * 480 < 0.3
    middle = mean @ model.offsets_eV / mean.sum()
    width = 2.3548 * np.sqrt(mean @ (model.offsets_eV - middle) ** 2 / mean.sum())
    assert abs(middle) < 0.5
    assert width == pytest.approx(40.0, rel=0.03)
    one = spectra[:, 240]
    assert one.std() / one.mean() == pytest.approx(1.0, abs=0.1)
    # The correlation of intensities has a full width of a spike: at half of it, it is a half.
    channel = 120.0 / 480
    away = np.corrcoef(one, spectra[:, 240 + round(0.5 / channel)])[0, 1]
    assert away == pytest.approx(0.5, abs=0.08)


def test_spectra_of_a_file(tmp_path: Path) -> None:
    weights = np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0], [1.0, 1.0, 1.0]])
    np.savez(tmp_path / "s.npz", wavelengths_A=[0.99, 1.0, 1.02], weights=weights)
    many = campaign({"spectrum": {"list": (1, 2, 0, 0, 1, 2)}},
                    shots={"spectra_file": tmp_path / "s.npz"})  # fmt: skip
    for shot, row in enumerate((1, 2, 0)):
        spectrum = {"wavelengths_A": (0.99, 1.0, 1.02), "weights": tuple(weights[row])}
        own = experiment(beam={"spectrum": spectrum, "wavelength_A": 1.0})
        np.testing.assert_allclose(simulate(many, shots=[shot]), simulate(own), rtol=1e-9)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ({"fluence_photon_per_m2": [1.0] * 6}, "did you mean 'fluence_photons_per_m2'"),
        ({"distance_m": [1.0] * 6}, "did you mean 'distance_mm'"),
        ({"pixel_mm": [1.0] * 6}, "'pixel_mm' cannot vary from shot to shot yet; those that can"),
        ({"polarization": [1.0] * 6, "a": [1] * 5}, "'a' has 5 rows, 'polarization' has 6"),
        ({"polarization": [0.1] * 5}, "count = 6, but with_shots has 5 rows"),
        ({"polarization": [0.1, 0, 0, 2, 0, 0]}, "polarization in row 3 is 2: must be a finite"),
        ({"polarization": [0.1, np.nan, 0, 0, 0, 0]}, "polarization in row 1 is nan"),
        ({"polarization": ["a"] * 6}, "polarization must be numbers; row 0 is 'a'"),
        ({"cell_alpha_deg": [75.0] * 4 + [5.0] * 2}, "the cell in row 4"),
        ({"wavelength_A": [1.0] * 6, "energy_eV": [1e4] * 6}, "give one"),
        ({"spectrum": [0] * 6}, "needs shots.spectra_file"),
        ({"noise_seed": [0] * 6}, "needs a .noise. section"),
        ({"mosaic_spread_deg": [0.1] * 6}, "needs crystal.mosaic.spread_deg"),
        ({"B_A2": [20.0] * 6}, "weakens reflections that a file holds"),
        ({"misset_x_deg": [20.0] * 6, "U_11": [1.0] * 6}, "both turn the crystal"),
        ({"U_11": [1.0] * 6}, "U_12 is missing"),
        ({f"U_{i}{j}": [0.5] * 6 for i in (1, 2, 3) for j in (1, 2, 3)}, "row 0 are no rotation"),
        ({"cells_a": [10.5] * 6}, "cells_a in row 0 is 10.5: must be a whole number"),
    ],
)
def test_rows_that_make_no_sense(rows: dict[str, Any], match: str) -> None:
    with pytest.raises(ExperimentError, match=match) as caught:
        build_scene(experiment().with_shots(rows, count=6))
    assert "\n" not in str(caught.value)


def test_a_label_that_resembles_a_column_is_declared() -> None:
    made = campaign(shots={"labels": ("polarisation",)}).with_shots({"polarisation": [0.1] * 6})
    assert build_scene(made).shot_names == ()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('columns.polarization = {normal = [1, "a"]}', r"shots.columns.polarization.normal\[1\]"),
        ("columns.polarization = {norml = [1, 2]}", "did you mean .*normal'"),
        ("columns.polarization = {normal = [1, 2], uniform = [1, 2]}", "give one of uniform"),
        ("columns.polarization = {uniform = [2, 1]}", "the lowest value comes first"),
        ("columns.polarization = {list = [0.1, 0.2]}", "2 values for 6 shots; give one a shot"),
        ('orientation = "spread"', "belong together"),
        ('table = "none.csv"', "none.csv: the table of shots does not exist"),
        ('table = "bad.csv"', "bad.csv, line 3: 3 values for 2 columns"),
        ('spectra_file = "bad.npz"', r"weights have the shape \(4, 3\) and wavelengths_A \(2,\)"),
    ],
)
def test_sections_that_make_no_sense(text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("polarization,name\n0.1,a\n0.2,b,c\n")
    np.savez(tmp_path / "bad.npz", wavelengths_A=[1.0, 1.1], weights=np.ones((4, 3)))
    toml = experiment().to_toml() + f"\n[shots]\ncount = 6\n{text}\n"
    with pytest.raises((ExperimentError, InputFileError), match=match) as caught:
        build_scene(Experiment.from_toml(toml, tmp_path))
    assert "\n" not in str(caught.value)


def test_a_store_has_the_table_beside_its_images(tmp_path: Path) -> None:
    from tiledsim import scheduler

    made = every_kind()
    scheduler.run(made, tmp_path / "a.zarr", workers=1, threads=1, backend="cpu")
    scheduler.run(made, tmp_path / "a.zarr", workers=1, threads=1, backend="cpu", resume=True)
    opened = scheduler.open(tmp_path / "a.zarr")
    assert (opened["image"].values == simulate(made)).all()
    scene = build_scene(made)
    assert scene.shot_values is not None
    fluence = scene.shot_values[:, scene.shot_names.index("fluence_photons_per_m2")]
    assert (opened["fluence_photons_per_m2"].values == fluence).all()
    assert opened["fluence_photons_per_m2"].attrs["units"] == "photons/m^2"
    assert set(opened["batch"].values) == {"wet", "dry"}
    dry = opened.isel(shot=opened["batch"].values == "dry")
    assert 0 < dry.sizes["shot"] < 6
