"""What makes counts of photons: the numbers of a detector's electronics and of its noise."""

from dataclasses import replace
from typing import Final, NamedTuple

from tiledsim.tile import Tile

GOOD, GAP, DEAD, HOT = range(4)
"""States of a pixel."""
COUNT_DTYPES: Final = ("uint16", "uint32", "int32")


class CountModel(NamedTuple):
    """A detector's noise and electronics.  Nothing here depends on how images are cut."""

    seed: int
    """With the shot, the key of all deviates but the calibration's; 0 … 2³² − 1."""
    poisson: bool
    """Whether photons are counted; without it expected values go on."""
    flicker: float
    """Standard deviation of the beam's intensity from shot to shot, relative."""
    calibration: float
    """Standard deviation of the pixels' sensitivity, relative; the same in every shot."""
    calibration_seed: int
    gain: float
    """ADU per photon."""
    adc: float
    """Offset [ADU]."""
    readout: float
    """Standard deviation of the readout noise [ADU]."""
    top: int
    """Largest value of a pixel [ADU]; what is above is an overload."""
    dtype: str
    """One of :data:`COUNT_DTYPES`."""
    gap: int
    """Value of pixels between modules, and of those that were not rendered."""
    dead: int
    """Value of pixels that do not answer."""
    reflected: bool
    """Whether light that the point spread would carry over a panel's edge is mirrored back; else it
    is lost."""
    serial: bool = False
    """Whether deviates are those of noisify's generator, which passes through a whole image, and
    the point spread is noisify's."""
    serial_psf: str = ""
    """``gauss`` or ``fiber``; empty without a point spread."""
    serial_fwhm_px: float = 0.0
    serial_radius_px: int = 0
    """0: by the value of each pixel."""


def reach(tile: Tile, halo: int, slow: int, fast: int) -> Tile:
    """Return the pixels that the counts of a tile depend on: ``halo`` more on every side.

    What lies outside the panel of ``slow`` x ``fast`` pixels is left out.
    """
    if not halo:
        return tile
    return replace(
        tile,
        slow_start=max(tile.slow_start - halo, 0),
        slow_stop=min(tile.slow_stop + halo, slow),
        fast_start=max(tile.fast_start - halo, 0),
        fast_stop=min(tile.fast_stop + halo, fast),
    )
