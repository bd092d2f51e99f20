"""nanoBragg's int, pgm and noise images, made of its float image in rows of bounded memory.

In the mode spec the noise is Philox's, any pixel by itself; in c-parity the program's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.rows import detect_rows
from tiledsim.detector_model.serial.counts import LARGEST_16, grey_levels, noiseless_counts
from tiledsim.detector_model.serial.detector import CountedRows, nanobragg_rows
from tiledsim.image_files.pgm import pgm_header
from tiledsim.nanobragg.images.files import OutputFiles
from tiledsim.nanobragg.images.statistics import ImageStatistics, row_blocks
from tiledsim.quirks import Mode

Roi = tuple[int, int, int, int]
Float32 = NDArray[np.float32]
DEFAULT_ADC = 40.0


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """Which images to write and how they are scaled; None is what the program chooses."""

    int_file: Path | None
    pgm_file: Path | None
    noise_file: Path | None
    int_scale: float | None = None
    pgm_scale: float | None = None
    adc: float = DEFAULT_ADC
    noise_seed: int = 0
    """As on the command line; the program's generator starts from its negative."""
    mode: Mode = "c-parity"


def write_images(
    image: Float32,
    roi: Roi,
    statistics: ImageStatistics,
    header: bytes,
    request: ImageRequest,
    files: OutputFiles,
    *,
    pgm_doubled: bool = False,
) -> list[str]:
    """Write the images that are asked for, and return the lines that the program prints of them.

    ``image`` is [slow, fast] in photons.  Pixels outside the region of interest are 0 in every
    file.  The noise is drawn in raster order, masked pixels included.  With ``pgm_doubled`` the
    pgm has two bytes a pixel, the second half of them 0 (quirk pgm_long of nonBragg).
    """
    slow, fast = image.shape
    lines = []
    scale = request.int_scale or 0.0
    if scale <= 0.0:
        scale = 55000.0 / statistics.maximum if statistics.maximum > 0.0 else 1.0
    lines.append(f"intfile_scale = {scale:.6g}")
    if request.int_file is not None:
        with files.open(request.int_file) as out:
            out.write(header)
            for rows, inside in _portions(image, roi):
                counts = noiseless_counts(rows, scale, request.adc)
                out.write(np.where(inside, counts, 0).astype("<u2").tobytes())
        lines.append(f"writing {request.int_file} as 2-byte integers")
    if request.pgm_file is not None:
        grey = request.pgm_scale or 0.0
        if grey <= 0.0:
            grey = 250.0 / (5.0 * statistics.rmsd) if statistics.rmsd > 0.0 else scale
        lines.append(f"pgm_scale = {grey:.6g}")
        with files.open(request.pgm_file) as out:
            out.write(pgm_header(fast, slow, f"pixels scaled by {grey:.6g}"))
            for rows, inside in _portions(image, roi):
                out.write(np.where(inside, grey_levels(rows, grey), 0).astype("u1").tobytes())
            if pgm_doubled:
                out.write(bytes(slow * fast))
        lines.append(f"writing {request.pgm_file} as 1-byte integers")
    if request.noise_file is not None:
        lines.append(_write_noise(image, roi, header, request, request.noise_file, files))
        lines.append(f"writing {request.noise_file} as 2-byte integers")
    return lines


def _portions(image: Float32, roi: Roi) -> Iterator[tuple[Float32, NDArray[np.bool_]]]:
    slow, fast = image.shape
    columns = (np.arange(fast) >= roi[0]) & (np.arange(fast) <= roi[1])
    for part in row_blocks(slow):
        rows = np.arange(part.start, part.stop)
        inside = ((rows >= roi[2]) & (rows <= roi[3]))[:, None] & columns
        yield np.asarray(image[part]), inside


def _write_noise(
    image: Float32, roi: Roi, header: bytes, request: ImageRequest, file: Path, files: OutputFiles
) -> str:
    total, overloads = 0.0, 0
    with files.open(file) as out:
        out.write(header)
        drawn = nanobragg_rows if request.mode == "c-parity" else _philox_rows
        for counted in drawn(image, roi, request.adc, request.noise_seed):
            out.write(counted.pixels.astype("<u2").tobytes())
            total += counted.photons
            overloads += counted.overloads
    return f"{total:.0f} photons on noise image ({overloads} overloads)"


def _philox_rows(image: Float32, roi: Roi, adc: float, seed: int) -> Iterator[CountedRows]:
    """Count photons as a run with a noise section of this seed and offset does."""
    fast = image.shape[1]
    first = 0
    for rows, inside in _portions(image, roi):
        detected = np.empty(rows.shape)
        photons = np.ascontiguousarray(rows)
        detect_rows(photons, first, fast, seed, 0, True, 1.0, 0.0, 0, detected)
        detected[~inside] = 0.0
        values = np.floor(detected + adc + 0.5)
        over = inside & (values > LARGEST_16)
        pixels = np.where(inside, np.clip(values, 0.0, LARGEST_16), 0.0).astype(np.uint16)
        yield CountedRows(pixels, float(detected.sum()), int(over.sum()))
        first += rows.size
