"""Spectra that differ from shot to shot: rows of a file, or those of a free-electron laser.

Spikes are made by the partial-coherence method (Pfeifer et al., Opt. Lett. 35, 3441, 2010): white
complex noise is smoothed until its intensity has the spikes' width, and multiplied by the envelope.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.row_deviates import row_normals
from tiledsim.campaign.sase_model import FWHM, SaseModel
from tiledsim.errors import InputFileError
from tiledsim.experiment import Sase
from tiledsim.units import HC_EV_A

Array = NDArray[np.float64]

_POINTS_A_SPIKE = 4.0
"""Samples of the field within the width of a spike."""
_REACH = 3.5
"""Standard deviations of the smoothing that are kept."""


def sase_model(sase: Sase, seed: int) -> SaseModel:
    """Complete what an experiment says about spectra."""
    span = sase.span_eV or 3.0 * sase.bandwidth_eV
    return SaseModel(sase.bandwidth_eV, sase.spike_eV, span, sase.channels, seed)


def sase_spectrum(model: SaseModel, shot: int) -> Array:
    """Return the spectrum of a shot [channels], of mean 1 and rounded to float32.

    The field is sampled ``_POINTS_A_SPIKE`` times a spike or more; its intensity is averaged over
    each channel.  Rounding takes away what the last bits of sums depend on.
    """
    channel = model.span_eV / model.channels
    points = max(1, math.ceil(_POINTS_A_SPIKE * channel / model.spike_eV))
    step = channel / points
    # The correlation of intensities is |g|² of the field's; that of a field smoothed by a Gaussian
    # of σ is a Gaussian of σ√2, so that |g|² has the standard deviation σ.
    sigma = model.spike_eV / FWHM / step
    reach = math.ceil(_REACH * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    wanted = points * model.channels
    noise = row_normals(model.seed, "sase", shot, 1, 2 * (wanted + 2 * reach))[0]
    field = np.convolve(noise[0::2], kernel, "valid"), np.convolve(noise[1::2], kernel, "valid")
    intensity = (field[0] ** 2 + field[1] ** 2).reshape(model.channels, points).mean(axis=1)
    spectrum = intensity * model.envelope
    return np.asarray((spectrum / spectrum.mean()).astype(np.float32), dtype=np.float64)


class Spectra(NamedTuple):
    """Spectra of a file."""

    wavelengths_A: Array
    """[channels]."""
    weights: Array
    """[rows, channels], each row of mean 1."""


def read_spectra(path: Path) -> Spectra:
    """Read spectra from a .npz file: ``weights`` [rows, channels] and ``wavelengths_A`` or
    ``energies_eV`` [channels].

    Raises InputFileError for a file of another shape, or with spectra that are not positive.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: np.asarray(arrays[name], dtype=np.float64) for name in arrays.files}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputFileError(f"{path}: cannot be read as a .npz file of spectra: {error}") from None
    axes = [name for name in ("wavelengths_A", "energies_eV") if name in found]
    if len(axes) != 1 or "weights" not in found:
        raise InputFileError(
            f"{path}: a file of spectra has weights (spectra, channels), and wavelengths_A or "
            f"energies_eV (channels); this one has {', '.join(found) or 'nothing'}"
        )
    weights, axis = found["weights"], found[axes[0]]
    if weights.ndim != 2 or axis.shape != weights.shape[1:] or not weights.size:
        raise InputFileError(
            f"{path}: weights have the shape {weights.shape} and {axes[0]} {axis.shape}; they must "
            "be (spectra, channels) and (channels,)"
        )
    if not np.isfinite(axis).all() or not (axis > 0).all():
        raise InputFileError(f"{path}: {axes[0]} must be finite and above 0")
    wrong = ~(np.isfinite(weights) & (weights >= 0)).all(axis=1) | ~(weights.sum(axis=1) > 0)
    if wrong.any():
        raise InputFileError(
            f"{path}: spectrum {int(wrong.argmax())} has weights that are negative or not finite, "
            "or sum to 0"
        )
    wavelengths = axis if axes[0] == "wavelengths_A" else HC_EV_A / axis
    return Spectra(wavelengths, weights / weights.mean(axis=1, keepdims=True))
