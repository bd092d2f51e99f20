"""The table of structure factors that kernels read: a box of Miller indices with a border."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.vectors import Array

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Dispersion:
    """Complex structure factors whose anomalous part is left to be added for each wavelength.

    F(hkl, λ) = base + Σ_e (f′_e(λ) + i f″_e(λ)) · partial_e, with Friedel mates apart.
    """

    elements: tuple[str, ...]
    base: NDArray[np.complex128]
    """[H+2, K+2, L+2], what no listed element's f′ and f″ are part of [electrons]."""
    partial: NDArray[np.complex128]
    """[E, H+2, K+2, L+2], the sum of the atoms of an element with a form factor of 1."""
    f_prime: tuple[tuple[str, tuple[float, float]], ...] = ()
    """Values of f′, f″ given by hand, which hold at every energy."""


@dataclass(frozen=True)
class FTable:
    """Structure factors on a box of Miller indices, with a border of one cell of ``default_F``.

    The border lets a kernel clamp an index instead of asking whether it is inside.
    """

    padded: Array
    """F [H+2, K+2, L+2]; element (1, 1, 1) is the reflection ``lowest``."""
    lowest: tuple[int, int, int]
    """Smallest h, k, l of the box inside the border."""
    default_F: float
    entries: int
    """Reflections read; 0 where every reflection is ``default_F``."""
    present: Bool | None = None
    """Which reflections of the box were read or computed [H, K, L]; None: all."""
    space_group: str | None = None
    """Hermann–Mauguin symbol, where one is known."""
    notes: tuple[str, ...] = ()
    """What was chosen and assumed while reading, a line each."""
    dispersion: Dispersion | None = None

    @property
    def highest(self) -> tuple[int, int, int]:
        """Largest h, k, l of the box inside the border."""
        h, k, l = (low + n - 3 for low, n in zip(self.lowest, self.padded.shape, strict=True))
        return h, k, l


def one_value(default_F: float) -> FTable:
    """Return the table of a crystal whose reflections all have ``default_F``."""
    return FTable(np.full((3, 3, 3), default_F), (0, 0, 0), default_F, 0)


def triple(values: Int) -> tuple[int, int, int]:
    """Return three Python integers."""
    h, k, l = (int(v) for v in values)
    return h, k, l


LARGEST_INDEX: Final = 1_000_000
"""Of h, k and l, of either sign."""
_LARGE: Final = 1 << 30
_SPARSE: Final = 100_000
"""From so many bytes on, a box with one reflection in so many places, or fewer, is a mistake."""


def empty_box(
    path: Path, low: Int, high: Int, default_F: float, *, count: int | None = None
) -> Array:
    """Return a bordered box of ``default_F`` from ``low`` to ``high``, both inclusive.

    ``count`` is the number of reflections to come.  Raises InputFileError for indices that span
    more than half of the free memory, and for a few that span more than 1 GiB.
    """
    extent = [int(n) + 3 for n in high - low]
    needed = 8 * extent[0] * extent[1] * extent[2]
    available = psutil.virtual_memory().available
    stray = count is not None and needed > max(_LARGE, 8 * _SPARSE * count)
    if stray or needed > available // 2:
        raise InputFileError(
            f"{path}: {'the' if count is None else f'{count:,}'} indices span {low.tolist()} to "
            f"{high.tolist()}: a table of "
            f"{needed / 2**30:.1f} GiB, half of the free memory is {available / 2**31:.1f} GiB; "
            "is an index mistyped?"
        )
    return np.full(extent, default_F, dtype=np.float64)
