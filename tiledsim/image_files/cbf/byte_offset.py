"""CBF's byte-offset compression, in pieces that are encoded apart.

Each pixel is its difference from the one before: one byte where that fits, else a mark and two
bytes, else a second mark and four (cbflib, ``cbf_byte_offset.c``).  There is no longer form that
readers know, so neighbours differ by less than 2³¹.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError
from tiledsim.jit import jit

PIXELS_AT_ONCE = 65536


@dataclass(frozen=True)
class Piece:
    """Some consecutive pixels of an image."""

    first: int
    """The first pixel; its difference is known to who has the piece before."""
    body: bytes
    """The others, encoded."""
    last: int


@jit
def _encode(flat: NDArray[np.int32], previous: np.int64, out: NDArray[np.uint8]) -> int:
    """Encode pixels after ``previous``; return the bytes written, −1 for too large a step."""
    n = 0
    for i in range(flat.size):
        value = np.int64(flat[i])
        d = value - previous
        previous = value
        if -128 < d < 128:
            out[n] = d & 0xFF
            n += 1
            continue
        out[n] = 0x80
        if -32768 < d < 32768:
            out[n + 1] = d & 0xFF
            out[n + 2] = (d >> 8) & 0xFF
            n += 3
            continue
        if not -2147483648 < d < 2147483648:
            return -1
        out[n + 1] = 0
        out[n + 2] = 0x80
        for k in range(4):
            out[n + 3 + k] = (d >> (8 * k)) & 0xFF
        n += 7
    return n


def encode(flat: NDArray[np.int32], previous: int) -> bytes:
    """Encode pixels [n] that follow a pixel of value ``previous`` (0 before the first)."""
    flat = np.ascontiguousarray(flat)
    # Memory that is used again: fresh memory costs more than the encoding.
    out = np.empty(7 * min(flat.size, PIXELS_AT_ONCE), dtype=np.uint8)
    parts = []
    for start in range(0, flat.size, PIXELS_AT_ONCE):
        some = flat[start : start + PIXELS_AT_ONCE]
        n = _encode(some, np.int64(previous), out)
        if n < 0:
            raise ExperimentError(
                "neighbouring pixels differ by 2³¹ or more, which CBF's byte offset cannot store; "
                "export to nxmx"
            )
        parts.append(out[:n].tobytes())
        previous = int(some[-1])
    return b"".join(parts)


def encode_piece(pixels: NDArray[np.int32]) -> Piece:
    """Encode consecutive pixels [n] of an image, whatever stands before them."""
    return Piece(int(pixels[0]), encode(pixels[1:], int(pixels[0])), int(pixels[-1]))


def join_piece(piece: Piece, previous: int) -> bytes:
    """Return the bytes of a piece that follows a pixel of value ``previous``."""
    return encode(np.array([piece.first], dtype=np.int32), previous) + piece.body
