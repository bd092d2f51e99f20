"""Machine code that is kept: run without Numba where it can be trusted, and by Numba elsewhere."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version as installed_version
from pathlib import Path
from shutil import copytree
from typing import cast

import numpy as np
import pytest

from tiledsim import machine_code
from tiledsim.jit import Compiled

CODE = """
import sys
import numpy as np
from tiledsim.nanobragg.images.statistics import image_statistics
image = np.random.default_rng(1).random((37, 53), dtype=np.float32)
found = image_statistics(image, (3, 49, 2, 30), lambda rows: image[rows] > 0.25)
print(found, "by Numba" if "numba" in sys.modules else "alone")
"""
LINUX_ON_X86 = pytest.mark.skipif(
    not machine_code._may_be_kept(), reason="kept on Linux on x86-64, without settings of Numba"
)


def start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder)} | environment,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> tuple[str, bool]:
    """What was printed, and whether Numba was there."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    words = out.removesuffix("\n")
    return words.removesuffix("by Numba").removesuffix("alone"), words.endswith("by Numba")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with machine code that two processes made at once, and what they found."""
    folder = tmp_path_factory.mktemp("kept")
    first, second = [end(process) for process in (start(folder), start(folder))]
    assert first == second
    assert first[1], "compiled without Numba"
    return folder, first[0]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("tiledsim-*/*.code"))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def change_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def let_others_write(file: Path) -> None:
    file.chmod(0o666)


def link(file: Path) -> None:
    elsewhere = file.with_suffix(".moved")
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def make_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def rename_another(file: Path) -> None:
    """Put the code of one function, whole as it is, in the place of another's."""
    (other,) = {*files(file.parent.parent)} - {file}
    file.write_bytes(other.read_bytes())


@LINUX_ON_X86
def test_a_later_process_needs_no_numba(kept: tuple[Path, str]) -> None:
    folder, found = kept
    assert len(files(folder)) == 2
    assert end(start(folder)) == (found, False)


@LINUX_ON_X86
def test_what_is_damaged_is_compiled_again(kept: tuple[Path, str], tmp_path: Path) -> None:
    folder = copytree(kept[0], tmp_path / "copy")
    for file in files(folder):
        truncate(file)
    assert end(start(folder)) == (kept[1], True)
    assert end(start(folder)) == (kept[1], False)


@LINUX_ON_X86
@pytest.mark.parametrize(
    "damage",
    [truncate, empty, change_a_byte, let_others_write, link, rename_another, make_a_folder],
)
def test_what_cannot_be_trusted_is_not_read(
    kept: tuple[Path, str], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    file = files(copytree(kept[0], tmp_path / "copy"))[0]
    code = machine_code._read(file)
    assert code is not None
    damage(file)
    assert machine_code._read(file) is None
    machine_code._write(file, *code)
    assert machine_code._read(file) == (None if damage is make_a_folder else code)
    assert not list(file.parent.glob("*.part"))


@LINUX_ON_X86
def test_where_others_can_write_nothing_is_loaded(kept: tuple[Path, str], tmp_path: Path) -> None:
    folder = copytree(kept[0], tmp_path / "copy")
    for inner in folder.iterdir():
        inner.chmod(0o777)
    before = files(folder)
    assert end(start(folder)) == (kept[1], True)
    assert files(folder) == before
    assert not list(folder.glob("**/*.nbi"))


@LINUX_ON_X86
def test_settings_of_numba_are_heard(kept: tuple[Path, str]) -> None:
    folder, found = kept
    before = files(folder)
    assert end(start(folder, NUMBA_DISABLE_JIT="1")) == (found, True)
    assert end(start(folder, NUMBA_NUM_THREADS="1")) == (found, False)
    assert files(folder) == before


def version(package: str) -> Callable[[str], str]:
    """Versions of what is installed, but for a package."""
    return lambda name: "0" if name == package else installed_version(name)


PROCESSOR = machine_code._processor()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sys.version", "4.0.0"),
        ("tiledsim.machine_code._processor", lambda: ("another", PROCESSOR[1])),
        ("tiledsim.machine_code._processor", lambda: (PROCESSOR[0], "+another")),
        ("tiledsim.machine_code.FORMAT", -1),
        ("importlib.metadata.version", version("numba")),
        ("importlib.metadata.version", version("llvmlite")),
        ("importlib.metadata.version", version("numpy")),
    ],
)
def test_the_name_tells_of_all_that_takes_part(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    from tiledsim.kernels.cpu.kernel import render_rows
    from tiledsim.nanobragg.images.statistics import _add_up

    before = machine_code._file_name(cast(Compiled, _add_up), "float")
    assert machine_code._file_name(cast(Compiled, _add_up), "int") != before
    assert machine_code._file_name(cast(Compiled, render_rows), "float") != before
    monkeypatch.setattr(name, value)
    assert machine_code._file_name(cast(Compiled, _add_up), "float") != before


def test_only_what_compiled_code_can_take_is_given() -> None:
    flat: list[object] = []
    for value in (np.float32(1.0), np.int32(1), np.zeros((4, 4))[:, 1], "text", None,
                  np.zeros(3, dtype=">f8")):  # fmt: skip
        with pytest.raises(TypeError, match="was given"):
            machine_code._flatten(value, flat)
    assert machine_code._flatten((True, 1, 1.0, np.int64(2)), flat) == "tuple(bool,int,float,int)"
