"""Tutorials are followed from the first block to the last, as a reader would."""

import contextlib
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner

from tests.docs.pages import ROOT, blocks, typed
from tiledsim.cli.main import app

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


def make_small(path: Path) -> None:
    """Leave a part of a large detector, whose pixels keep their numbers, and few domains."""
    made = tomllib.loads(path.read_text())
    made["detector"]["roi"] = [1500, 2099, 1650, 2249]
    made["crystal"]["mosaic"]["domains"] = 4
    made["structure_factors"]["dmin_A"] = 4.0
    path.write_text(tomli_w.dumps(made))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_can_be_followed(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    make_small(tmp_path / "examples" / "cro-eiger16m.toml")
    names: dict[str, object] = {}
    with contextlib.chdir(tmp_path):
        for block in blocks(page):
            for command in typed(block):
                done = CliRunner().invoke(app, shlex.split(command.text)[1:])
                assert done.exit_code == 0, f"{command.where}: {done.output}{done.stderr}"
            if block.kind == "python":
                exec(compile(block.text, block.where, "exec"), names)
