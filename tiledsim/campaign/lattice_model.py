"""The numbers that the orientations of further crystals in a shot follow from."""

from typing import NamedTuple


class LatticeModel(NamedTuple):
    """What the orientation of any crystal but the first follows from, with the shot's number."""

    orientation: str
    """``random``, ``about_axis`` or ``spread``."""
    seed: int
    axis: tuple[float, float, float]
    low_rad: float
    high_rad: float
    """About ``axis``."""
    spread_rad: float
