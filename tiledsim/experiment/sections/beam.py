"""The incident beam: wavelength, divergence, dispersion, spectrum, fluence, polarization."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiledsim.experiment.sections.part import (
    Axis,
    Brightness,
    Count,
    File,
    NotNegative,
    Part,
    Positive,
    Real,
    Switch,
)
from tiledsim.units import DEFAULT_FLUENCE, energy_to_wavelength_A


class Spectrum(Part):
    """Explicit wavelengths with their weights, along the beam."""

    wavelengths_A: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """One a channel."""
    weights: tuple[NotNegative, ...] | None = None
    """One a channel, of any sum; equal by default."""

    @model_validator(mode="after")
    def _as_many_weights(self) -> Self:
        if self.weights is not None:
            if len(self.weights) != len(self.wavelengths_A):
                raise ValueError(
                    f"{len(self.wavelengths_A)} wavelengths_A and {len(self.weights)} weights; "
                    "give one weight for each wavelength"
                )
            if not sum(self.weights) > 0:
                raise ValueError("the weights of the spectrum sum to 0; at least one must be > 0")
        return self


class Beam(Part):
    """The incident beam."""

    wavelength_A: Positive | None = None
    """Central wavelength; or give energy_eV or a spectrum."""
    energy_eV: Positive | None = None
    """Central photon energy; λ[Å] = 12398.42/E."""
    fluence_photons_per_m2: Brightness = DEFAULT_FLUENCE
    """Photons of one exposure; the default makes a reflection's intensity F²."""
    flux_photons_per_s: Brightness | None = None
    """In place of a fluence, with exposure_s and beamsize_mm."""
    exposure_s: Positive = 1.0
    """Used with a flux."""
    beamsize_mm: Positive = 0.1
    """Edge of the square beam, or full width at half maximum of a Gaussian one."""
    profile: Literal["tophat", "gaussian"] = "tophat"
    """Of the beam across itself; a Gaussian's fluence is its peak."""
    polarization: Real = 0.0
    """Kahn's factor: from −1 to 1, but for the mode c-parity (see Experiment)."""
    polarization_correction: Switch = True
    """false leaves the polarization factor at 1."""
    direction: Axis | None = None
    """From the source to the sample; of the convention by default."""
    polarization_axis: Axis | None = None
    """The E vector; of the convention by default."""
    hdiv_range_mrad: NotNegative | None = None
    """Full horizontal divergence."""
    hdiv_step_mrad: Positive | None = None
    """Between the sources of the divergence."""
    hdiv_steps: Count | None = None
    """Number of sources across."""
    vdiv_range_mrad: NotNegative | None = None
    """Full vertical divergence."""
    vdiv_step_mrad: Positive | None = None
    """Between the sources of the divergence."""
    vdiv_steps: Count | None = None
    """Number of sources in height."""
    round_divergence: Switch = True
    """Leave out the corners of the divergence's grid."""
    dispersion_percent: NotNegative = 0.0
    """Full range of wavelengths, of the central one."""
    dispersion_steps: Count | None = None
    """Number of wavelengths."""
    source_file: File | None = None
    """Lines of x y z [m], weight and wavelength [m]: explicit sources."""
    spectrum: Spectrum | None = None
    """Explicit wavelengths."""

    @model_validator(mode="after")
    def _one_wavelength(self) -> Self:
        if self.wavelength_A is not None and self.energy_eV is not None:
            raise ValueError("wavelength_A and energy_eV are both given; give one")
        if self.wavelength_A is None and self.energy_eV is None and self.spectrum is None:
            raise ValueError("no wavelength: give wavelength_A, energy_eV or a spectrum")
        if self.source_file is not None and self.spectrum is not None:
            raise ValueError("source_file and spectrum are both given; give one")
        return self

    @property
    def central_wavelength_A(self) -> float:
        """Wavelength λ₀ [Å]: as given, or the weighted mean of the spectrum."""
        if self.wavelength_A is not None:
            return self.wavelength_A
        if self.energy_eV is not None:
            return energy_to_wavelength_A(self.energy_eV)
        assert self.spectrum is not None  # by _one_wavelength
        weights = self.spectrum.weights or (1.0,) * len(self.spectrum.wavelengths_A)
        pairs = zip(self.spectrum.wavelengths_A, weights, strict=True)
        return sum(wavelength * w for wavelength, w in pairs) / sum(weights)

    @property
    def fluence(self) -> float:
        """Fluence Φ [photons/m²]: flux·exposure/beamsize² where a flux is given.

        That of a Gaussian beam is its peak, with 4 ln 2/π in place of 1 for a full width at half
        maximum of beamsize in both directions.
        """
        if self.flux_photons_per_s:
            beamsize_m = self.beamsize_mm / 1000
            if self.profile == "gaussian":
                beamsize_m /= math.sqrt(4.0 * math.log(2.0) / math.pi)
            return self.flux_photons_per_s * self.exposure_s / beamsize_m / beamsize_m
        return self.fluence_photons_per_m2
