"""SMV images: a text header of 512 bytes or more, then unsigned 16-bit pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.image_files.smv.header import parse_smv_header
from tiledsim.io.numbers import plain_int
from tiledsim.io.text import read_bytes

LARGEST_IMAGE: Final = 4 << 30
"""Bytes of an SMV image that is read."""


@dataclass(frozen=True)
class SmvImage:
    """An SMV image and its header."""

    header: dict[str, str]
    image: NDArray[np.uint16]
    """Pixels [slow, fast]."""


def read_smv(path: Path) -> SmvImage:
    """Read an SMV image.  Raises InputFileError where header and data do not fit each other."""
    content = read_bytes(path, "image", LARGEST_IMAGE)
    header = parse_smv_header(path, content)
    try:
        start, fast, slow = (plain_int(header[key]) for key in ("HEADER_BYTES", "SIZE1", "SIZE2"))
    except (KeyError, ValueError) as error:
        raise InputFileError(
            f"{path}: the SMV header needs HEADER_BYTES, SIZE1 and SIZE2 ({error})"
        ) from None
    if header.get("TYPE", "unsigned_short") != "unsigned_short":
        raise InputFileError(f"{path}: SMV pixels must be unsigned_short, not {header['TYPE']}")
    if fast < 1 or slow < 1 or start < 1:
        raise InputFileError(f"{path}: an SMV image of {fast} x {slow} pixels after byte {start}")
    order = ">" if header.get("BYTE_ORDER", "little_endian") == "big_endian" else "<"
    data = content[start:]
    if len(data) < 2 * fast * slow:
        raise InputFileError(
            f"{path}: {fast} x {slow} pixels need {2 * fast * slow} bytes, the file has {len(data)}"
        )
    pixels = np.frombuffer(data, dtype=f"{order}u2", count=fast * slow)
    return SmvImage(header, pixels.reshape(slow, fast).astype(np.uint16))
