"""Values of a store as those of a file: one pass over the pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit

NONE = float("nan")
"""Equal to no value of a pixel."""


@dataclass(frozen=True)
class Conversion:
    """From stored values to those of a file."""

    dtype: str
    lowest: float
    highest: float
    """The range of measurements, inclusive; of integers alone."""
    invalid: float
    """Stands for pixels without a measurement."""
    clip: bool = False
    top: float = NONE
    """Value of saturated pixels of a store of counts, which become ``highest`` where that is less
    and do not count as outside."""
    gap: float = NONE
    """Value of pixels without a measurement in a store of counts."""

    def apply(self, rows: NDArray[Any], measured: NDArray[np.bool_] | None) -> "Converted":
        """Convert rows [n, fast]; ``measured`` says which have a measurement, None: all."""
        out = np.empty(rows.shape, dtype=self.dtype)
        known = np.zeros((0, 0), dtype=np.bool_) if measured is None else measured
        outside, worst = _convert(
            rows, known, out.dtype.kind != "f", self.lowest, self.highest, self.invalid, self.top,
            self.gap, out,
        )  # fmt: skip
        return Converted(out, int(outside), float(worst))


@dataclass(frozen=True)
class Converted:
    """Values of a file, and how many of them were outside its range."""

    values: NDArray[np.generic]
    outside: int
    worst: float


@jit
def _convert(
    rows: NDArray[Any], measured: NDArray[np.bool_], whole: bool, lowest: float, highest: float,
    invalid: float, top: float, gap: float, out: NDArray[Any],
) -> tuple[int, float]:  # fmt: skip
    """Write rows into ``out``; return how many whole numbers were outside and the worst one."""
    outside = 0
    worst = 0.0
    masked = measured.size > 0
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            value = float(rows[i, j])
            if value != value or value == gap or (masked and not measured[i, j]):
                value = invalid
            elif whole:
                value = np.rint(value)
                if value < lowest or value > highest:
                    if value != top:
                        outside += 1
                        if abs(value) > abs(worst):
                            worst = value
                    value = min(max(value, lowest), highest)
            out[i, j] = value
    return outside, worst
