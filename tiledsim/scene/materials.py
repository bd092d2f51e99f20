"""Materials by name: what they are made of and how they attenuate X-rays.

Attenuation is photoabsorption, μ = 2 r_e λ Σ n f″, with f″ by Cromer and Liberman (J. Chem. Phys.
53, 1891, 1970; as gemmi computes it); what is scattered away is not counted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tiledsim.errors import ExperimentError
from tiledsim.units import ANGSTROM, AVOGADRO, HC_EV_A, THOMSON_RADIUS_SQUARED_M2

LOWEST_EV: Final = 2000.0
HIGHEST_EV: Final = 100_000.0
"""Energies between which f″ is taken from gemmi."""


@dataclass(frozen=True)
class Material:
    """A substance."""

    atoms: Mapping[str, float]
    """Atoms per formula unit."""
    density_g_per_cm3: float
    weight_g_per_mol: float
    """Of the formula unit."""


MATERIALS: Final[Mapping[str, Material]] = {
    # Densities at 20 °C; gases at 101 325 Pa from their molar volume, 24.055 l.
    "water": Material({"H": 2, "O": 1}, 0.9982, 18.015),
    "helium": Material({"He": 1}, 4.0026e-3 / 24.055, 4.0026),
    # Dry air: U.S. Standard Atmosphere 1976, without carbon dioxide and traces.
    "air": Material({"N": 1.56168, "O": 0.41895, "Ar": 0.00934}, 28.960e-3 / 24.055, 28.960),
    # Crystals, from their lattice constants.
    "Si": Material({"Si": 1}, 2.329, 28.085),
    "GaAs": Material({"Ga": 1, "As": 1}, 5.318, 144.645),
    "CdTe": Material({"Cd": 1, "Te": 1}, 5.85, 240.01),
}


def attenuation_per_m(name: str, wavelength_m: float, density_g_per_cm3: float) -> float:
    """Return μ [1/m] of a material at a wavelength.

    Raises ExperimentError for an energy outside the range of f″.
    """
    import gemmi

    material = MATERIALS[name]
    energy = HC_EV_A / (wavelength_m * ANGSTROM)
    if not LOWEST_EV <= energy <= HIGHEST_EV:
        raise ExperimentError(
            f"the absorption of {name} is known from {LOWEST_EV:g} to {HIGHEST_EV:g} eV, not at "
            f"{energy:g} eV; give it as a length (depth_um of a sensor, absorption_length_mm of a "
            "layer)"
        )
    f2 = 0.0
    for symbol, count in material.atoms.items():
        number = gemmi.Element(symbol).atomic_number
        if number > 2:  # Cromer and Liberman begin at lithium
            f2 += count * gemmi.cromer_liberman(number, energy)[1]
    per_m3 = density_g_per_cm3 * 1e6 * AVOGADRO / material.weight_g_per_mol
    return 2.0 * math.sqrt(THOMSON_RADIUS_SQUARED_M2) * wavelength_m * f2 * per_m3
