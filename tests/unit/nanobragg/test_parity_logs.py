"""Comparing traces: dirty logs, divergences, bundles."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parity.golden import COPIED
from tests.unit.command import refusal, tiledsim
from tiledsim.errors import InputFileError
from tiledsim.parity import compare, read_log
from tiledsim.parity.bundle import bundle_folder, summary_text
from tiledsim.parity.images import compare_images
from tiledsim.parity.read_log import ORDER, parse_log

LOG = COPIED / "polarized.trace_10_80.log"
TEXT = LOG.read_text()


def altered(key: str, factor: float) -> str:
    """The log, with the numbers of one key multiplied."""
    lines = []
    for line in TEXT.splitlines():
        if line.startswith(f"TRACE_C: {key} "):
            numbers = " ".join(repr(float(w) * factor) for w in line.split()[2:])
            line = f"TRACE_C: {key} {numbers}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_a_log_agrees_with_itself() -> None:
    found = compare(parse_log(TEXT), parse_log(TEXT.replace("TRACE_C:", "TRACE_PY:")))
    assert found.first_divergence is None
    assert (found.n_compared, found.n_missing) == (len(ORDER), 0)


@pytest.mark.parametrize("key", [key for key in ORDER if not key.startswith("oversample_")])
def test_the_first_divergence_is_the_key_that_is_out(key: str) -> None:
    other = parse_log(altered(key, 1 + 1e-5))
    reference = parse_log(TEXT)
    if not any(reference.values[key]):
        pytest.skip("0 times a factor is 0")
    found = compare(reference, other)
    assert found.first_divergence == key
    assert found[key].status == "minor"
    assert compare(reference, other, rtol=1e-3).first_divergence is None
    assert summary_text(found).splitlines()[2] == f"First divergence: **{key}**"


@pytest.mark.parametrize(
    "dirty",
    [
        TEXT.replace("TRACE_C: ", "TRACE_C:").replace("steps 1", "steps=1"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("TRACE_C: R_", "12% done\nTRACE_C: R_"),
        TEXT + "TRACE_C: steps",
        altered("I_pixel_final", 7.0) + TEXT,
        "\x00\xff" + TEXT,
    ],
)
def test_dirt_that_changes_nothing(dirty: str) -> None:
    assert compare(parse_log(TEXT), parse_log(dirty)).first_divergence is None


def test_several_traces_in_a_log_are_counted() -> None:
    log = parse_log(altered("F_cell", 3.0) + TEXT)
    assert log.blocks == 2
    found = compare(parse_log(TEXT), log)
    assert found.first_divergence is None
    assert "PY: 2 complete traces in the log; the last one is compared" in found.notes


@pytest.mark.parametrize("word", ["NOT_EXTRACTED", "", "1 2", "abc"])
def test_values_that_are_no_numbers_are_missing(word: str) -> None:
    lines = [f"TRACE_C: F_cell {word}" if "F_cell" in x else x for x in TEXT.splitlines()]
    found = compare(parse_log(TEXT), parse_log("\n".join(lines)))
    assert found["F_cell"].status == "missing"
    assert found.n_missing == 1


@pytest.mark.parametrize(("word", "status"), [("nan", "divergent"), ("inf", "divergent")])
def test_values_that_are_not_finite_diverge(word: str, status: str) -> None:
    lines = [f"TRACE_C: F_cell {word}" if "F_cell" in x else x for x in TEXT.splitlines()]
    found = compare(parse_log(TEXT), parse_log("\n".join(lines)))
    assert found["F_cell"].status == status
    json.dumps(found.metrics(), allow_nan=False)


def test_an_intensity_recorded_after_polarization() -> None:
    polar = parse_log(TEXT).values["polar"][0]
    found = compare(parse_log(TEXT), parse_log(altered("I_before_scaling", polar)))
    assert found.first_divergence is None
    assert any("after polarization in PY" in note for note in found.notes)


def test_other_pixels_are_refused() -> None:
    other = parse_log(altered("pixel_pos_meters", 1.01))
    with pytest.raises(InputFileError, match="different pixels"):
        compare(parse_log(TEXT), other)


@settings(max_examples=300)
@given(st.data())
def test_no_log_crashes(data: st.DataObject) -> None:
    lines = TEXT.splitlines()
    junk = st.one_of(st.text(max_size=40), st.sampled_from(lines), st.sampled_from(lines).map(
        lambda line: line[: len(line) // 2]), st.sampled_from(ORDER).map(lambda k: f"TRACE_C: {k}"),
        st.sampled_from(ORDER).map(lambda k: f"TRACE_PY:{k}=1e999 nan -inf"))  # fmt: skip
    drawn = [parse_log("\n".join(data.draw(st.lists(junk, max_size=30)))) for _ in range(2)]
    try:
        found = compare(*drawn)
    except InputFileError:
        return
    summary_text(found)
    json.dumps(found.metrics(), allow_nan=False)


def test_bundles_are_never_overwritten(tmp_path: Path) -> None:
    assert bundle_folder(tmp_path / "new") == (tmp_path / "new", "summary.md")
    folders = {bundle_folder(tmp_path / "new")[0] for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.parent == tmp_path / "new" for folder in folders)
    inside, _ = bundle_folder(f"{tmp_path}/reports/")
    assert inside.parent == tmp_path / "reports"
    assert bundle_folder(tmp_path / "x" / "NAME.md") == (tmp_path / "x", "NAME.md")


def test_compare_and_its_evidence(tmp_path: Path) -> None:
    py = tmp_path / "py.log"
    py.write_text(altered("F_cell", 1.5))
    done = tiledsim("compare", "--c", LOG, "--py", py, "--out", tmp_path / "evidence")
    assert done.returncode == 1
    folder = tmp_path / "evidence"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["first_divergence"] == "F_cell"
    assert metrics["keys"]["F_cell"]["status"] == "divergent"
    subprocess.run(["sha256sum", "-c", "sha256.txt"], cwd=folder, check=True, capture_output=True)
    again = tiledsim("compare", "--c", LOG, "--py", LOG, "--out", tmp_path / "evidence")
    assert again.returncode == 0
    assert json.loads((folder / "metrics.json").read_text()) == metrics


def test_logs_that_cannot_be_compared(tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.write_text("")
    said = refusal("compare", "--c", empty, "--py", LOG, "--out", tmp_path / "out")
    assert "is empty" in said
    assert "is empty" in (tmp_path / "out" / "compare_failure.log").read_text()
    assert "does not exist" in refusal("compare", "--c", tmp_path / "none", "--py", LOG,
                                       "--out", tmp_path / "out")  # fmt: skip
    (tmp_path / "file").write_text("")
    assert "cannot be" in refusal("compare", "--c", LOG, "--py", LOG, "--out",
                                  tmp_path / "file" / "out")  # fmt: skip
    with pytest.raises(InputFileError):
        read_log(tmp_path)


def test_images(tmp_path: Path) -> None:
    a = np.random.default_rng(0).random((30, 40))
    b = a.copy()
    b[3, 4] *= 1.001
    found = compare_images(a, b)
    assert (found.out_of_tolerance, found.trace_slow, found.trace_fast) == (1, 3, 4)
    assert found.largest_relative == pytest.approx(1e-3)
    assert sum(n for _, _, n in found.histogram) == a.size
    for name, image in {"a.bin": a, "b.bin": b}.items():
        image.astype("<f4").tofile(tmp_path / name)
    words = ["compare", "--image", tmp_path / "a.bin", "--image", tmp_path / "b.bin"]
    shaped = [*words, "--shape", 30, 40, "--out", tmp_path / "out"]
    done = tiledsim(*shaped)
    assert done.returncode == 1
    assert "trace next: --pixel 3 4" in done.stdout
    assert "--shape" in refusal(*words, "--out", tmp_path / "out")
    assert "1200" not in refusal(*words, "--shape", 3, 4, "--out", tmp_path / "out").split()
