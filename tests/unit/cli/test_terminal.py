"""What a terminal is given: nothing that it would obey, letters that it has, and hints."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.command import refusal, tiledsim
from tiledsim.cli.terminal import PlainStream
from tiledsim.experiment import load
from tiledsim.io.printable import one_line

HOSTILE = "\x1b]0;OWNED\x07\x1b[2J\x9b31m"
EXPERIMENT = """
[beam]
wavelength_A = 1.0
[crystal]
cell_A_deg = [70, 80, 90, 75, 85, 95]
cells = [5, 5, 5]
[structure_factors]
default_F = 100
[detector]
size_px = [80, 60]
pixel_mm = 0.4
"""


def obeyed(text: str) -> list[str]:
    """Return the control characters of a text that are neither line feed nor tab."""
    return [c for c in text if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160]


@given(st.text(), st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252"]))
def test_no_control_character_passes_in_any_encoding(text: str, encoding: str) -> None:
    raw = io.BytesIO()
    beneath = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    PlainStream(beneath).write(text)
    beneath.flush()
    assert not obeyed(raw.getvalue().decode(encoding))
    assert "\n" not in one_line(text)


@pytest.mark.parametrize("command", ["describe", "plan", "summary", "verify", "watch", "export"])
def test_a_hostile_name_is_shown_and_not_obeyed(command: str, tmp_path: Path) -> None:
    extra = ["-o", "a.tif"] if command == "export" else []
    done = tiledsim(command, f"{HOSTILE}.toml", *extra, cwd=tmp_path)
    assert done.returncode == 2
    assert "OWNED" in done.stderr
    assert not obeyed(done.stdout + done.stderr)


def test_a_hostile_key_of_an_experiment_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(EXPERIMENT + '[structure]\n"\\u001b[2J" = 1\n')
    said = refusal("describe", path)
    assert "[2J" in said or "structure" in said
    assert not obeyed(said)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_with_few_letters(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(EXPERIMENT)
    done = subprocess.run(
        [sys.executable, "-m", "tiledsim.cli.main", "describe", str(path)],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding)
    done.stderr.decode(encoding)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", [(), ("run",), ("nanobragg",), ("compare",)])
def test_h_is_help(command: tuple[str, ...]) -> None:
    short = tiledsim(*command, "-h")
    assert short.returncode == 0
    assert short.stdout == tiledsim(*command, "--help").stdout


def test_flags_of_nanobragg_without_the_dashes_before_them() -> None:
    said = refusal("describe", "-cell", "70", "80", "90", "90", "90", "90", "-default_F", "1")
    assert "tiledsim describe -- -cell" in said


@pytest.mark.parametrize("name", ["a.tif", "a.cbf", "a.h5", "a.img"])
def test_a_run_does_not_write_a_store_by_the_name_of_an_image(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(EXPERIMENT)
    said = refusal("run", "a.toml", "-o", name, cwd=tmp_path)
    assert f"tiledsim export a.zarr -o {name}" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.toml"]


def test_home_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "a.toml"
    text = EXPERIMENT.replace("default_F = 100", 'hkl_file = "~/a.hkl"')
    path.write_text(text)
    assert load(path).structure_factors.hkl_file == tmp_path / "a.hkl"
    path.write_text(text.replace("~/", "~nosuchuser/"))
    assert "stands for no home folder" in refusal("describe", path)


def test_images_of_every_shot_and_panel_are_compared(tmp_path: Path) -> None:
    import zarr

    values = np.ones((2, 3, 4, 5), np.float32)
    for name, last in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        values[1, 2, 3, 4] = last
        group = zarr.open_group(tmp_path / f"{name}.zarr", mode="w")
        group.create_array("image", shape=values.shape, dtype="f4", chunks=(1, 1, 4, 5))[:] = values
    same = tiledsim("compare", "--image", "a.zarr", "--image", "b.zarr", cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert "6 images, 0 of them" in same.stdout
    other = tiledsim("compare", "--image", "a.zarr", "--image", "c.zarr", cwd=tmp_path)
    assert other.returncode == 1, other.stderr
    assert "shot 1 panel 2" in other.stdout
    assert "--pixel 3 4 --shot 1 --panel 2" in other.stdout
    values[0, 0].tofile(tmp_path / "one.bin")
    said = refusal("compare", "--image", "one.bin", "--image", "c.zarr", "--shape", "4", "5",
                   cwd=tmp_path)  # fmt: skip
    assert "2 x 3" in said
