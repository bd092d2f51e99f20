"""Structure factors that follow the wavelength: kernels, sums of single runs, Bijvoet pairs."""

from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest

from tests.gpu.shim_device import COMPILER, ShimDevice
from tests.unit.command import refusal
from tests.unit.structure_factors.test_coordinates import PLAIN
from tiledsim import build_scene
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.kernels.cuda.backend import CudaBackend
from tiledsim.reach.choice import choose
from tiledsim.reach.thresholds import largest_F
from tiledsim.reference.model import render
from tiledsim.scene import Scene
from tiledsim.scene.files import read_scene, write_scene
from tiledsim.structure_factors import cache
from tiledsim.tile import Tile
from tiledsim.units import HC_EV_A

ENERGIES = (12640.0, 12655.0, 12665.0, 12700.0)
WEIGHTS = (1.0, 3.0, 2.0, 0.5)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "user_cache_path", lambda name: tmp_path / "cache" / name)


def selenium(
    folder: Path, energies: tuple[float, ...], weights: tuple[float, ...], **parts: Any
) -> Experiment:
    path = folder / "model.pdb"
    path.write_text(PLAIN)
    base: dict[str, Any] = {
        "beam": {"energy_eV": 12660.0, "polarization": 0.5, "spectrum": {
            "wavelengths_A": [HC_EV_A / energy for energy in energies], "weights": weights}},
        "crystal": {"cells": (6, 7, 8), "misset_deg": (13, 27, 41),
                    "mosaic": {"spread_deg": 1.0, "domains": 4}},
        "structure_factors": {"file": path, "dmin_A": 1.2, "default_F": 3.0, "anomalous": ("Se",)},
        "detector": {"size_px": (70, 50), "pixel_mm": 1.0, "distance_mm": 60},
        "sampling": {"oversample": 1},
    }  # fmt: skip
    for name, part in parts.items():
        base[name] = base[name] | part
    return Experiment.model_validate(base)


def whole(scene: Scene) -> Tile:
    return Tile(0, 0, 0, scene.shape[2], 0, scene.shape[3])


def image(experiment: Experiment) -> np.ndarray:
    scene = build_scene(experiment)
    return get_backend("cpu").render(scene, whole(scene))


def test_a_spectrum_is_the_sum_of_its_monochromatic_runs(tmp_path: Path) -> None:
    """To 1e-10 of every pixel, though each of those has a table of its own energy."""
    together = image(selenium(tmp_path, ENERGIES, WEIGHTS))
    alone = np.zeros_like(together)
    for energy, weight in zip(ENERGIES, WEIGHTS, strict=True):
        # C and O have f′ and f″ at the central energy; so they do in the spectrum's base.
        given = {
            name: tuple(gemmi.cromer_liberman(gemmi.Element(name).atomic_number, 12660.0))
            for name in ("C", "O")
        }
        factors = {"anomalous": (), "f_prime": given}
        single = selenium(tmp_path, (energy,), (1.0,), structure_factors=factors,
                          beam={"energy_eV": energy})  # fmt: skip
        alone += weight / sum(WEIGHTS) * image(single)
    assert together.max() > 0
    np.testing.assert_allclose(together, alone, rtol=1e-10)


def test_without_the_edge_it_would_be_another_image(tmp_path: Path) -> None:
    """The test above can fail: one table for all energies gives something else."""
    together = image(selenium(tmp_path, ENERGIES, WEIGHTS))
    plain = image(selenium(tmp_path, ENERGIES, WEIGHTS, structure_factors={"anomalous": ()}))
    assert np.abs(together - plain).max() > 1e-3 * plain.max()


@pytest.mark.parametrize("elements", [("Se",), ("C", "Se"), ("C", "O", "Se")])
def test_reference_and_kernel_agree(elements: tuple[str, ...], tmp_path: Path) -> None:
    """Every pixel, also where running products multiply the sum (nanoBragg's mode)."""
    for settings in ({}, {"mode": "c-parity"}):
        experiment = selenium(
            tmp_path, ENERGIES, WEIGHTS, structure_factors={"anomalous": elements}
        )
        scene = build_scene(experiment.replace(**settings))
        expected = render(scene, whole(scene))
        got = get_backend("cpu").render(scene, whole(scene))
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12 * expected.max())


@pytest.mark.parametrize(
    ("shape", "count"),
    [("gauss", 1), ("gauss", 4), ("gauss", 60), ("round", 4), ("tophat", 1), ("tophat", 60)],
)
def test_only_what_matters_is_computed(shape: str, count: int, tmp_path: Path) -> None:
    """Within the bound of the pixels that every step makes, and the same in any tiling."""
    energies = tuple(np.linspace(12640.0, 12700.0, count))
    weights = tuple(np.random.default_rng(count).uniform(0.2, 1.0, count))
    crystal = {"cells": (24, 24, 24), "shape": shape}
    scene = build_scene(selenium(
        tmp_path, energies, weights, crystal=crystal,
        sampling={"tolerance": 3e-4, "tolerance_photons": 1e15},
        structure_factors={"anomalous": ("C", "Se"), "default_F": 0.0},
    ))  # fmt: skip
    assert choose(scene, "cpu").method == "events"
    kernel = get_backend("cpu")
    found, bound = kernel.render_bounded(scene, whole(scene))  # type: ignore[attr-defined]
    expected = render(scene, whole(scene))
    rounding = 1e-9 * expected.max()
    assert (found <= expected + rounding).all()
    assert np.abs(found - expected).max() <= bound + rounding
    assert bound < 0.1 * expected.max()
    np.testing.assert_array_equal(
        kernel.render(scene, Tile(0, 0, 10, 33, 5, 64)), found[10:33, 5:64]
    )


def test_the_largest_F_is_one(tmp_path: Path) -> None:
    """Of each wavelength itself where they are few, and never too small where they are many."""
    for count in (3, 200):
        energies = tuple(np.linspace(12600.0, 12700.0, count))
        scene = build_scene(selenium(tmp_path, energies, (1.0,) * count))
        assert scene.F_complex is not None
        assert scene.dispersion is not None
        each = np.abs(scene.F_complex[..., 0] + scene.F_complex[..., 1] * scene.dispersion[:, 0][
            :, None, None, None])  # fmt: skip
        largest = largest_F(scene)
        assert (largest >= each.max(axis=0)).all()
        slack = 1e-9 if count == 3 else 0.3
        np.testing.assert_allclose(largest, each.max(axis=0), rtol=slack)


@pytest.mark.skipif(COMPILER is None, reason="there is no g++ to build the kernel with")
@pytest.mark.parametrize("dtype", ["float64", "mixed"])
@pytest.mark.parametrize("count", [2, 40])
def test_cuda_source_and_kernel_agree(dtype: str, count: int, tmp_path: Path) -> None:
    """Sources one by one, and as the wavelengths of one ray."""
    energies = tuple(np.linspace(12640.0, 12690.0, count))
    scene = build_scene(selenium(tmp_path, energies, (1.0,) * count))
    expected = get_backend("cpu").render(scene, whole(scene))
    got = CudaBackend(dtype, ShimDevice()).render(scene, whole(scene))
    if dtype == "float64":
        assert (np.abs(got - expected) <= 1e-11 * expected.max()).all()
    else:
        seen = expected > 1e-6 * expected.max()
        assert (np.abs(got - expected)[seen] <= 1e-4 * expected[seen]).all()


def test_bijvoet_pairs_at_the_edge(tmp_path: Path) -> None:
    """|F(h)|² − |F(−h)|² = 4·f″·Im(F₀·conj(A)) where only selenium absorbs, written out here."""
    nothing = {"C": (0.0, 0.0), "O": (0.0, 0.0), "Se": (-7.0, 5.0)}
    factors = {"solvent_k_e_per_A3": 0.0, "f_prime": nothing, "default_F": 0.0}
    scene = build_scene(selenium(tmp_path, ENERGIES, WEIGHTS, structure_factors=factors))
    assert scene.F_complex is not None
    assert scene.dispersion is not None
    assert (scene.dispersion == -7 + 5j).all()
    structure = gemmi.read_structure(str(tmp_path / "model.pdb"))
    calculator = gemmi.StructureFactorCalculatorX(structure.cell)
    selenium_atom = next(c.atom for c in structure[0].all() if c.atom.element.name == "Se")
    where = structure.cell.fractionalize(selenium_atom.pos).tolist()
    ops = list(structure.find_spacegroup().operations())
    for h in ([1, 2, 3], [4, 1, 2], [3, 5, 1]):
        F0 = calculator.calculate_sf_from_model(structure[0], h)
        s2 = structure.cell.calculate_1_d2(h)
        A = (
            0.8
            * np.exp(-15.0 * s2 / 4)
            * sum(np.exp(2j * np.pi * np.dot(h, op.apply_to_xyz(where))) for op in ops)
        )
        found = []
        for sign in (1, -1):
            at = tuple(sign * np.array(h) - np.array(scene.hkl_lowest) + 1)
            found.append(abs(scene.F_complex[at] @ np.array([1, -7 + 5j])) ** 2)
        real = F0 - 7 * A
        expected = 4 * 5.0 * (real.imag * A.real - real.real * A.imag)
        assert found[0] - found[1] == pytest.approx(expected, abs=1e-3)
        assert abs(expected) > 1.0


def test_default_outside_the_table_holds_at_every_energy(tmp_path: Path) -> None:
    scene = build_scene(selenium(tmp_path, ENERGIES, WEIGHTS))
    assert scene.F_complex is not None
    assert (scene.F_complex[0] == np.array([3.0, 0.0])).all()


def test_a_scene_is_read_back(tmp_path: Path) -> None:
    scene = build_scene(selenium(tmp_path, ENERGIES, WEIGHTS))
    write_scene(scene, tmp_path)
    again = read_scene(tmp_path, scene.hash)
    np.testing.assert_array_equal(
        get_backend("cpu").render(again, whole(again)),
        get_backend("cpu").render(scene, whole(scene)),
    )


def test_no_interpolation(tmp_path: Path) -> None:
    experiment = selenium(tmp_path, ENERGIES, WEIGHTS, crystal={"cells": (2, 2, 2)})
    (tmp_path / "x.toml").write_text(experiment.to_toml())
    assert "exclude each other" in refusal("describe", tmp_path / "x.toml")
