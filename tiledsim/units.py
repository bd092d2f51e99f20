"""Constants of the model and the conversions between a person's units and SI."""

from typing import Final

THOMSON_RADIUS_SQUARED_M2: Final = 7.94079248018965e-30
"""Square of the classical electron radius [m²], the value of nanoBragg."""

AVOGADRO: Final = 6.02214179e23
"""Molecules per mole, the value of nanoBragg."""

HC_EV_A: Final = 12398.42
"""Photon energy times wavelength [eV Å], the value of nanoBragg."""

DEFAULT_FLUENCE: Final = 125932015286227086360700780544.0
"""Fluence [photons/m²] that makes the intensity of one electron's scattering 1: 1/r_e²."""

MM: Final = 1e3
UM: Final = 1e6
ANGSTROM: Final = 1e10
"""Divide a length in mm, µm or Å by these to get metres."""


def energy_to_wavelength_A(energy_eV: float) -> float:
    """Wavelength [Å] of photons of an energy [eV]: λ = 12398.42/E."""
    return HC_EV_A / energy_eV
