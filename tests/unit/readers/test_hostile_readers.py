"""Whatever a file holds, its reader takes it or refuses it with an error of the project."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.readers.hostile_readers import TARGETS, encrypted_part, splice
from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Rotation
from tiledsim.image_files.smv.header import parse_smv_header
from tiledsim.io.arrays import map_npy, read_npy
from tiledsim.io.numbers import plain_float, plain_int
from tiledsim.scene.crystal.lattice import phi_steps
from tiledsim.scheduler.journal.journal_file import Part
from tiledsim.structure_factors.tables.text import read_hkl

FILES = [name for name in TARGETS if name not in ("command line", "journal part", "summary")]


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow,
          HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=st.data())
def test_a_reader_raises_nothing_but_its_own_errors(
    name: str, tmp_path: Path, data: st.DataObject
) -> None:
    target = TARGETS[name]
    piece = st.one_of(st.binary(max_size=12), st.sampled_from(target.words or (b"",)))
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), piece), min_size=1, max_size=5)
    target.try_bytes(tmp_path, splice(data.draw(st.sampled_from(target.seeds)), data.draw(edits)))


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "summary"])
def test_the_unspoiled_files_are_taken(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    assert all(target.try_bytes(tmp_path, seed) for seed in target.seeds)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "missing"])
def test_what_is_no_file_is_refused_before_it_is_read(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"odd{TARGETS[name].suffix}"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(InputFileError, match="does not exist" if kind == "missing" else kind):
        TARGETS[name].read(path)


HEADERS = [
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 1), }",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 3, 3), }",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    b"{'descr': '<V99999999999', 'fortran_order': False, 'shape': (1,), }",
    b"((((((((((",
    b"'\\",
    b"1" * 5000,
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
@pytest.mark.parametrize("read", [read_npy, map_npy])
def test_a_header_of_npy_that_numpy_stumbles_over(
    header: bytes, read: Callable[[Path, str], object], tmp_path: Path
) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(InputFileError, match="cannot be read as a mask") as caught:
        read(path, "a mask")
    assert "\n" not in str(caught.value)


def test_arrays_come_back_as_they_were_saved(tmp_path: Path) -> None:
    values = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    np.save(tmp_path / "a.npy", values)
    assert np.array_equal(read_npy(tmp_path / "a.npy", "a mask"), values)
    mapped = map_npy(tmp_path / "a.npy", "a mask")
    assert np.array_equal(mapped, values)
    assert not mapped.flags.writeable


def test_a_long_smv_header_is_read_in_one_pass() -> None:
    # A pattern that tries each blank again from every other would need hours here.
    text = b"{HEADER_BYTES=1000000;\nA = 1 ; left out\n" + b"\n" * 400_000 + b"B" + b" " * 400_000
    header = parse_smv_header(Path("a.img"), text.ljust(999_000) + b"\nC=3;}".ljust(1_000))
    assert header == {"HEADER_BYTES": "1000000", "A": "1", "C": "3"}


@pytest.mark.parametrize("digits", ["9" * 5000, "10000000000"])
def test_a_header_of_endless_length_is_refused(digits: str) -> None:
    with pytest.raises(InputFileError):
        parse_smv_header(Path("a.img"), f"{{HEADER_BYTES={digits};\n".encode().ljust(9000))


@pytest.mark.parametrize("word", ["1_0", "١", "", "+", "0x1", "1e", "1 ", "1" * 500])
def test_words_that_are_no_numbers(word: str) -> None:
    with pytest.raises(ValueError, match="is no number"):
        plain_float(word)
    with pytest.raises(ValueError, match="is no whole number"):
        plain_int(word)


@given(st.floats())
def test_numbers_that_python_writes_are_read(value: float) -> None:
    assert plain_float(repr(value)) == value or value != value


def test_a_number_written_as_no_file_writes_it_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.hkl"
    path.write_text("1 2 3 4\n1_0 2 3 4\n")
    with pytest.raises(InputFileError, match="line 2: not numbers"):
        read_hkl(path, 0.0)


def test_two_reflections_do_not_span_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.hkl"
    path.write_text("900 900 900 5\n0 0 0 1\n")
    with pytest.raises(InputFileError, match=r"2 indices span .* mistyped"):
        read_hkl(path, 0.0)


def test_an_encrypted_part_of_a_journal() -> None:
    with pytest.raises(ValueError, match="encrypted"):
        Part.decode(encrypted_part())


def test_more_phi_steps_than_are_computed_are_refused_at_once() -> None:
    with pytest.raises(ExperimentError, match="100,000,000"):
        phi_steps(Rotation(range_deg=1.0, steps=100_000_000))
