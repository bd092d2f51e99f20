"""Every file that nanoBragg, nonBragg and noisify wrote, byte for byte.

Compared: int, pgm and noise images with their headers; nonBragg's float images to 1e-6 on every
pixel; and the lines that the programs print (names of files, blanks and the sign of zeros apart).
Not promised for other images: a float pixel may differ in its last bit, and where it lies that
close to a rounding boundary a count may differ by one.  Such pixels are counted, and there are none
in these cases.
"""

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.golden import SHARED
from tests.unit.command import tiledsim
from tiledsim.detector_model.serial.counts import noiseless_counts
from tiledsim.nanobragg.camera import camera_of
from tiledsim.nanobragg.command.command import parse_nanobragg
from tiledsim.nanobragg.images.smv_text import nanobragg_header
from tiledsim.nanobragg.noisify.program import parse_noisify, run_noisify
from tiledsim.nanobragg.nonbragg.program import parse_nonbragg, run_nonbragg
from tiledsim.nanobragg.report import report
from tiledsim.scene.build import build_scene

FOLDERS = (SHARED / "golden", SHARED / "golden-2")
WRITTEN = {"-intfile": ".int.img", "-noisefile": ".noise.img", "-pgmfile": ".image.pgm"}

pytestmark = pytest.mark.skipif(
    not (SHARED / "golden-2" / "cases.json").exists(), reason="needs ../shared/golden-2"
)


def cases(program: str) -> list[Any]:
    found = []
    for folder in FOLDERS:
        listing = folder / "cases.json"
        entries = json.loads(listing.read_text()) if listing.exists() else []
        found += [
            pytest.param(folder, case, id=case["name"])
            for case in entries
            if case.get("program", "nanoBragg") == program
        ]
    return found


def with_files(program: str) -> list[Any]:
    return [p for p in cases(program) if (p.values[0] / f"{p.id}.int.img").exists()]


@pytest.mark.parametrize(("folder", "case"), with_files("nanoBragg"))
def test_files_of_nanobragg(folder: Path, case: dict[str, Any], tmp_path: Path) -> None:
    names = [word for flag in WRITTEN for word in (flag, str(tmp_path / WRITTEN[flag][1:]))]
    words = [*case["flags"].split(), "-floatfile", str(tmp_path / "float.bin"), *names]
    done = tiledsim("nanobragg", *words, cwd=folder / "inputs")
    assert done.returncode == 0, done.stderr
    for suffix in WRITTEN.values():
        reference = folder / f"{case['name']}{suffix}"
        if reference.exists():
            assert (tmp_path / suffix[1:]).read_bytes() == reference.read_bytes(), suffix
    printed = (folder / f"{case['name']}.log").read_text().splitlines()
    start = next(i for i, line in enumerate(printed) if line.startswith("solid angle"))
    said = [line for line in printed[start:] if not line.startswith("writing")]
    if not (folder / f"{case['name']}.noise.img").exists():
        said = [line for line in said if "noise image" not in line]
    for line in said:
        assert line in done.stdout.splitlines()
    assert on_a_boundary(folder, case, tmp_path / "float.bin") == 0


@pytest.mark.parametrize(("folder", "case"), cases("nonBragg"))
def test_files_of_nonbragg(folder: Path, case: dict[str, Any], tmp_path: Path) -> None:
    command = parse_nonbragg(
        [*case["flags"].split(), *outputs(tmp_path, "float", "int", "pgm"),
         *([] if "-nonoise" in case["flags"] else outputs(tmp_path, "noise"))],
        base=folder / "inputs",
    )  # fmt: skip
    lines = run_nonbragg(command)
    golden = np.load(folder / f"{case['name']}.npz")["image"]
    image = np.fromfile(tmp_path / "float", "<f4").reshape(golden.shape)
    assert np.allclose(image, golden, rtol=1e-6, atol=0, equal_nan=True)
    assert (tmp_path / "pgm").stat().st_size == case["pgm_bytes_written"]
    compare(folder, case["name"], tmp_path)
    assert printed(lines, folder) == logged(folder, case["name"])


@pytest.mark.parametrize(("folder", "case"), cases("noisify"))
def test_files_of_noisify(folder: Path, case: dict[str, Any], tmp_path: Path) -> None:
    floats = tmp_path / "in.bin"
    np.load(folder / "inputs" / case["input"])["image"].astype("<f4").tofile(floats)
    words = [*case["flags"].split(), "-bin", str(floats), *outputs(tmp_path, "int", "pgm", "noise")]
    lines = run_noisify(parse_noisify(words))
    compare(folder, case["name"], tmp_path)
    words_said = {line for line in printed(lines, folder) if "photons on noise" in line}
    assert words_said <= set(logged(folder, case["name"]))


def outputs(folder: Path, *kinds: str) -> list[str]:
    return [word for kind in kinds for word in (f"-{kind}file", str(folder / kind))]


def compare(folder: Path, name: str, made: Path) -> None:
    for kind, suffix in {"int": ".int.img", "noise": ".noise.img", "pgm": ".image.pgm"}.items():
        reference = folder / f"{name}{suffix}"
        if reference.exists():
            content = reference.read_bytes()  # of a pgm the half that means something
            assert (made / kind).read_bytes()[: len(content)] == content, kind


def printed(lines: list[str], folder: Path) -> list[str]:
    said = [line.replace("-nan", "nan") for line in lines if not line.startswith("writing")]
    return list(normal(said, folder))


def logged(folder: Path, name: str) -> list[str]:
    return printed((folder / f"{name}.log").read_text().splitlines(), folder)


def on_a_boundary(folder: Path, case: dict[str, Any], float_file: Path) -> int:
    """Count the pixels whose integer the last bits of the float image decide."""
    log = (folder / f"{case['name']}.log").read_text()
    scale = 55000.0 / float(np.fromfile(float_file, "<f4").max())
    if "-scale" in case["flags"]:
        (text,) = re.findall(r"intfile_scale = (\S+)", log)
        scale = float(text)
    image = np.load(folder / f"{case['name']}.npz")["image"]
    low, high = (noiseless_counts(image * np.float32(f), scale, 40.0) for f in (1 - 1e-6, 1 + 1e-6))
    mine = np.fromfile(float_file, "<f4").reshape(image.shape)
    decided = noiseless_counts(mine, scale, 40.0) != noiseless_counts(image, scale, 40.0)
    return int((decided & (low != high)).sum())


@pytest.mark.parametrize(("folder", "case"), cases("nanoBragg"))
def test_report_and_header_of_nanobragg(folder: Path, case: dict[str, Any]) -> None:
    command = parse_nanobragg(case["flags"].split(), base=folder / "inputs")
    camera = camera_of(command.experiment, command.sides_mm)
    logged = list(normal((folder / f"{case['name']}.log").read_text().splitlines(), folder))
    seeded = "noise image paramters:" in logged
    mine = report(
        command.experiment, build_scene(command.experiment), camera,
        noise_seed=command.noise_seed if seeded else None, interpolation=command.interpolation,
    )  # fmt: skip
    end = next(i for i, line in enumerate(logged) if line.startswith("solid angle"))
    difference = list(difflib.unified_diff(logged[:end], list(normal(mine, folder)), n=0))
    if not seeded:
        difference = [line for line in difference if "noise image" not in line]
    assert difference == []
    for suffix in (".int.img", ".noise.img"):
        image = folder / f"{case['name']}{suffix}"
        if image.exists():
            assert nanobragg_header(camera) == image.read_bytes()[:512]


def normal(lines: list[str], folder: Path) -> Iterator[str]:
    """Leave out what depends on the machine: addresses, progress, folders, the sign of zeros."""
    for line in lines:
        if not line.strip() or re.match(r"mmap\(|reading \S+\.img|\d+% done", line):
            continue
        line = line.replace(f"{folder / 'inputs'}/", "")
        line = re.sub(r"(?<![\d.e])-(0(\.0+)?)(?=[ ,;]|$)", r"\1", line)
        yield " ".join(line.split())
