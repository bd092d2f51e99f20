"""Tables of shots are made in portions: a row is what it is whatever the portion."""

from typing import Any

import numpy as np
import pytest

from tests.unit.experiment.test_campaign import campaign, every_kind
from tiledsim import build_scene, simulate
from tiledsim.campaign import table
from tiledsim.errors import ExperimentError


@pytest.mark.parametrize("orientation", [
    {"orientation": "random"},
    {"orientation": "about_axis", "axis": (0, 1, 0)},
    {"orientation": "spread", "spread_deg": 3.0},
    {"misset_deg": tuple((float(n), 0.0, 2.0) for n in range(21))},
])  # fmt: skip
def test_rows_do_not_depend_on_the_portions(
    monkeypatch: pytest.MonkeyPatch, orientation: dict[str, Any]
) -> None:
    made = every_kind()
    kept = {"count": 21, "seed": 5, "columns": made.shots.columns, "sase": made.shots.sase}
    made = made.replace(shots=kept | orientation)
    whole = build_scene(made)
    monkeypatch.setattr(table, "PORTION_ROWS", 8)
    parts = build_scene(made)
    assert parts.shot_names == whole.shot_names
    assert parts.shot_values is not None
    np.testing.assert_array_equal(parts.shot_values, whole.shot_values)


def test_rows_are_named_as_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PORTION_ROWS", 4)
    for name, value, match in (
        ("polarization", 2.0, "polarization in row 9 is 2"),
        ("cell_alpha_deg", 5.0, "the cell in row 9"),
        ("U_11", 0.5, "in row 9 are no rotation"),
    ):
        values = [float(name != "cell_alpha_deg") or 90.0] * 12
        rows: dict[str, Any] = {}
        if name == "U_11":
            for i in (1, 2, 3):
                for j in (1, 2, 3):
                    rows[f"U_{i}{j}"] = [float(i == j)] * 12
            values = rows["U_11"]
        values[9] = value
        rows[name] = values
        with pytest.raises(ExperimentError, match=match):
            build_scene(campaign().with_shots(rows, count=12))


def test_crystals_given_as_vectors_go_with_columns() -> None:
    # What a geometry file gives: vectors of each shot's crystal, of different cells.
    rng = np.random.default_rng(3)
    crystals = []
    for shot in range(3):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        turn *= np.linalg.det(turn)
        cell = np.diag([70.0 + shot, 80.0, 90.0]) + np.diag([3.0, -4.0], k=1)
        crystals.append(cell @ turn.T)
    vectors = tuple(tuple(tuple(map(float, row)) for row in one) for one in crystals)
    plain = campaign(shots={"count": 3, "vectors_A": vectors})
    both = campaign({"fluence_photons_per_m2": {"list": (1e28, 2e28, 3e28)}},
                    shots={"count": 3, "vectors_A": vectors})  # fmt: skip
    base = plain.beam.fluence
    for shot, fluence in enumerate((1e28, 2e28, 3e28)):
        np.testing.assert_allclose(
            simulate(both, shots=[shot]), simulate(plain, shots=[shot]) * (fluence / base),
            rtol=1e-6, atol=1e-9,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"cell_a_A": {"uniform": (69, 71)}}, "cell_a_A and vectors_A both give the cell"),
        ({"misset_x_deg": {"uniform": (0, 1)}}, "vectors_A and .* both turn the crystal"),
    ],
)
def test_vectors_and_columns_that_contradict_them(columns: dict[str, Any], match: str) -> None:
    crystals = (((70.0, 0, 0), (0, 80.0, 0), (0, 0, 90.0)),) * 6
    with pytest.raises(ExperimentError, match=match):
        build_scene(campaign(columns, shots={"vectors_A": crystals}))
