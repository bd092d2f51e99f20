"""The point spread of noisify, pixel after pixel in float32 (docs/physics.md, sections 8 and 9).

Integrals over unit pixels of a Gaussian, and of the spread of a fibre taper (Holton et al., J.
Synchrotron Rad. 19, 1006, 2012).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError
from tiledsim.jit import exact_jit

Float32 = NDArray[np.float32]
Shape = Literal["gauss", "fiber"]
_FIBRE_G: Final = 0.652383013252053
_LOSS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class SerialPsf:
    """A point spread and the ways in which noisify applies it."""

    shape: Shape
    fwhm_px: float
    radius_px: int = 0
    """0: by the value of each pixel, or of the largest one."""
    wraps: bool = True
    spread_evenly: bool = True
    radius_by_value: bool = True
    dark_crash: bool = True


@dataclass(frozen=True)
class Spread:
    """An image after the point spread."""

    image: Float32
    largest: float
    radius_px: int
    """That of the largest value."""
    lost: float
    """Photons outside the radius, by the analytic tail."""


def apply_serial_psf(image: Float32, psf: SerialPsf) -> Spread:
    """Spread an image [slow, fast] of photons.

    Raises ExperimentError where noisify would end in a fault: an automatic Gaussian over a value
    between 0 and 0.01, unless ``psf.dark_crash`` is off.
    """
    largest = max(float(image.max(initial=0.0)), 0.0)
    out = np.zeros(image.size + 1, dtype=np.float32)
    if largest <= 0.0:
        return Spread(out[:-1].reshape(image.shape), largest, 0, 0.0)
    gauss, longest = psf.shape == "gauss", max(image.shape)
    dark = (image > 0) & (image < 0.01)
    if gauss and psf.radius_px == 0 and psf.dark_crash and dark.any():
        raise ExperimentError(
            "noisify ends in a fault here: the automatic radius of a Gaussian is no number for a "
            f"value below 0.01 ({dark.sum()} pixels); give -psf_radius, or --quirks "
            "all,-psf_dark_crash"
        )
    radius = psf.radius_px or automatic_radius(largest, psf.fwhm_px, gauss)
    kernel = _kernel(min(radius, longest), psf.fwhm_px, gauss)
    fixed = psf.radius_px if psf.radius_by_value else radius
    lost = _spread(
        np.ascontiguousarray(image), out, kernel, psf.fwhm_px, gauss, fixed, longest, psf.wraps
    )
    pixels = out[:-1].reshape(image.shape)
    if psf.spread_evenly:
        pixels = (pixels.astype(np.float64) + lost / image.size).astype(np.float32)
    return Spread(pixels, largest, radius, lost)


@exact_jit
def automatic_radius(value: float, fwhm: float, gauss: bool) -> int:
    """Radius [px] beyond which a tenth of the counting error lies; at least 1."""
    lost = math.sqrt(value) / _LOSS
    if not gauss:
        return 1 + math.ceil(fwhm * _FIBRE_G * (value / lost))
    tail = -math.log(lost / value) / math.log(16.0)
    return 1 + math.ceil(math.sqrt(tail) * fwhm) if tail > 0.0 else 1


def _kernel(radius: int, fwhm: float, gauss: bool) -> NDArray[np.float64]:
    size = 2 * radius + 1
    kernel = np.zeros((size, size))
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                kernel[radius + dy, radius + dx] = _pixel(dx, dy, fwhm, gauss)
    return kernel


def _pixel(x: float, y: float, fwhm: float, gauss: bool) -> float:
    """Integrate a spread of volume 1 over the pixel at (x, y)."""
    corner: Callable[[float, float], float]
    if gauss:
        x, y, side = x / fwhm, y / fwhm, 1.0 / fwhm / 2.0
        corner = _gauss_corner
    else:
        side, corner = 0.5, partial(_fibre_corner, g=fwhm * _FIBRE_G)
    return (
        corner(x + side, y + side)
        - corner(x + side, y - side)
        - corner(x - side, y + side)
        + corner(x - side, y - side)
    )


def _gauss_corner(x: float, y: float) -> float:
    return 0.125 * (
        math.erf(2 * x * math.sqrt(math.log(2)))
        * math.erf(y * math.sqrt(math.log(16)))
        * math.sqrt(math.log(16) / math.log(2))
    )


def _fibre_corner(x: float, y: float, g: float) -> float:
    return math.atan((x * y) / (g * math.sqrt(g * g + x * x + y * y))) / 2.0 / math.pi


@exact_jit
def _spread(
    image: Float32,
    out: Float32,
    kernel: NDArray[np.float64],
    fwhm: float,
    gauss: bool,
    fixed: int,
    longest: int,
    wraps: bool,
) -> float:
    slow, fast = image.shape
    edge = 1 if wraps else 0
    middle = kernel.shape[0] // 2
    g = fwhm * _FIBRE_G
    total = 0.0
    for row in range(slow):
        for col in range(fast):
            value = np.float64(image[row, col])
            if value <= 0.0:
                continue
            radius = min(fixed if fixed > 0 else automatic_radius(value, fwhm, gauss), longest)
            if gauss:
                ratio = radius / fwhm
                total += value * math.exp(-math.log(16.0) * (ratio * ratio))
            else:
                total += value * g / math.sqrt(g * g + radius * radius)
            reach = min(radius, middle)
            for dx in range(-reach, reach + 1):
                for dy in range(-reach, reach + 1):
                    if dx * dx + dy * dy > radius * radius:
                        continue
                    x, y = col + dx, row + dy
                    if x < 0 or x >= fast + edge or y < 0 or y >= slow + edge:
                        continue
                    at = y * fast + x
                    if at <= slow * fast:
                        out[at] = np.float32(
                            np.float64(out[at]) + value * kernel[middle + dy, middle + dx]
                        )
    return total
