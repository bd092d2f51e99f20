from pathlib import Path

import pytest

from tiledsim.errors import InputFileError
from tiledsim.io.text import read_text


def test_text_comes_back_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffλ = 1\n".encode())
    assert read_text(path, "matrix") == "λ = 1\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe\x00", "not UTF-8"), (b"1 2\x003", "binary")],
)
def test_a_file_that_is_not_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=said) as caught:
        read_text(path, "matrix")
    assert str(path) in str(caught.value)
    assert str(caught.value).startswith("matrix file ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.txt", "does not exist"),
        (".", r"^source file \S+ is a folder"),
        ("a.txt/b", "cannot be read: Not a directory"),
        ("nul\0", "cannot be read"),
        ("/dev/null", "^source file /dev/null is a device"),
    ],
)
def test_what_cannot_be_opened_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "a.txt").write_text("1")
    with pytest.raises(InputFileError, match=said) as caught:
        read_text(tmp_path / name, "source")
    assert "\n" not in str(caught.value)
