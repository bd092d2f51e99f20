"""Light spread over neighbouring pixels: a convolution that is exact, by fast Fourier transforms.

Light and weights are whole numbers of small units, and their convolution is a whole number too.  A
transform in float64 is off by less than half a unit where light and weights are cut into pieces
that are small enough, so that rounding gives the exact sum.  So a pixel has the same bits whatever
block it was worked out in, by whichever library, on whichever machine; and no light is lost.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WEIGHT_BITS: Final = 40
"""A weight is a whole number of 2^-40."""
_ADU_BITS: Final = 16
"""Expected photons, which are not whole, are rounded to 2^-16 of what makes an ADU, or less."""
LARGEST_LIGHT: Final = 2.0**60
"""Units of light of a pixel; more is cut to that."""
_PIECE_BITS: Final = 20
_PIECE: Final = 2.0**_PIECE_BITS
_SAFE: Final = 2.0**43
"""Product of the norms of light and weights up to which a convolution is off by less than 1/2.

A transform of n points has a relative error (in the norm) of at most 4·2^-53·log2 n (Higham,
Accuracy and Stability of Numerical Algorithms, theorem 24.2, with the error of the roots of unity);
there are three, and n is 2^24 at most: 2^43 · 3 · 4 · 24 · 2^-53 = 0.28."""
_SIDES: Final = (64, 128, 256, 512, 1024, 2048, 4096)
_IN_CACHE: Final = 256


def whole_weights(kernel: Array) -> Array:
    """Return a kernel [2r+1, 2r+1] as weights in steps of 2^-40 whose sum is exactly 1.

    What rounding leaves goes to the largest.
    """
    units = np.rint(kernel / kernel.sum() * 2.0**WEIGHT_BITS)
    units[np.unravel_index(int(kernel.argmax()), kernel.shape)] += 2.0**WEIGHT_BITS - units.sum()
    return np.asarray(units * 2.0**-WEIGHT_BITS)


def side_of_block(radius: int, rows: int, cols: int) -> int:
    """Return the side [pixels] of the transforms that spread rows x cols pixels the fastest."""

    def cost(side: int) -> float:
        inside = side - 2 * radius
        if inside < 1:
            return math.inf
        blocks = -(-rows // inside) * -(-cols // inside)
        return blocks * side**2 * math.log2(side) * (1.0 if side <= _IN_CACHE else 2.0)

    return min(_SIDES, key=cost)


def working_bytes(radius: int, rows: int, cols: int) -> int:
    """Memory that spreading takes besides the light of a band and the result."""
    return 0 if radius == 0 else 80 * side_of_block(radius, rows, cols) ** 2


def light_bits(gain: float) -> int:
    """Return the binary digits after the point that expected photons are rounded to.

    ``gain`` is in ADU per photon.
    """
    return max(0, _ADU_BITS + math.ceil(math.log2(gain)))


def spread_light(light: Array, weights: Array, side: int, bits: int) -> Array:
    """Convolve light [rows + 2r, cols + 2r] with weights [2r+1, 2r+1]: [rows, cols].

    Parameters
    ----------
    light
        Photons, at least 0.
    weights
        As :func:`whole_weights` returns them; [i, j] is the share that goes i − r rows and j − r
        columns away.
    side
        Of the transforms, see :func:`side_of_block`; the result does not depend on it.
    bits
        Binary digits after the point that the light is rounded to; 0 for counts.
    """
    radius = len(weights) // 2
    rows, cols = light.shape[0] - 2 * radius, light.shape[1] - 2 * radius
    inside = side - 2 * radius
    transforms = _transforms(weights.tobytes(), side)
    out = np.empty((rows, cols))
    for row in range(0, rows, inside):
        for col in range(0, cols, inside):
            part = light[row : row + side, col : col + side]
            block = np.zeros((side, side))
            block[: part.shape[0], : part.shape[1]] = part
            if bits:
                block = np.rint(block * 2.0**bits)
            spread = _spread(np.minimum(block, LARGEST_LIGHT), transforms, radius)
            here = out[row : row + inside, col : col + inside]
            np.multiply(
                spread[: here.shape[0], : here.shape[1]], 2.0 ** -(WEIGHT_BITS + bits), out=here
            )
    return out


def _norm(values: Array) -> float:
    return math.sqrt(float(np.square(values).sum()))


class _Transforms:
    """The transforms of weights in two pieces, w = high·2^20 + low, and the norm of the larger."""

    def __init__(self, weights: Array, side: int) -> None:
        units = weights * 2.0**WEIGHT_BITS
        high = np.rint(units / _PIECE)
        low = units - high * _PIECE
        size = (side, side)
        self.side = side
        self.high, self.low = np.fft.rfft2(high, size), np.fft.rfft2(low, size)
        self.norm = max(_norm(high), _norm(low))


@lru_cache(maxsize=4)
def _transforms(weights: bytes, side: int) -> _Transforms:
    units = np.frombuffer(weights)
    radius = (math.isqrt(len(units)) - 1) // 2
    return _Transforms(units.reshape(2 * radius + 1, 2 * radius + 1), side)


def _spread(units: Array, weights: _Transforms, radius: int) -> Array:
    """Convolve whole numbers [side, side] with the weights, in units of both: the inside alone.

    Light of more than 20 bits is spread in pieces, each of which is exact to the bit.
    """
    if float(units.max()) < _PIECE:
        return _small(units, weights, radius)
    above = np.floor(units / _PIECE)
    below = _small(units - above * _PIECE, weights, radius)
    return np.asarray(_spread(above, weights, radius) * _PIECE + below)


def _small(units: Array, weights: _Transforms, radius: int) -> Array:
    """Convolve whole numbers below 2^20; the exact sum, a whole number below 2^60, rounded once."""
    if _norm(units) * weights.norm > _SAFE:
        return _whole(units, weights, radius).astype(np.float64)
    high, low = _convolved(units, weights, radius)
    high *= _PIECE
    high += low
    return high


def _whole(units: Array, weights: _Transforms, radius: int) -> NDArray[np.int64]:
    """Convolve whole numbers below 2^20 in pieces of half their bits, and of half those, …"""
    if _norm(units) * weights.norm > _SAFE:
        half = math.frexp(float(units.max()))[1] // 2
        above = np.floor(units * 2.0**-half)
        fine = _whole(units - above * 2.0**half, weights, radius)
        return (_whole(above, weights, radius) << half) + fine
    high, low = (part.astype(np.int64) for part in _convolved(units, weights, radius))
    return np.asarray((high << _PIECE_BITS) + low)


def _convolved(units: Array, weights: _Transforms, radius: int) -> tuple[Array, Array]:
    """Convolve whole numbers with both pieces of the weights: whole numbers, exact."""
    light = np.fft.rfft2(units)
    inside = slice(2 * radius, None)

    def back(product: NDArray[np.complex128]) -> Array:
        columns = np.fft.ifft(product, axis=0, out=product)[inside]  # the other rows are not used
        rows = np.fft.irfft(columns, weights.side, axis=1)[:, inside]
        return np.asarray(np.rint(rows))

    high = back(light * weights.high)
    light *= weights.low
    return high, back(light)
