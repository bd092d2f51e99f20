"""The amorphous background: tables, direct values, tilings, absorption, totals, and the run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tiledsim.detector_model.amorphous import amplitude, first_rows, panel_of, slab
from tiledsim.detector_model.background import compute
from tiledsim.detector_model.shot_background import background
from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Experiment
from tiledsim.in_memory import simulate
from tiledsim.reference.model import pixel_rays
from tiledsim.scene import Scene
from tiledsim.scene.background import gas_table, read_table, with_slopes
from tiledsim.scene.build import build_scene
from tiledsim.tile import Tile
from tiledsim.units import AVOGADRO, THOMSON_RADIUS_SQUARED_M2
from tiledsim.vectors import Array

WATER = {"material": "water", "thickness_mm": 0.1}
AIR = {"material": "air", "thickness_mm": 30.0}


def photons_of(scene: Scene, tile: Tile) -> Array:
    made = background(scene, tile)
    assert made is not None
    return made


def experiment(*layers: dict[str, Any], n: int = 300, **sections: Any) -> Experiment:
    fields: dict[str, Any] = {
        "beam": {"wavelength_A": 1.0, "flux_photons_per_s": 1e12, "polarization": 0.9},
        "crystal": {"cell_A_deg": [50, 50, 50, 90, 90, 90]},
        "structure_factors": {"default_F": 1e-9},
        "detector": {"size_px": [n, n - 20], "pixel_mm": 0.2},
        "background": {"layers": layers},
        "sampling": {"oversample": 1},
    }
    if "panels" not in sections.get("detector", {}):
        fields["detector"]["distance_mm"] = 80.0
    for name, section in sections.items():
        fields[name] = {**fields.get(name, {}), **section}
    return Experiment(**fields)


def write(folder: Path, text: str) -> Path:
    path = folder / "a.stol"
    path.write_text(text)
    return path


def layer(path: Path, **fields: Any) -> dict[str, Any]:
    return {
        "stol_file": path, "thickness_mm": 1.0, "density_g_per_cm3": 1.0,
        "molecular_weight_g_per_mol": 18.0,
    } | fields  # fmt: skip


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "tilted": {"detector": {"rotation_deg": [8.0, -11.0, 3.0], "two_theta_deg": 20.0}},
    "sensor": {"detector": {"sensor": {"depth_um": 200.0, "thickness_um": 300.0, "layers": 2}}},
    "curved": {"detector": {"curved": True}},
    "points": {"detector": {"point_pixel": True}},
    "spectrum": {"beam": {"wavelength_A": None, "spectrum": {
        "wavelengths_A": [0.9, 1.1], "weights": [1.0, 3.0]}, "hdiv_range_mrad": 4.0,
        "hdiv_steps": 2}},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("what", ["air", "table"])
def test_direct_evaluation(case: str, what: str, tmp_path: Path) -> None:
    table = "0 3\n.1 3.5\n.2 8\n.35 4\n.5 3.5\n"
    one = AIR if what == "air" else layer(write(tmp_path, table), absorption_length_mm=2.0)
    scene = build_scene(experiment(one, n=160, **CASES[case]))
    _, _, slow, fast = scene.shape
    made = photons_of(scene, Tile(0, 0, 0, slow, 0, fast))
    rng = np.random.default_rng(5)
    at = rng.integers(0, slow, 200), rng.integers(0, fast, 200)
    np.testing.assert_allclose(made[at], direct(scene, *at), rtol=1e-9)


def direct(scene: Scene, slow: Any, fast: Any) -> Any:
    """The sum in NumPy, by the geometry of the reference at the four points of each pixel."""
    total = np.zeros(len(slow))
    assert scene.amorphous_table is not None
    assert scene.amorphous_depth is not None
    assert scene.amorphous_photons is not None
    table, depth = scene.amorphous_table, scene.amorphous_depth[0]
    x, y, m = table.T
    for dy in (-0.5, 0.5):
        for dx in (-0.5, 0.5):
            rays = pixel_rays(scene, 0, slow + dy / math.sqrt(3), fast + dx / math.sqrt(3))
            s = 0.5e-10 * np.sqrt((rays.scattering**2).sum(-1))
            i = np.clip(np.searchsorted(x, s, side="right") - 1, 0, len(x) - 2)
            h = x[i + 1] - x[i]
            t = (np.clip(s, x[0], x[-1]) - x[i]) / h
            F = (2 * t**3 - 3 * t**2 + 1) * y[i] + (t**3 - 2 * t**2 + t) * h * m[i]
            F = F + (3 * t**2 - 2 * t**3) * y[i + 1] + (t**3 - t**2) * h * m[i + 1]
            cosine = rays.diffracted @ scene.incident.T
            u = np.polynomial.legendre.leggauss(12)
            leaves = sum(
                w / 2 * np.exp(-depth * (z + 1) / 2 - depth * (1 - z) / 2 / cosine)
                for z, w in zip(*u, strict=True)
            )
            weight = scene.weight / scene.weight.sum()
            each = F**2 * rays.polarization * leaves * weight
            total += (each * (rays.omega * rays.capture)[..., None]).sum((1, 2, 3)) / 4
    return total * scene.amorphous_photons[0]


@settings(deadline=None, max_examples=15)
@given(data=st.data(), layer=st.sampled_from([AIR, WATER]))
def test_a_tile_has_the_bytes_of_the_whole(data: Any, layer: dict[str, Any]) -> None:
    scene = build_scene(experiment(layer, n=330))
    panel = panel_of(scene, 0)
    assert panel is not None
    _, _, slow, fast = scene.shape
    a, b = sorted(data.draw(st.lists(st.integers(0, slow), min_size=2, max_size=2, unique=True)))
    c, d = sorted(data.draw(st.lists(st.integers(0, fast), min_size=2, max_size=2, unique=True)))
    whole = compute(scene, Tile(0, 0, 0, slow, 0, fast), panel)
    part = compute(scene, Tile(0, 0, a, b, c, d), panel)
    assert part.tobytes() == whole[a:b, c:d].tobytes()


values = st.lists(st.floats(0.0, 1e3), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(y=values, data=st.data())
def test_between_points_F_is_monotone_and_not_negative(y: list[float], data: Any) -> None:
    gaps = data.draw(st.lists(st.floats(1e-3, 1.0), min_size=len(y), max_size=len(y)))
    table = with_slopes(np.column_stack([np.cumsum(gaps), y]))
    panel = panel_of(build_scene(experiment(AIR, n=40)), 0)
    assert panel is not None
    parts = np.array([0, len(y)])
    panel = panel._replace(table=table, parts=parts, rows=first_rows(table, parts))
    for i in range(len(y) - 1):
        found = np.array(
            [amplitude(panel, 0, s) for s in np.linspace(table[i, 0], table[i + 1, 0], 20)]
        )
        slack = 1e-12 * max(y)
        assert (np.diff(found) * np.sign(y[i + 1] - y[i]) >= -slack).all()
        assert (found >= 0).all()
    assert amplitude(panel, 0, 0.0) == y[0]
    assert amplitude(panel, 0, 1e3) == y[-1]


def test_total_over_a_sphere(tmp_path: Path) -> None:
    """Six panels are the faces of a cube around the sample: ∫F²(1 + cos² 2θ)/2 dΩ = F²·8π/3."""
    panels = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            normal, fast = np.eye(3)[axis] * sign, np.eye(3)[(axis + 1) % 3]
            slow = np.cross(normal, fast)
            origin = 10.0 * (normal - fast - slow)
            panels.append({
                "origin_mm": origin.tolist(), "fast_axis": fast.tolist(),
                "slow_axis": slow.tolist(),
            })  # fmt: skip
    made = experiment(
        layer(write(tmp_path, "0 5\n1 5\n")), beam={"polarization": 0.0},
        detector={"size_px": [100, 100], "panels": panels},
    )  # fmt: skip
    scene = build_scene(made)
    total = sum(photons_of(scene, Tile(0, panel, 0, 100, 0, 100)).sum() for panel in range(6))
    molecules = 1e-3 * 1e6 * AVOGADRO / 18.0 * 1e12
    expected = THOMSON_RADIUS_SQUARED_M2 * molecules * 25.0 * 8.0 * math.pi / 3.0
    assert total == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("two_theta", [0.0, 1e-9, 0.3, 1.2, 1.57, 1.6, 2.5, math.pi])
def test_the_slab_absorbs_as_integrated(two_theta: float) -> None:
    c, depth = math.cos(two_theta), 0.7
    u, w = np.polynomial.legendre.leggauss(200)
    x = (u + 1) / 2
    out = (1 - x) / c if c > 0 else x / -c
    expected = float((w / 2 * np.exp(-depth * (x + out))).sum())
    assert slab(depth, c) == pytest.approx(expected, rel=1e-3 if abs(c) < 0.05 else 1e-12)


def test_it_is_added_to_spots_once_whatever_the_number_of_blocks() -> None:
    spots = {"default_F": 100.0}
    size = {"size_um": [10.0, 10.0, 10.0], "block_um": 0.1}
    with_, without = (
        simulate(experiment(*layers, n=40, structure_factors=spots, crystal=size), "cpu")
        for layers in ([WATER], [])
    )
    alone = simulate(experiment(WATER, n=40), "cpu")
    np.testing.assert_allclose(with_, without + alone, rtol=1e-14)
    assert alone.min() > 0


def test_unrendered_pixels_have_none_and_counts_include_it() -> None:
    made = experiment(WATER, n=60, detector={"roi": [10, 20, 5, 30]}, noise={"poisson": False})
    photons = simulate(made.replace(noise=None), "cpu")[0, 0]
    assert (photons > 0).sum() == 11 * 26
    counts = simulate(made, "cpu")[0, 0]
    inside = counts[5:31, 10:21]
    np.testing.assert_allclose(inside, np.minimum(photons[5:31, 10:21], 65535), atol=0.51)


def test_forward_scattering_of_gases_is_that_of_their_electrons() -> None:
    assert gas_table("helium")[0, 1] == pytest.approx(2.0, rel=2e-3)
    mean = (0.78084 * 14**2 + 0.209475 * 16**2 + 0.00934 * 18**2) / 0.999655
    assert gas_table("air")[0, 1] == pytest.approx(math.sqrt(mean), rel=2e-3)
    for name in ("helium", "air"):
        assert (gas_table(name)[:, 1] > 0).all()


def test_units_of_the_first_column_and_comments(tmp_path: Path) -> None:
    path = write(tmp_path, "# a heading\n0 1  # none\n\n.4, 2\n")
    np.testing.assert_allclose(read_table(path, 0.25), [[0, 1], [0.1, 2]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 1\n.2 1\n.1 1\n", "line 3: 0.1 does not rise"),
        ("0 1\n0 1\n", "line 2"),
        ("x y\n", "line 1: 'x y' are not two numbers"),
        ("0\n", "line 1: one column"),
        ("0 -1\n", "line 1"),
        ("0 nan\n", "line 1"),
        ("# nothing\n", "no data"),
    ],
)
def test_tables_that_cannot_be_used(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=said):
        build_scene(experiment(layer(write(tmp_path, text))))


def test_what_is_refused(tmp_path: Path) -> None:
    for name in ("ice", "paratone"):
        with pytest.raises(ValidationError, match="no built-in table"):
            experiment({"material": name, "thickness_mm": 1.0})
    with pytest.raises(ValidationError, match="one of them"):
        experiment({"thickness_mm": 1.0})
    with pytest.raises(ValidationError, match="needs molecular_weight"):
        experiment(layer(tmp_path / "a.stol", molecular_weight_g_per_mol=None))
    with pytest.raises(ExperimentError, match="use mode 'spec'"):
        build_scene(experiment(WATER).replace(mode="c-parity"))


def test_toml_comes_back(tmp_path: Path) -> None:
    made = experiment(WATER, AIR, layer(tmp_path / "a.stol", unit="Q"))
    assert Experiment.from_toml(made.to_toml(), tmp_path) == made
