"""Gaps between the modules of a detector."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError


class Modules(NamedTuple):
    """Modules of equal size in rows and columns."""

    across: int
    """Along the fast axis."""
    down: int
    gap_fast: int
    """Pixels between neighbours along the fast axis."""
    gap_slow: int


class Known(NamedTuple):
    """A detector that is made."""

    fast: int
    slow: int
    modules: Modules


DECTRIS_LAYOUTS: Final = {
    "pilatus_300k": Known(487, 619, Modules(1, 3, 7, 17)),
    "pilatus_1m": Known(981, 1043, Modules(2, 5, 7, 17)),
    "pilatus_2m": Known(1475, 1679, Modules(3, 8, 7, 17)),
    "pilatus_6m": Known(2463, 2527, Modules(5, 12, 7, 17)),
    "eiger_1m": Known(1030, 1065, Modules(1, 2, 10, 37)),
    "eiger_4m": Known(2070, 2167, Modules(2, 4, 10, 37)),
    "eiger_9m": Known(3110, 3269, Modules(3, 6, 10, 37)),
    "eiger_16m": Known(4150, 4371, Modules(4, 8, 10, 37)),
    "eiger2_4m": Known(2068, 2162, Modules(2, 4, 12, 38)),
    "eiger2_9m": Known(3108, 3262, Modules(3, 6, 12, 38)),
    "eiger2_16m": Known(4148, 4362, Modules(4, 8, 12, 38)),
}
"""Pixels of DECTRIS detectors: modules of 487 x 195 (Pilatus), 1030 x 514 (Eiger) and 1028 x 512
(Eiger2) pixels.  Sizes and gaps are as ESRF's pyFAI has them (``pyFAI/detectors/_dectris.py``)."""


def gaps_of(modules: str | tuple[int, ...], slow: int, fast: int) -> NDArray[np.bool_]:
    """Return which pixels [slow, fast] lie between modules.

    ``modules`` is a name of :data:`DECTRIS_LAYOUTS`, or across, down, gap (fast, then slow, where
    they differ).  Raises ExperimentError where they do not fill a panel of that size.
    """
    if isinstance(modules, str):
        known = DECTRIS_LAYOUTS[modules]
        if (known.fast, known.slow) != (fast, slow):
            raise ExperimentError(
                f"modules = {modules!r} has {known.fast} x {known.slow} pixels (fast x slow), the "
                f"panel {fast} x {slow}"
            )
        layout = known.modules
    else:
        across, down, gap, *rest = modules
        layout = Modules(across, down, gap, rest[0] if rest else gap)
    gaps = np.zeros((slow, fast), dtype=np.bool_)
    gaps[:, _between(layout.across, layout.gap_fast, fast, "across", "fast")] = True
    gaps[_between(layout.down, layout.gap_slow, slow, "down", "slow"), :] = True
    return gaps


def _between(count: int, gap: int, pixels: int, way: str, axis: str) -> NDArray[np.bool_]:
    size, left = divmod(pixels - (count - 1) * gap, count)
    if left or size < 1:
        raise ExperimentError(
            f"{count} modules {way} with gaps of {gap} pixels do not fill {pixels} pixels "
            f"({axis}): {count} equal modules and {count - 1} gaps must"
        )
    return np.arange(pixels) % (size + gap) >= size
