"""f′ and f″ of elements, and amplitudes at an energy from sums over atoms."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.structure_factors.coordinates import AtomSums, Complex
from tiledsim.structure_factors.symmetry import expand, mates
from tiledsim.structure_factors.table import Dispersion, FTable, Int
from tiledsim.units import energy_to_wavelength_A

if TYPE_CHECKING:
    import gemmi

Overrides = Mapping[str, tuple[float, float]]


def scattering_factor(element: str, energy_eV: float, overrides: Overrides) -> complex:
    """Return f′ + i f″ of an element [electrons] at an energy.

    Given ones count; else those of free atoms (D. Cromer and D. Liberman, J. Chem. Phys. 53, 1891
    (1970), from gemmi).  Within 20 eV or so of an edge a measured spectrum says better.
    """
    import gemmi

    if element in overrides:
        return complex(*overrides[element])
    found = complex(*gemmi.cromer_liberman(gemmi.Element(element).atomic_number, energy_eV))
    if not (math.isfinite(found.real) and math.isfinite(found.imag)):
        raise ExperimentError(
            f"no f′ and f″ of {element} are known at {energy_eV:g} eV; give "
            f"structure_factors.f_prime = {{ {element} = [f′, f″] }}"
        )
    return found


def check_elements(path: Path, names: tuple[str, ...], present: tuple[str, ...], key: str) -> None:
    """Raise ExperimentError for a name that's no element of the structure."""
    for name in names:
        if name not in present:
            raise ExperimentError(
                f"structure_factors.{key}: {path.name} has no element {name!r}; it has "
                f"{', '.join(present)}"
            )


def table_at_energy(
    path: Path,
    ops: "gemmi.GroupOps",
    sums: AtomSums,
    energy_eV: float,
    overrides: Overrides,
    default_F: float,
) -> FTable:
    """Return the P1 table of amplitudes at one energy, Friedel mates apart."""
    f = np.array([scattering_factor(name, energy_eV, overrides) for name in sums.elements])
    plus = np.abs(sums.F0 + f @ sums.partial)
    minus = np.abs(np.conj(sums.F0) + f @ np.conj(sums.partial))
    return expand(path, ops, sums.hkl, plus, minus, default_F)


def dispersion_tables(
    table: FTable,
    ops: "gemmi.GroupOps",
    sums: AtomSums,
    anomalous: tuple[str, ...],
    energy_eV: float,
    overrides: Overrides,
) -> Dispersion:
    """Return complex tables of the shape of ``table``'s, f′ and f″ of ``anomalous`` left out.

    The other elements have theirs at ``energy_eV``, which is that of ``table``.
    """
    rest = np.array([
        0.0 if name in anomalous else scattering_factor(name, energy_eV, overrides)
        for name in sums.elements
    ])  # fmt: skip
    own = [sums.partial[sums.elements.index(name)] for name in anomalous]
    plus = [sums.F0 + rest @ sums.partial, *own]
    minus = [np.conj(sums.F0) + rest @ np.conj(sums.partial), *(np.conj(a) for a in own)]
    boxes = np.zeros((len(plus), *table.padded.shape), dtype=np.complex128)
    boxes[0] = table.default_F
    inside = boxes[:, 1:-1, 1:-1, 1:-1]
    if table.present is not None:
        inside[0][table.present] = 0.0
    low: Int = np.array(table.lowest)
    fits = (sums.hkl.any(axis=1)) & ~ops.systematic_absences(sums.hkl.astype(np.int32))
    for mate, shift in mates(ops, sums.hkl):
        for sign, values in ((1, plus), (-1, minus)):
            at = tuple((sign * mate - low)[fits].T)
            turn = np.exp(1j * sign * shift[fits])
            for box, value in zip(inside, values, strict=True):
                box[at] = value[fits] * turn
    if table.default_F != 0.0:
        known = table.padded[1:-1, 1:-1, 1:-1] == 0.0
        inside[0][known & ~_present(table)] = 0.0  # systematic absences
    given = tuple((name, overrides[name]) for name in anomalous if name in overrides)
    return Dispersion(anomalous, boxes[0], boxes[1:], given)


def _present(table: FTable) -> np.ndarray:
    shape = [n - 2 for n in table.padded.shape]
    return np.ones(shape, np.bool_) if table.present is None else table.present


def factors_by_wavelength(dispersion: Dispersion, wavelengths_A: np.ndarray) -> Complex:
    """Return f′ + i f″ [S, E] of the elements for every wavelength."""
    overrides = dict(dispersion.f_prime)
    energies, where = np.unique(energy_to_wavelength_A(1.0) / wavelengths_A, return_inverse=True)
    table = np.array([
        [scattering_factor(name, float(energy), overrides) for name in dispersion.elements]
        for energy in energies
    ])  # fmt: skip
    return np.asarray(table[where.ravel()], dtype=np.complex128)
