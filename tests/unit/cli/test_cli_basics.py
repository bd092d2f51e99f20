"""Help, version, exit statuses, and the commands that render nothing."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.command import refusal, tiledsim
from tiledsim import __version__
from tiledsim.experiment import load

EXPERIMENT = """
[beam]
wavelength_A = 1.0
[crystal]
cell_A_deg = [70, 80, 90, 75, 85, 95]
cells = [5, 5, 5]
misset_deg = "random"
misset_seed = 7
[structure_factors]
default_F = 100
[detector]
size_px = [64, 48]
pixel_mm = 0.4
"""
SLOW_TO_IMPORT = {"numpy", "numba", "dask", "distributed", "zarr", "pydantic", "rich", "xarray"}


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT)
    return path


def test_the_installed_command_is_the_same() -> None:
    script = Path(sys.executable).with_name("tiledsim")
    if not script.exists():
        pytest.skip("tiledsim is not installed beside this Python")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"tiledsim {__version__}\n"


def test_help_imports_nothing_slow() -> None:
    code = "import sys, tiledsim.cli.main; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert SLOW_TO_IMPORT.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("command", ["describe", "convert", "doctor"])
def test_help_has_an_example(command: str) -> None:
    done = tiledsim(command, "--help")
    assert done.returncode == 0
    assert f"\n    tiledsim {command}" in done.stdout
    assert command in tiledsim("--help").stdout


def test_doctor_knows_this_machine() -> None:
    done = tiledsim("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["tiledsim"]["version"] == __version__
    assert "usable" in report["processor"]["cores"]
    assert report["kernels"]["backend auto"].startswith(("cpu", "cuda"))
    assert "numba" in tiledsim("doctor").stdout


def test_describe_says_what_was_chosen_and_why(experiment: Path) -> None:
    done = tiledsim("describe", experiment)
    assert done.returncode == 0, done.stderr
    lines = {
        line.split("  ")[1]: line for line in done.stdout.splitlines() if line.startswith("  ")
    }
    assert "automatic, for a crystal of 450 Å" in lines["oversampling"]
    assert "70  80  90  75  85  95 Å, deg" in lines["cell"]
    assert "drawn with seed 7" in lines["misset"]
    assert "that of the convention" in lines["pivot"]
    assert "64  48" in lines["pixels"]


def test_describe_as_json_in_another_mode(experiment: Path) -> None:
    done = tiledsim("describe", experiment, "--json", "--mode", "c-parity", "--quirks=-cell_cstar")
    sections = json.loads(done.stdout)
    facts = {fact["name"]: fact["value"] for facts in sections.values() for fact in facts}
    assert facts["mode"] == "c-parity"
    assert "cell_cstar" not in facts["quirks"]
    assert "phi_carryover" in facts["quirks"]
    assert len(facts["misset"]) == 3  # angles, with the quirk misset_radians


def test_heavy_oversampling_is_announced() -> None:
    flags = shlex.split("-cell 100 -default_F 1 -N 90 -detpixels 4")
    done = tiledsim("describe", "--", *flags)
    assert "27-fold oversampling" in done.stdout
    assert "729 subpixels" in done.stdout


def test_convert_writes_an_experiment(tmp_path: Path) -> None:
    flags = shlex.split("-cell 70 80 90 75 85 95 -default_F 100 -misset random -oversample 2")
    done = tiledsim("convert", *flags, "--mode", "spec", cwd=tmp_path)
    assert done.stdout.startswith("# nanoBragg -cell 70 80 90")
    (tmp_path / "a.toml").write_text(done.stdout)
    assert load(tmp_path / "a.toml").sampling.oversample == 2
    assert load(tmp_path / "a.toml").mode == "spec"
    tiledsim("convert", *flags, "--output", "b.toml", cwd=tmp_path)
    assert load(tmp_path / "b.toml").mode == "c-parity"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["describe", "no.toml"], "experiment file no.toml does not exist; check its name"),
        (["describe", "."], "experiment file . is a folder; give the name of a file"),
        (["describe"], "Missing argument"),
        (["describe", "--", "-lamda", "1"], "-lamda: no such flag; did you mean -lambda?"),
        (["describe", "--bogus"], "No such option: --bogus"),
        (["describe", "experiment.toml", "--mode", "exact"], "--mode exact: must be spec or c-"),
        (
            ["describe", "experiment.toml", "--quirks", "water"],
            "--quirks water: no such quirk; did you mean 'water_twice'?",
        ),
        (["convert", "-cell", "70"], "no structure factors: give -hkl FILE"),
        (["convert", "--output"], "Option '--output' requires an argument."),
        (
            ["convert", "-cell", "5", "-default_F", "1", "--output", "no/a"],
            "no/a cannot be written",
        ),
        (["rnu"], "No such command 'rnu'."),
        (["nanobragg", "-N", "5", "--zar", "a"], "--zar: no such option, and flags have one dash"),
    ],
)
def test_bad_input_is_one_line(experiment: Path, words: list[str], said: str) -> None:
    assert refusal(*words, cwd=experiment.parent).startswith(said)


def test_the_traceback_is_there_for_who_asks() -> None:
    done = tiledsim("describe", "no.toml", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_an_error_without_a_name_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tiledsim.cli import main

    def app(**_: object) -> None:
        raise ValueError("first line\n\nand a request that goes on for pages")

    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr(sys, "argv", ["tiledsim"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said == "tiledsim: error: ValueError: first line (--debug shows where)\n"
