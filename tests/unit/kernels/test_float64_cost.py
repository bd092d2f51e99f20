"""What float64 costs on a card, by count, and where the plan says so."""

from typing import Any

import pytest

from tests.unit.scene.test_physics import experiment
from tiledsim import build_scene
from tiledsim.kernels.cuda.cost import float64_cost
from tiledsim.scheduler.session import plan
from tiledsim.scheduler.session.plan import make_plan
from tiledsim.scheduler.store.layout import choose_layout

WAVELENGTHS = {"dispersion_percent": 1.0, "dispersion_steps": 20}


@pytest.mark.parametrize(
    ("shape", "beam", "slow", "fast"),
    [
        ("square", {}, (40, 64), (1.5, 2.5)),
        ("gauss", {}, (40, 64), (1.5, 2.5)),
        ("round", {}, (2, 3), (1, 2)),
        ("square", WAVELENGTHS, (40, 64), (1.5, 2.5)),
        ("gauss", WAVELENGTHS, (40, 64), (1.5, 2.5)),
        ("tophat", {}, (1, 1), (1, 1)),  # in float64 whatever is asked for
    ],
)
def test_what_float64_costs(
    shape: str, beam: dict[str, Any], slow: tuple[float, float], fast: tuple[float, float]
) -> None:
    scene = build_scene(experiment(crystal={"shape": shape}, beam=beam))
    for capability, (least, most) in (("8.9", slow), ("7.5", slow), ("9.0", fast)):
        cost = float64_cost(scene, capability)
        assert cost is not None
        assert least <= cost <= most
    assert float64_cost(scene, "") is None


@pytest.mark.parametrize(
    ("dtype", "capability", "said"),
    [
        ("float64", "8.9", "float64: a step takes 56 times as long as in mixed on this card"),
        ("mixed", "8.9", "mixed, exact to some 1e-4 of a pixel; in float64 a step takes 56 times"),
        ("float64", "9.0", "float64: a step takes 2.1 times as long"),
        ("float64", "", None),
    ],
)
def test_the_plan_says_so(
    dtype: str, capability: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_device_bytes", lambda scene, layout, dtype: 2**20)
    scene = build_scene(experiment())
    made = make_plan(
        scene, choose_layout(scene), workers=1, threads=4, backend="cuda", dtype=dtype,
        capability=capability,
    )  # fmt: skip
    line = dict(made.lines()).get("precision")
    assert (line is None) if said is None else (line or "").startswith(said)
    cpu = make_plan(scene, choose_layout(scene), workers=1, threads=1, backend="cpu",
                    dtype="float64", capability=capability)  # fmt: skip
    assert cpu.float64_cost is None
