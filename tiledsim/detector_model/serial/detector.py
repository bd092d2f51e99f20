"""The detectors of nanoBragg and noisify: photons of a whole image to counts, in raster order.

docs/physics.md, sections 6 to 9.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.serial.counts import noisy_counts, wrapped
from tiledsim.detector_model.serial.deviates import (
    SerialGenerator,
    gaussian,
    photon_rows,
    poisson_rows,
    readout_rows,
    seed_state,
)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Roi = tuple[int, int, int, int]
LARGEST: Final = {16: 65535.0, 32: 2147483647.0}
"""Largest value of noisify's images, by their bits."""
ROWS_AT_ONCE: Final = 512


class CountedRows(NamedTuple):
    """Some rows of nanoBragg's noise image."""

    pixels: NDArray[np.uint16]
    photons: float
    """Their sum."""
    overloads: int


def nanobragg_rows(image: Float32, roi: Roi, adc: float, seed: int) -> Iterator[CountedRows]:
    """Draw nanoBragg's noise image of expected photons [slow, fast], some rows after others.

    ``seed`` is as on the command line; the generator starts from its negative.  Pixels outside the
    region of interest (fast_min, fast_max, slow_min, slow_max, inclusive) are 0 and draw nothing.
    """
    generator, state = SerialGenerator(), seed_state(-seed)
    fast_min, fast_max, slow_min, slow_max = roi
    for row in range(0, len(image), ROWS_AT_ONCE):
        end = min(row + ROWS_AT_ONCE, len(image))
        pixels = np.zeros((end - row, image.shape[1]), dtype=np.uint16)
        first, stop = max(slow_min, row), min(slow_max + 1, end)
        photons, overloads = 0.0, 0
        if first < stop:
            means = np.ascontiguousarray(image[first:stop, fast_min : fast_max + 1])
            counts = np.empty_like(means)
            poisson_rows(means, counts, generator.table, generator.spare, state)
            values, overloads = noisy_counts(counts, adc)
            pixels[first - row : stop - row, fast_min : fast_max + 1] = values
            photons = float(counts.sum(dtype=np.float64))
        yield CountedRows(pixels, photons, overloads)


@dataclass(frozen=True, kw_only=True)
class NoisifyDetector:
    """noisify's detector but for its point spread, and the ways in which it departs from it."""

    flicker: float
    """Relative standard deviation of the beam's intensity."""
    calibration: float
    """Of the pixels' sensitivity."""
    gain: float
    """ADU per photon."""
    adc: float
    """Offset [ADU]."""
    readout: float
    """Standard deviation [ADU]."""
    bits: int
    """16 or 32."""
    calibration_shared: bool = True
    flicker_per_pixel: bool = True
    adu_wraps: bool = True

    def values(self, adu: Float64, most: float | None = None) -> NDArray[np.int64]:
        """Cut values to whole numbers of this many bits; ``most`` is the largest, in place of that
        of the bits."""
        adu = np.minimum(adu, LARGEST[self.bits] if most is None else most)
        if not self.adu_wraps:
            adu = np.maximum(adu, 0.0)
        return wrapped(adu, self.bits, through=64 if self.bits == 32 else 32)


class NoisifyDraws:
    """One run of noisify's generator over an image."""

    def __init__(self, detector: NoisifyDetector, seed: int, calibration_seed: int) -> None:
        """``seed`` and ``calibration_seed`` are what the program holds: negatives of those given,
        but for its default of the latter."""
        self._detector, self._seed = detector, seed_state(seed)
        self._calibration_seed = seed_state(calibration_seed)
        self._generator = SerialGenerator()
        self._own = self._generator if detector.calibration_shared else SerialGenerator()

    def detect(self, photons: Float32) -> Float32:
        """Return what is detected of expected photons [slow, fast]."""
        detector, generator, own = self._detector, self._generator, self._own
        flicker, photons = detector.flicker, photons.copy()
        if flicker > 0 and not detector.flicker_per_pixel:
            drawn = float(gaussian(generator.table, generator.spare, self._seed))
            photons = (photons.astype(np.float64) * (1.0 + flicker * drawn)).astype(np.float32)
            flicker = 0.0
        photon_rows(
            photons, flicker, detector.calibration, generator.table, generator.spare, self._seed,
            own.table, own.spare, self._calibration_seed,
        )  # fmt: skip
        return photons

    def read_out(self, photons: Float32) -> tuple[NDArray[np.int64], int]:
        """Return the values of pixels [rows, fast], the next in raster order, and how many of them
        are overloads."""
        detector = self._detector
        adu = photons.astype(np.float64) * detector.gain + detector.adc
        if detector.readout > 0:
            readout_rows(
                adu, detector.readout, self._generator.table, self._generator.spare, self._seed
            )
        return detector.values(adu), int((adu > LARGEST[detector.bits]).sum())
