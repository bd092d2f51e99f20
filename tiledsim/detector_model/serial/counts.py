"""From photons to pixel values as the C programs convert them, overflow and sign included.

A conversion in C of a number that its type does not hold is undefined; these are what the programs
give on the machines they run on (x86-64: through a wider integer, of which the low bits stay, and
0 for what that does not hold either).
"""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
LARGEST_16 = 65535.0


def wrapped(values: Float, bits: int, through: int = 32) -> NDArray[np.int64]:
    """Cut numbers to whole ones and keep the low ``bits``, by way of a ``through``-bit integer."""
    held = np.abs(values) < 2.0 ** (through - 1)  # NaN is not held
    whole = np.where(held, np.trunc(values), 0.0).astype(np.int64)
    return whole & ((1 << bits) - 1)


def noiseless_counts(photons: NDArray[np.float32], scale: float, adc: float) -> NDArray[np.uint16]:
    """Return min(65535, max(0, value·scale + adc)), rounded half up in float32."""
    with np.errstate(invalid="ignore"):  # an infinite pixel has a scale of 0
        values = photons.astype(np.float64) * scale + adc
    values = np.clip(values, 0.0, LARGEST_16)  # NaN stays
    rounded = np.floor((values + 0.5).astype(np.float32)).astype(np.float64)
    return wrapped(rounded, 16).astype(np.uint16)


def grey_levels(photons: NDArray[np.float32], scale: float) -> NDArray[np.uint8]:
    """Return min(255, value·scale), cut; a value below 0 wraps."""
    with np.errstate(invalid="ignore"):
        values = np.minimum(photons.astype(np.float64) * scale, 255.0)
    return wrapped(values, 8).astype(np.uint8)


def noisy_counts(photons: NDArray[np.float32], adc: float) -> tuple[NDArray[np.uint16], int]:
    """Return photons + adc, cut, at most 65535; and how many pixels were above."""
    values = photons.astype(np.float64) + adc
    over = values > LARGEST_16
    return wrapped(np.where(over, LARGEST_16, values), 16).astype(np.uint16), int(over.sum())
