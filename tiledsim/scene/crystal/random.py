"""nanoBragg's random numbers, and rotations drawn with them or with counter-based ones."""

import math

import numpy as np

from tiledsim.scene.crystal.c_library import powf
from tiledsim.vectors import Array, axis_rotation

_MULTIPLIER = 16807
_MODULUS = 2**31 - 1
_SHUFFLE = 32
_AT_ONCE = 2**16
"""Rotations that are drawn at once, so that memory stays small."""
_LARGEST = np.float32(1.0 - 1.2e-7)


class ParkMiller:
    """The Park–Miller generator with a 32-entry Bays–Durham shuffle, as nanoBragg draws from it.

    ``seed`` is the number of nanoBragg's command line, of any size and sign; 0 and multiples of
    2³¹ − 1 are taken for 1.  Numerical Recipes, ``ran1``.
    """

    def __init__(self, seed: int) -> None:
        # A state of 0 would stay 0; only what is left of the modulus matters.
        self._state = max(abs(seed) % _MODULUS, 1)
        self._table = [0] * _SHUFFLE
        for j in reversed(range(_SHUFFLE + 8)):
            self._step()
            if j < _SHUFFLE:
                self._table[j] = self._state
        self._last = self._table[0]

    def _step(self) -> None:
        self._state = self._state * _MULTIPLIER % _MODULUS

    def uniform(self) -> np.float32:
        """Return the next deviate in (0, 1), rounded to float32."""
        self._step()
        j = self._last // (1 + (_MODULUS - 1) // _SHUFFLE)
        self._last, self._table[j] = self._table[j], self._state
        return min(np.float32(self._last * (1.0 / _MODULUS)), _LARGEST)


def draw_rotation(generator: ParkMiller, spread: float, *, float32_spread: bool) -> Array:
    """Draw the rotation [3, 3] of one mosaic domain within a cap of ``spread`` [rad].

    Three uniforms r = 2u − 1 give the axis (ρ sin πr₁, ρ cos πr₁, r₂), ρ = sqrt(1 − r₂²), and the
    angle spread·(1 − r₃²)^(1/3).  With ``float32_spread`` that angle is rounded as nanoBragg's
    float32 arithmetic rounds it.
    """
    r1, r2, r3 = (2.0 * float(generator.uniform()) - 1.0 for _ in range(3))
    if float32_spread:
        root = powf(1.0 - r3 * r3, 1.0 / 3.0)
        angle = float(np.float32(spread) * np.float32(root))
    else:
        angle = spread * (1.0 - r3 * r3) ** (1.0 / 3.0)
    rho = math.sqrt(1.0 - r2 * r2)
    return axis_rotation((rho * math.sin(math.pi * r1), rho * math.cos(math.pi * r1), r2), angle)


def uniform_quaternions(seed: int, count: int, first: int = 0) -> Array:
    """Draw ``count`` unit quaternions (w, x, y, z) [count, 4] of rotations uniform over SO(3).

    Counter-based (Philox keyed by ``seed``, of any size and sign): rotation n is the same whatever
    ``count`` is, and wherever drawing begins: at ``first``, a multiple of 4.
    """
    philox = np.random.Philox(key=abs(seed) % 2**128)
    philox.advance(first * 3 // 4)  # a count gives four numbers, a rotation takes three
    generator = np.random.Generator(philox)
    turns = np.empty((count, 4))
    for start in range(0, count, _AT_ONCE):
        part = turns[start : start + _AT_ONCE]
        part[...] = shoemake(generator.random((len(part), 3)))
    return turns


def shoemake(u: Array) -> Array:
    """Return the unit quaternions [n, 4] of uniform numbers [n, 3]: rotations uniform over SO(3).

    Shoemake, Graphics Gems III (1992).
    """
    r, s = np.sqrt(1.0 - u[:, 0]), np.sqrt(u[:, 0])
    t1, t2 = 2.0 * math.pi * u[:, 1], 2.0 * math.pi * u[:, 2]
    return np.stack([s * np.cos(t2), r * np.sin(t1), r * np.cos(t1), s * np.sin(t2)], axis=1)


def quaternion_rotations(quaternions: Array) -> Array:
    """Return the rotation matrices [n, 3, 3] of unit quaternions (w, x, y, z) [n, 4]."""
    w, x, y, z = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def uniform_rotations(seed: int, count: int) -> Array:
    """Draw ``count`` rotations [count, 3, 3]: those of :func:`uniform_quaternions`."""
    return quaternion_rotations(uniform_quaternions(seed, count))
