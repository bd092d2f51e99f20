"""Codecs for images of counts: how small and how fast.

    python benchmarks/codecs.py

Counts of a synthetic image (a water ring under spots) as each type of integer, in chunks of 256²;
ratio to the plain bytes, MB/s of plain bytes to encode and decode, the best of three.
"""

import time

import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import MemoryStore

SIDE = 2048


def photons() -> np.ndarray:
    """Make an image with a smooth background of 0.2 to 12 photons and a thousand spots."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    r = np.hypot(x, y) / SIDE
    image = 0.2 + 12.0 * np.exp(-(((r - 0.25) / 0.1) ** 2))
    for row, col in rng.integers(4, SIDE - 4, (1000, 2)):
        image[row - 2 : row + 3, col - 2 : col + 3] += 10 ** rng.uniform(1, 4)
    return image


def main() -> None:
    """Print a line for each codec and type."""
    counts = np.random.default_rng(2).poisson(photons())
    codecs = {
        "zstd 1": ZstdCodec(level=1, checksum=True),
        "zstd 3": ZstdCodec(level=3, checksum=True),
        **{
            f"{shuffle} {name} {level}": BloscCodec(cname=name, clevel=level, shuffle=shuffle)
            for shuffle in ("bitshuffle", "shuffle")
            for name, level in (("lz4", 5), ("zstd", 1), ("zstd", 3))
        },
    }
    for dtype in ("uint16", "uint32", "int32"):
        image = counts.clip(0, np.iinfo(dtype).max).astype(dtype)
        for name, codec in codecs.items():
            best = [np.inf, np.inf]
            for _ in range(3):
                store = MemoryStore()
                array = zarr.create_array(
                    store, shape=image.shape, dtype=dtype, chunks=(256, 256), compressors=codec
                )
                started = time.perf_counter()
                array[:] = image
                written = time.perf_counter()
                array[:]
                best = np.minimum(best, [written - started, time.perf_counter() - written])
            ratio = image.nbytes / array.nbytes_stored()
            speeds = image.nbytes / 1e6 / np.array(best)
            print(f"{dtype:7} {name:18} {ratio:5.2f} x {speeds[0]:6.0f} {speeds[1]:6.0f} MB/s")


if __name__ == "__main__":
    main()
