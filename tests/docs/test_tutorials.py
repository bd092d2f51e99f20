"""Tutorials are followed from the first block to the last, as a reader would."""

import contextlib
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.docs.pages import ROOT, blocks, typed
from tiledsim.cli.main import app

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_can_be_followed(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    names: dict[str, object] = {}
    with contextlib.chdir(tmp_path):
        for block in blocks(page):
            for command in typed(block):
                done = CliRunner().invoke(app, shlex.split(command.text)[1:])
                assert done.exit_code == 0, f"{command.where}: {done.output}{done.stderr}"
            if block.kind == "python":
                exec(compile(block.text, block.where, "exec"), names)
