"""Whatever a page says to type is understood, and what a test can run is run."""

import contextlib
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import typer.main
from typer.testing import CliRunner

from tests.docs.pages import ROOT, Block, commands, mentioned, of_kind
from tiledsim.cli.main import app
from tiledsim.experiment import Experiment, load

CLI = typer.main.get_command(app)
PLACEHOLDERS = {"FLAGS": ["-cell", "70", "80", "90", "75", "85", "95", "-default_F", "100", "-N",
                          "5", "-detpixels", "1100"], "${tls[@]}": []}  # fmt: skip
ELSEWHERE = re.compile(
    r"s3://|tcp://|tls://|--cluster|--scheduler-file|--gpus|--device cuda|--dtype mixed|dask_cuda"
    r"|tiledsim (view|watch|doctor)|\.log\b|python benchmarks|\.\.\."
)
"""What needs another machine, never ends, or reads what another program wrote."""
ATOMS = """\
CRYST1   30.000   40.000   50.000  90.00  90.00  90.00 P 21 21 21    4
ATOM      1  CA  GLY A   1       5.000   6.000   7.000  1.00 20.00           C
HETATM    2 SE   MSE A   2      10.000  12.000  14.000  1.00 20.00          SE
END
"""
STORES = ("image.zarr", "photons.zarr", "OTHER.zarr", "two.zarr", "four.zarr")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that pages name: small ones, of the same kinds."""
    place = tmp_path_factory.mktemp("pages")
    small = tomllib.loads((ROOT / "examples/quickstart.toml").read_text())
    small["detector"] |= {"size_px": [64, 64], "pixel_mm": 2.4}
    (place / "experiment.toml").write_text(tomli_w.dumps(small))
    shutil.copytree(ROOT / "examples", place / "examples")
    (place / "examples/quickstart.toml").write_text(tomli_w.dumps(small))
    shutil.copy(ROOT / "examples/1orc.pdb", place)
    many = small | {"shots": {"count": 300, "orientation": "random"}}
    many["detector"] = small["detector"] | {"size_px": [16, 16]}
    (place / "campaign.toml").write_text(tomli_w.dumps(many))
    (place / "noise.toml").write_text("[noise]\nreadout_adu = 2.0\n")
    for table in ("quickstart.hkl", "hewl.mtz", "lysozyme.mtz", "HEWL_refined.mtz"):
        shutil.copy(ROOT / "examples/quickstart.hkl", place / table)  # known by content: a text
    (place / "selenomethionine.pdb").write_text(ATOMS)
    (place / "oil.stol").write_text("0.1 5\n0.5 7\n1.0 4\n2.0 2\n9.0 1\n")
    with contextlib.chdir(place):
        invoke("run", "experiment.toml", "-o", STORES[0], "--no-fsync", "--threads", "2")
        for other in STORES[1:]:
            shutil.copytree(STORES[0], other)
        invoke("run", "experiment.toml", "-o", "one.zarr", "--no-fsync", "--threads", "1")
        invoke("run", "campaign.toml", "-o", "OUT.zarr", "--no-fsync")
        invoke("convert", "experiment.toml", "--to", "expt", "--output", "x.expt")
        shutil.copy("x.expt", "integrated.expt")
    return place


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, in which a test works."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    with contextlib.chdir(tmp_path):
        yield tmp_path


def invoke(*words: str) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"{done.output}{done.stderr}{done.exception}"


def words_of(line: str) -> list[str]:
    """Return the words of a command, placeholders filled."""
    words = shlex.split(line.split(" > ")[0])
    return [word for given in words for word in PLACEHOLDERS.get(given, [given])]


@pytest.mark.parametrize("block", commands(), ids=lambda b: f"{b.where}-{b.text}")
def test_a_command_is_understood(block: Block, folder: Path) -> None:
    words = words_of(block.text)
    if words[0] == "python":
        assert (ROOT / words[1]).is_file()
        text = (ROOT / words[1]).read_text()
        assert [flag for flag in words if flag.startswith("--") and flag not in text] == []
        return
    CLI.commands[words[1]].make_context(words[1], words[2:])


RUN_HERE = [b for b in commands() if not b.in_tutorial and not ELSEWHERE.search(b.text)]


@pytest.mark.parametrize("block", RUN_HERE, ids=lambda b: f"{b.where}-{b.text}")
def test_a_command_does_what_it_says(block: Block, folder: Path) -> None:
    words = words_of(block.text)[1:]
    for flag in ("-o", "--output"):  # a page starts from nothing
        if flag in words and "--resume" not in words:
            shutil.rmtree(words[words.index(flag) + 1], ignore_errors=True)
    invoke(*words)


def test_every_command_that_a_sentence_names_exists() -> None:
    assert {(page, name) for page, name in mentioned() if name not in CLI.commands} == set()


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of ``over`` laid over those of ``base``."""
    both = dict(base)
    for key, value in over.items():
        old = both.get(key)
        both[key] = (
            merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return both


INSTEAD = {
    ("structure_factors", "file"): ("hkl_file",),
    ("beam", "energy_eV"): ("wavelength_A",),
    ("crystal", "block_um"): ("cells",),
    ("detector", "geometry"): ("convention", "pixel_mm", "size_px", "distance_mm", "sensor"),
    ("detector", "model"): ("pixel_mm", "size_px", "sensor"),
    ("rotation", "frames"): ("range_deg",),
    ("crystal", "size_um"): ("cells",),
    ("crystal.mosaic", "spread_abc_deg"): ("spread_deg",),
}
"""Keys of a page, and those of the example that they replace."""


@pytest.mark.parametrize("block", of_kind("toml"), ids=lambda b: b.where)
def test_a_table_is_understood(block: Block, folder: Path) -> None:
    base = tomllib.loads((folder / "experiment.toml").read_text())
    over = tomllib.loads(block.text)
    for (table, key), others in INSTEAD.items():
        old, new = base, over
        for name in table.split("."):
            old, new = old.get(name, {}), new.get(name, {})
        if key in new:
            for other in others:
                old.pop(other, None)
    Experiment.from_toml(tomli_w.dumps(merged(base, over)), folder)


BY_ITSELF = [block for block in of_kind("python") if not block.in_tutorial]


@pytest.mark.parametrize("block", BY_ITSELF, ids=lambda b: b.where)
def test_python_runs(block: Block, folder: Path) -> None:
    text = block.text
    compile(text, block.where, "exec")
    if ELSEWHERE.search(text):
        return
    (part, *_) = (folder / "image.zarr/run/journal").glob("*.npz")
    text = re.sub(r"run/journal/[0-9a-f-]+\.npz", f"run/journal/{part.name}", text)
    if not Path("quickstart.zarr").exists():
        shutil.copytree("image.zarr", "quickstart.zarr")
    if "run(experiment" in text and "overwrite" not in text:
        shutil.rmtree("image.zarr")
    exec(compile(text, block.where, "exec"), {"experiment": load("experiment.toml")})
