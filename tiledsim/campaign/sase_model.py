"""The numbers that spectra of a free-electron laser follow from."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FWHM: Final = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian of standard deviation 1."""


class SaseModel(NamedTuple):
    """What the spectrum of any shot follows from, with the number of the shot."""

    bandwidth_eV: float
    spike_eV: float
    span_eV: float
    channels: int
    seed: int

    @property
    def offsets_eV(self) -> NDArray[np.float64]:
        """Middles of the channels from the mean energy [channels]."""
        width = self.span_eV / self.channels
        middles = np.arange(self.channels) - (self.channels - 1) / 2
        return np.asarray(middles * width, dtype=np.float64)

    @property
    def envelope(self) -> NDArray[np.float64]:
        """Mean spectrum, highest 1 [channels]."""
        return np.asarray(
            np.exp(-0.5 * (self.offsets_eV * FWHM / self.bandwidth_eV) ** 2), dtype=np.float64
        )
