"""CBF images: a text header and one binary section of 32-bit integers, byte offset.

The lengths and the checksum that stand before the pixels are filled in after them; so an image of
any size is written with the memory of a few rows.
"""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path

from tiledsim.image_files.cbf import byte_offset
from tiledsim.image_files.cbf.imgcif_header import imgcif_header
from tiledsim.image_files.cbf.minicbf_header import fits_minicbf, minicbf_header
from tiledsim.image_files.instrument import Instrument

MAGIC = b"\x0c\x1a\x04\xd5"
PADDING = 4095
END = b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n"
_SIZE_DIGITS = 20


def write_cbf(
    path: Path, parts: Iterable[byte_offset.Piece], instrument: Instrument, saturation: int
) -> None:
    """Write an image of one panel and one shot.

    Parameters
    ----------
    path : Path
        The file.
    parts : iterable of Piece
        The pixels, encoded, in order.
    instrument : Instrument
        Of this shot, with one panel.  What a miniCBF header can express gets one; else the header
        is a full imgCIF one.
    saturation : int
        The largest value that is a measurement.
    """
    name = path.name.partition(".")[0]
    if fits_minicbf(instrument):
        text = minicbf_header(name, instrument, saturation)
    else:
        text = imgcif_header(name, instrument, saturation)
    fast, slow = instrument.panels[0].size_px
    digest = hashlib.md5(usedforsecurity=False)
    size, last = 0, 0
    with path.open("wb") as out:
        out.write(_head(text, fast, slow, 0, b"\0" * 16))
        for piece in parts:
            data = byte_offset.join_piece(piece, last)
            last = piece.last
            digest.update(data)
            size += len(data)
            out.write(data)
        out.write(bytes(PADDING) + END)
        out.seek(0)
        out.write(_head(text, fast, slow, size, digest.digest()))


def _head(text: str, fast: int, slow: int, size: int, md5: bytes) -> bytes:
    """Return all that stands before the pixels; as long for any size and checksum."""
    # Readers take the number after the last blank, so blanks before it do no harm.
    lines = [
        *text.split("\n"), ";", "--CIF-BINARY-FORMAT-SECTION--",
        "Content-Type: application/octet-stream;", '     conversions="x-CBF_BYTE_OFFSET"',
        "Content-Transfer-Encoding: BINARY", f"X-Binary-Size: {size:{_SIZE_DIGITS}d}",
        "X-Binary-ID: 1", 'X-Binary-Element-Type: "signed 32-bit integer"',
        "X-Binary-Element-Byte-Order: LITTLE_ENDIAN",
        f"Content-MD5: {base64.b64encode(md5).decode()}",
        f"X-Binary-Number-of-Elements: {slow * fast}", f"X-Binary-Size-Fastest-Dimension: {fast}",
        f"X-Binary-Size-Second-Dimension: {slow}", f"X-Binary-Size-Padding: {PADDING}", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode("ascii", "replace") + MAGIC
