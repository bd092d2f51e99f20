"""Every trace of nanoBragg.c, key by key, and what the comparison says of them."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import tiledsim
from tests.parity.golden import CASES, SHARED
from tests.unit.command import refusal
from tests.unit.command import tiledsim as run_command
from tiledsim.errors import ExperimentError
from tiledsim.parity import compare, read_log
from tiledsim.parity.read_log import parse_log


@dataclass(frozen=True)
class Traced:
    argv: tuple[str, ...]
    base: Path
    slow: int
    fast: int
    log: Path

    def __str__(self) -> str:
        return self.log.stem


def _traced() -> list[Traced]:
    found = []
    for case in CASES:
        folders = {case.folder, SHARED / "golden"}
        for log in sorted(p for f in folders for p in f.glob(f"{case.name}.trace_*_*.log")):
            slow, fast = map(int, re.findall(r"trace_(\d+)_(\d+)", log.name)[0])
            if all(log.name != other.log.name for other in found):
                found.append(Traced(case.argv, case.inputs, slow, fast, log))
    pilatus = SHARED / "pilatus6m"
    for log in sorted(pilatus.glob("c_trace_*.log")):
        slow, fast = map(int, re.findall(r"\d+", log.stem))
        argv = tuple((pilatus / "command.txt").read_text().split()[1:])
        found.append(Traced(argv, pilatus, slow, fast, log))
    return found


TRACED = _traced()
needs_pilatus = pytest.mark.skipif(
    not (SHARED / "pilatus6m").is_dir(), reason="the Pilatus case is not beside the checkout"
)


@pytest.mark.parametrize("traced", TRACED, ids=str)
def test_every_key_of_nanobraggs_trace(traced: Traced) -> None:
    experiment = tiledsim.experiment_from_nanobragg(traced.argv, base=traced.base)
    found = tiledsim.trace(experiment, 0, traced.slow, traced.fast)
    comparison = compare(read_log(traced.log), parse_log("\n".join(found.lines()) + "\n"))
    assert comparison.first_divergence is None
    assert comparison.n_missing == 0
    for key in comparison.keys:
        assert key.rel_delta is not None
        assert key.rel_delta <= 1e-9, key
    assert found["kernel_rel_delta"] <= 1e-9


@needs_pilatus
def test_the_pixel_that_people_argue_about() -> None:
    folder = SHARED / "pilatus6m"
    argv = (folder / "command.txt").read_text().split()[1:]
    found = tiledsim.trace(tiledsim.experiment_from_nanobragg(argv, base=folder), 0, 685, 1039)
    assert found["I_before_scaling"] == pytest.approx(943654.80923755, rel=1e-9)
    assert found["I_pixel_final"] == pytest.approx(2.88139542684698e-07, rel=1e-9)
    assert len(found.phi) == 10


@needs_pilatus
def test_the_phi_0_step_is_recognised(tmp_path: Path) -> None:
    folder = SHARED / "pilatus6m"
    argv = (folder / "command.txt").read_text().split()[1:]
    log = folder / "c_trace_685_1039.log"
    flags = argv[: argv.index("-floatfile")]
    agree = run_command("parity", "--c", log, "--out", tmp_path / "a", "--", *flags, cwd=folder)
    assert agree.returncode == 0, agree.stderr
    assert "First divergence: none" in agree.stdout
    differ = run_command(
        "parity", "--phi-mode", "spec", "--c", log, "--out", tmp_path / "b", "--", *flags,
        cwd=folder,
    )  # fmt: skip
    assert differ.returncode == 1
    assert "rot_a_angstroms" in differ.stdout
    assert "φ = 0" in differ.stdout
    assert "I_before_scaling is 14.46 % lower" in differ.stdout


def experiment(**sampling: object) -> tiledsim.Experiment:
    return tiledsim.Experiment(
        beam={"wavelength_A": 1.0, "dispersion_percent": 1.0, "dispersion_steps": 2},
        crystal={"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (5, 6, 7),
                 "mosaic": {"spread_deg": 0.5, "domains": 3}},
        structure_factors={"default_F": 100.0},
        rotation={"start_deg": 5.0, "range_deg": 1.0, "steps": 4},
        detector={"size_px": (40, 30), "pixel_mm": 0.4, "roi": (0, 39, 0, 20)},
        sampling={"oversample": 2} | sampling,
    )  # fmt: skip


def test_all_steps_add_up() -> None:
    found = tiledsim.trace(experiment(), 0, 7, 9)
    columns = found.all_steps()
    assert {len(column) for column in columns.values()} == {4 * 2 * 4 * 3}
    assert columns["F_cell2_F_latt2"].sum() == pytest.approx(found["I_before_scaling"], rel=1e-12)
    rows = found.all_steps_csv().splitlines()
    assert len(rows) == 1 + 96
    assert rows[0].startswith("layer,subpixel,source,phi_step,domain")
    weighted = (
        columns["F_cell2_F_latt2"] * columns["capture"] * columns["omega_sr"]
        * columns["polarization"]
    ).sum()  # fmt: skip
    assert weighted * found.scene.scale == pytest.approx(found["I_pixel_final"], rel=1e-12)
    assert len(np.unique(columns["wavelength_A"])) == 2


@pytest.mark.parametrize(
    ("panel", "slow", "fast", "named"),
    [(0, 30, 0, "slow 30"), (0, 0, 40, "fast 40"), (1, 0, 0, "panel 1"), (0, 25, 3, "region of")],
)
def test_pixels_that_are_not_rendered(panel: int, slow: int, fast: int, named: str) -> None:
    with pytest.raises(ExperimentError, match=named):
        tiledsim.trace(experiment(), panel, slow, fast)


def test_the_commands(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(experiment().to_toml())
    done = run_command("trace", path, "--pixel", 7, 9, "--pixel", "8", "9")
    assert done.stdout.count("TRACE_PY: I_pixel_final") == 2
    assert done.stdout.count("TRACE_PY_PHI phi_tic=") == 8
    table = run_command("trace", path, "--pixel", 7, 9, "--pretty").stdout
    assert "photons/m²" in table
    steps = tmp_path / "steps.csv"
    assert run_command("trace", path, "--pixel", 7, 9, "--all-steps", steps).returncode == 0
    assert len(steps.read_text().splitlines()) == 97
    assert "needs two whole numbers" in refusal("trace", path, "--pixel", "7")
    assert "no pixel" in refusal("trace", path)
    assert "region of interest" in refusal("trace", path, "--pixel", 25, 3)


def test_trace_pixel_while_rendering(tmp_path: Path) -> None:
    cell = ["-cell", "70", "80", "90", "75", "85", "95", "-default_F", "100", "-N", "5"]
    flags = [*cell, "-detpixels", "20", "-trace_pixel", "3", "4"]
    done = run_command("nanobragg", *flags, "-floatfile", "img.bin", cwd=tmp_path)
    value = re.search(r"floatimage_accumulated (\S+)", done.stdout)
    assert value, done.stderr
    image = np.fromfile(tmp_path / "img.bin", dtype="<f4").reshape(20, 20)
    assert float(value[1]) == pytest.approx(float(image[3, 4]), rel=1e-6)
