"""The header of an SMV image: lines ``KEYWORD=value;`` between braces, padded to whole blocks."""

import re
from pathlib import Path

from tiledsim.errors import InputFileError
from tiledsim.io.text import read_bytes

_SHORTEST = 512
_LONGEST = 1 << 20


def read_smv_header(path: Path, what: str = "image") -> dict[str, str]:
    """Return the keywords of a file's header with their values, in the order of the file.

    ``what`` says what the file is for, in messages.  Raises InputFileError for a file that is
    missing or no SMV image.
    """
    return parse_smv_header(path, read_bytes(path, what))


def parse_smv_header(path: Path, content: bytes) -> dict[str, str]:
    """Return the keywords that the first bytes of an SMV file hold; ``path`` is for messages.

    Raises InputFileError for what is no SMV header, or one shorter than it says it is.
    """
    start = re.match(rb"\{\s*HEADER_BYTES\s*=\s*(\d{1,9})\s*;", content)
    if start is None:
        raise InputFileError(
            f"{path}: not an SMV image; it must begin with {{ and HEADER_BYTES=512;"
        )
    length = int(start.group(1))
    if length < _SHORTEST or length > min(len(content), _LONGEST):
        raise InputFileError(
            f"{path}: HEADER_BYTES={length} in a file of {len(content)} bytes; the header has "
            f"{_SHORTEST} to {_LONGEST:,} and ends within the file"
        )
    text = content[:length].decode("latin-1").partition("}")[0]
    header: dict[str, str] = {}
    for line in text[1:].split("\n"):
        keyword, equals, value = line.partition("=")
        keyword = keyword.strip()
        if not equals or not keyword[:1].isascii() or not keyword[:1].isalpha() or ";" in keyword:
            continue
        header.pop(keyword, None)  # the last of several counts, and stands last
        header[keyword] = value.partition(";")[0].strip()
    return header


def smv_block(lines: str) -> bytes:
    """Return a header as its bytes: ``lines`` in braces, a form feed, blanks up to 512 bytes.

    ``lines`` must begin with HEADER_BYTES=512; and end with a line break.  Longer text is not cut.
    """
    return ("{\n" + lines + "}\f").encode("ascii").ljust(_SHORTEST)
