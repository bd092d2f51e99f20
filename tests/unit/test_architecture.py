"""Who may import whom: no circles, rooms in their order, files and folders of a size to be read."""

import graphlib
import re
import subprocess
from pathlib import Path

import grimp
import pytest

from tiledsim.jit import COMPILED

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("tiledsim", "scheduler", "cli")


def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *ROOMS],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not in a git checkout")
    files = (ROOT / name for name in listed.stdout.split())
    return [file for file in files if file.suffix in (".py", ".cu") and file.is_file()]


def test_no_module_imports_itself_through_others() -> None:
    graph = grimp.build_graph("tiledsim", exclude_type_checking_imports=True)
    imports = {
        module: graph.find_modules_directly_imported_by(module) - {module}
        for module in graph.modules
    }
    packages = {module for module in graph.modules if graph.find_children(module)}
    for module, found in imports.items():  # a package names what it holds for others
        if module in packages:
            imports[module] = {name for name in found if not name.startswith(f"{module}.")}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))


def test_compiled_functions_are_where_the_cache_looks() -> None:
    found = set()
    for file in sources():
        text = file.read_text()
        if re.search(r"^from tiledsim(\.jit import| import .*jit)", text, re.M):
            room = file.relative_to(ROOT).parent
            found.add(str(room.relative_to("tiledsim") if room.parts[0] == "tiledsim" else room))
    assert {room for room in found if not room.startswith(COMPILED)} == set()
    assert {room for room in COMPILED if not any(f.startswith(room) for f in found)} == set()


def test_rooms_know_only_what_lies_below() -> None:
    done = subprocess.run(["lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
