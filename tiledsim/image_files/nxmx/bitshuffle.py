"""Bitshuffle and LZ4 as HDF5's filter 32008 stores them, in pieces that are compressed apart.

A chunk is a header of 12 bytes and blocks of 8192 bytes, each compressed alone; so whoever has some
rows compresses them, and a writer joins the pieces in order.  A block that two pieces share is
compressed by the writer.  The format: github.com/kiyo-masui/bitshuffle, ``bshuf_compress_lz4``.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit

BLOCK_BYTES = 8192
BLOCKS_AT_ONCE = 64
FILTER = 32008
LZ4 = 2


@dataclass(frozen=True)
class Piece:
    """Some consecutive pixels of a chunk."""

    head: NDArray[np.generic]
    """Pixels before the first whole block."""
    blocks: bytes
    """Whole blocks, compressed."""
    tail: NDArray[np.generic]
    """Pixels after the last whole block."""


@jit
def _shuffle(src: NDArray[Any], per: int, plane: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Gather the bits of equal weight of each block of ``per`` unsigned items.

    ``plane`` is memory of ``per`` bytes, for the bytes of equal weight.
    """
    item = src.itemsize
    row = per // 8
    eights = plane.view(np.uint64)
    for b in range(src.size // per):
        first = b * per
        seen = src[first]
        for e in range(1, per):
            seen |= src[first + e]
        for j in range(item):
            at = first * item + j * per
            if (seen >> (8 * j)) & 0xFF == 0:  # of small counts most bytes
                out[at : at + per] = 0
                continue
            for e in range(per):
                plane[e] = np.uint8((src[first + e] >> (8 * j)) & 0xFF)
            for e in range(row):
                x = eights[e]
                # An 8 × 8 matrix of bits transposed in three steps (Warren, Hacker's Delight, 7-3).
                t = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
                x = x ^ t ^ (t << np.uint64(7))
                t = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
                x = x ^ t ^ (t << np.uint64(14))
                t = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
                eights[e] = x ^ t ^ (t << np.uint64(28))
            for k in range(8):
                shift = np.uint64(8 * k)
                for e in range(row):
                    out[at + k * row + e] = np.uint8((eights[e] >> shift) & np.uint64(0xFF))


def _compress(flat: NDArray[np.generic], per: int) -> Iterator[bytes]:
    """Yield the compressed blocks of ``per`` items, each behind its length."""
    from numcodecs import lz4

    item = flat.dtype.itemsize
    src = np.ascontiguousarray(flat).view(f"<u{item}")
    size = per * item
    # Memory that is used again: fresh memory costs more than the shuffling.
    out = np.empty(min(src.size // per, BLOCKS_AT_ONCE) * size, dtype=np.uint8)
    plane = np.empty(per, dtype=np.uint8)
    shuffled = memoryview(out.data)
    for start in range(0, src.size, out.size // item):
        some = src[start : start + out.size // item]
        _shuffle(some, per, plane, out)
        for at in range(0, some.size * item, size):
            block = lz4.compress(shuffled[at : at + size])
            yield struct.pack(">I", len(block) - 4)
            yield block[4:]  # numcodecs puts the size in front


def compress_piece(pixels: NDArray[np.generic], start: int) -> Piece:
    """Compress consecutive pixels of a chunk.

    Parameters
    ----------
    pixels : [n]
        Little-endian numbers.
    start : int
        Number of pixels of the chunk before them.
    """
    per = BLOCK_BYTES // pixels.dtype.itemsize
    head = min(-start % per, pixels.size)
    whole = (pixels.size - head) // per * per
    blocks = b"".join(_compress(pixels[head : head + whole], per)) if whole else b""
    return Piece(pixels[:head].copy(), blocks, pixels[head + whole :].copy())


def join_pieces(pieces: Iterator[Piece], chunk_bytes: int) -> Iterator[bytes]:
    """Yield a whole chunk, from pieces in order."""
    yield struct.pack(">QI", chunk_bytes, BLOCK_BYTES)
    kept: list[NDArray[np.generic]] = []
    for piece in pieces:
        per = BLOCK_BYTES // piece.head.dtype.itemsize
        kept.append(piece.head)
        shared = np.concatenate(kept)
        if shared.size == per:
            yield from _compress(shared, per)
            shared = shared[:0]
        yield piece.blocks
        kept = [np.concatenate((shared, piece.tail))]
    rest = np.concatenate(kept) if kept else np.zeros(0, np.uint8)
    last = rest.size // 8 * 8
    if last:
        yield from _compress(rest[:last], last)
    yield rest[last:].tobytes()


def compress_chunk(pixels: NDArray[np.generic]) -> bytes:
    """Return the bytes of a chunk."""
    piece = compress_piece(pixels.reshape(-1), 0)
    return b"".join(join_pieces(iter([piece]), pixels.nbytes))
