"""The amorphous background of a campaign: that of each shot's beam, detector and layers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiledsim.detector_model.shot_background as stage
from tests.unit.experiment.test_campaign import campaign
from tests.unit.scene.test_physics import experiment
from tiledsim import Experiment, build_scene, simulate
from tiledsim.campaign.spectra import sase_model, sase_spectrum
from tiledsim.detector_model.shot_background import background, wavelengths_needed
from tiledsim.errors import ExperimentError
from tiledsim.tile import Tile
from tiledsim.units import HC_EV_A

LAYERS: dict[str, Any] = {"layers": (
    {"material": "water", "thickness_mm": 0.5},
    {"material": "air", "thickness_mm": 30.0},
)}  # fmt: skip
BRIGHT: dict[str, Any] = {"wavelength_A": 1.0, "polarization": 0.9}
DARK: dict[str, Any] = {"default_F": 1e-6}
"""Spots that do not hide what the background is."""


def layers(*thickness_mm: float) -> dict[str, Any]:
    given = [dict(layer) for layer in LAYERS["layers"]]
    for layer, thickness in zip(given, thickness_mm, strict=True):
        layer["thickness_mm"] = thickness
    return {"layers": tuple(given)}


@pytest.mark.parametrize(
    ("column", "value", "parts"),
    [
        ("fluence_photons_per_m2", 3e28, {"beam": {"fluence_photons_per_m2": 3e28}}),
        ("wavelength_A", 1.3, {"beam": {"wavelength_A": 1.3}}),
        ("energy_eV", 9000.0, {"beam": {"wavelength_A": None, "energy_eV": 9000.0}}),
        ("polarization", -0.4, {"beam": {"polarization": -0.4}}),
        ("distance_mm", 81.0, {"detector": {"distance_mm": 81.0}}),
        ("layer_1_thickness_mm", 0.7, {"background": layers(0.7, 30.0)}),
        ("layer_2_thickness_mm", 99.0, {"background": layers(0.5, 99.0)}),
    ],
)
@pytest.mark.parametrize("count", [1, 6])
def test_it_is_that_of_an_experiment_of_its_own(
    column: str, value: float, parts: dict[str, dict[str, Any]], count: int
) -> None:
    given = {"structure_factors": DARK, "background": LAYERS, "beam": BRIGHT}
    own = experiment(**{name: given.get(name, {}) | parts.get(name, {}) for name in given | parts})
    many = campaign({column: {"list": (value,), "repeat": True}}, shots={"count": count}, **given)
    expected = simulate(own)[0]
    np.testing.assert_allclose(simulate(many, shots=[count - 1])[0], expected, rtol=1e-7)
    base = simulate(experiment(**given))[0]
    assert not np.isclose(base, expected, rtol=1e-3).all()


@pytest.mark.parametrize("axis", ["fast", "slow"])
def test_it_moves_with_the_detector(axis: str) -> None:
    # A shift by whole pixels shows what the pixels beside saw: rays to the same places.
    given = {"structure_factors": DARK, "background": LAYERS, "beam": BRIGHT}
    column = {f"detector_shift_{axis}_mm": {"list": (0.0, 1.5)}}  # five pixels
    still, moved = simulate(campaign(column, shots={"count": 2}, **given))[:, 0]
    if axis == "slow":
        still, moved = still.T, moved.T
    np.testing.assert_allclose(moved[:, :-5], still[:, 5:], rtol=1e-6)


def own_spectrum(energies_eV: Any, weights: Any, **parts: Any) -> Experiment:
    wavelengths = tuple(map(float, HC_EV_A / np.asarray(energies_eV)))
    spectrum = {"wavelengths_A": wavelengths, "weights": tuple(map(float, weights))}
    return experiment(
        beam=BRIGHT | {"spectrum": spectrum}, structure_factors=DARK, background=LAYERS, **parts
    )


@pytest.mark.parametrize("band_eV", [30.0, 1500.0])
@pytest.mark.parametrize("moved", [False, True])
def test_it_has_the_spectrum_of_its_shot(tmp_path: Path, band_eV: float, moved: bool) -> None:
    rng = np.random.default_rng(1)
    energies = HC_EV_A + np.linspace(-0.5, 0.5, 40) * band_eV
    weights = rng.exponential(1.0, (3, 40))
    np.savez(tmp_path / "s.npz", energies_eV=energies, weights=weights)
    columns: dict[str, Any] = {"fluence_photons_per_m2": {"list": (1e25, 2e28, 3e26)}}
    if moved:
        columns["distance_mm"] = {"list": (101.0,), "repeat": True}
    many = campaign(columns, shots={"count": 3, "spectra_file": tmp_path / "s.npz"}, beam=BRIGHT,
                    structure_factors=DARK, background=LAYERS)  # fmt: skip
    place = {"distance_mm": 101.0 if moved else 100.0}
    own = own_spectrum(energies, weights[1], detector=place)
    own = own.replace(beam=own.beam.model_copy(update={"fluence_photons_per_m2": 2e28}))
    np.testing.assert_allclose(simulate(many, shots=[1]), simulate(own), rtol=1e-5)
    others = simulate(own_spectrum(energies, weights[0], detector=place))
    if band_eV > 1000.0:
        assert not np.isclose(others / others.mean(), simulate(own) / simulate(own).mean(),
                              rtol=1e-5).all()  # fmt: skip


def test_few_wavelengths_stand_for_a_narrow_band_and_more_for_a_wide_one(tmp_path: Path) -> None:
    def needed(span: float, **parts: Any) -> int:
        sase = {"bandwidth_eV": span / 3, "spike_eV": span / 30, "channels": 100, "span_eV": span}
        return wavelengths_needed(build_scene(campaign(shots={"sase": sase}, background=LAYERS,
                                                       **parts)))  # fmt: skip

    assert needed(90.0) == 5
    assert needed(3000.0) in (9, 17, 33)
    table = tmp_path / "steps.stol"
    table.write_text("".join(f"{0.001 * k:.4f} {5 + 3 * (k % 2)}\n" for k in range(500)))
    steps = {"layers": ({"stol_file": table, "thickness_mm": 1.0, "density_g_per_cm3": 1.0,
                         "molecular_weight_g_per_mol": 18.0},)}  # fmt: skip
    sase = {"bandwidth_eV": 500.0, "spike_eV": 30.0, "channels": 100, "span_eV": 2000.0}
    made = campaign(shots={"sase": sase}, background=steps, structure_factors=DARK)
    assert wavelengths_needed(build_scene(made)) == 0  # each source by itself, then


def test_the_spectrum_of_a_free_electron_laser(monkeypatch: pytest.MonkeyPatch) -> None:
    sase = {"bandwidth_eV": 60.0, "spike_eV": 4.0, "channels": 60}
    many = campaign(shots={"count": 4, "sase": sase, "seed": 5}, beam=BRIGHT,
                    structure_factors=DARK, background=LAYERS)  # fmt: skip
    assert many.shots.sase is not None
    model = sase_model(many.shots.sase, many.shots.seed)
    own = own_spectrum(HC_EV_A + model.offsets_eV, sase_spectrum(model, 3))
    images = simulate(many)
    np.testing.assert_allclose(images[3], simulate(own)[0], rtol=1e-5)
    # The bytes depend neither on the number of shots nor on what else is kept, nor on the tile.
    monkeypatch.setattr(stage, "KEPT_BYTES", 0)
    more = many.replace(shots=many.shots.model_copy(update={"count": 40}))
    assert (simulate(more, shots=[3, 1]) == images[[3, 1]]).all()
    scene = build_scene(more)
    whole = background(scene, Tile(3, 0, 0, 96, 0, 96))
    part = background(scene, Tile(3, 0, 17, 80, 40, 77))
    assert whole is not None
    assert part is not None
    assert (whole[17:80, 40:77] == part).all()


@pytest.mark.parametrize(
    ("columns", "parts", "match"),
    [
        ({"layer_3_thickness_mm": {"uniform": (1, 2)}}, {}, "background.layers has 2, no number 3"),
        (
            {"fluence_photons_per_m2": {"uniform": (1e20, 2e20)}},
            {"beam": {"wavelength_A": 1.0, "fluence_photons_per_m2": 0.0}},
            "fluence above 0",
        ),
        ({"wavelength_A": {"list": (1.0, 1.0, 9.0, 1, 1, 1)}}, {}, "row 2 .* from 2000 to 100000"),
    ],
)
def test_layers_that_cannot_follow(
    columns: dict[str, Any], parts: dict[str, Any], match: str
) -> None:
    with pytest.raises(ExperimentError, match=match) as caught:
        build_scene(campaign(columns, background=LAYERS, **parts))
    assert "\n" not in str(caught.value)
