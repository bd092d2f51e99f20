"""Complex structure factors of atoms, apart for each element, by way of their electron density.

F(h) = F₀(h) + k_sol·exp(−B_sol·s²/4)·F_mask(h), with s = 1/d, does not depend on the energy; what
does is f′ and f″, times the sum A_e(h) over the atoms of an element with a form factor of 1 and
their occupancies and displacements.  gemmi makes the densities (M. Wojdyr, JOSS 7, 4200 (2022)) and
transforms them; the flat solvent is that of A. Fokine and A. Urzhumtsev, Acta Cryst. D58, 1387
(2002).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import psutil
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.structure_factors.recognise import Format
from tiledsim.structure_factors.reflection_file import Symmetry, first_line
from tiledsim.structure_factors.symmetry import made_symmetric
from tiledsim.structure_factors.table import Int
from tiledsim.vectors import Array

if TYPE_CHECKING:
    import gemmi

RATE: Final = 2.0
"""Grid points per d_min/2 of the density."""
CUTOFF: Final = 1e-7
"""Density [e/Å³] below which an atom ends."""

Complex = NDArray[np.complex128]


@dataclass(frozen=True)
class AtomSums:
    """Structure factors of the asymmetric unit, before anomalous scattering is added."""

    hkl: Int
    """[n, 3]"""
    F0: Complex
    """[n], solvent included."""
    elements: tuple[str, ...]
    partial: Complex
    """[E, n], the sums A_e."""


def read_structure(path: Path, data: bytes, kind: Format) -> "gemmi.Structure":
    """Read the first model of a PDB or mmCIF file.

    Raises InputFileError for a damaged file, and for one without atoms or without a crystal.
    """
    import gemmi

    try:
        if kind == "pdb":
            structure = gemmi.read_pdb_string(data)
        else:
            document = gemmi.cif.read_string(data)
            block = next((b for b in document if b.find_loop("_atom_site.id")), document[0])
            structure = gemmi.make_structure_from_block(block)
    except (RuntimeError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise InputFileError(f"{path}: cannot be read as {kind}: {first_line(error)}") from None
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise InputFileError(f"{path}: a file of coordinates without atoms")
    if not structure.cell.is_crystal():
        raise InputFileError(
            f"{path}: no unit cell (NMR, electron microscopy or a prediction); coordinates must be "
            "a crystal's"
        )
    for cra in structure[0].all():
        atom = cra.atom
        numbers = [*atom.pos.tolist(), atom.occ, atom.b_iso]
        if not np.isfinite(numbers).all() or atom.b_iso < 0 or atom.occ < 0:
            raise InputFileError(
                f"{path}: atom {cra} has coordinates, an occupancy or a B factor that is not a "
                "number or is negative"
            )
        if atom.element.atomic_number == 0:
            raise InputFileError(f"{path}: atom {cra} has no known element")
    return structure


def structure_symmetry(structure: "gemmi.Structure") -> Symmetry:
    """Return the cell and the space group of coordinates."""
    a, b, c, alpha, beta, gamma = structure.cell.parameters
    return Symmetry((a, b, c, alpha, beta, gamma), structure.find_spacegroup())


def elements_of(structure: "gemmi.Structure") -> tuple[str, ...]:
    """Return the names of the elements of the first model, in alphabetical order."""
    return tuple(sorted({cra.atom.element.name for cra in structure[0].all()}))


def sum_atoms(
    path: Path, structure: "gemmi.Structure", dmin_A: float, k_sol: float, B_sol: float
) -> AtomSums:
    """Compute F₀ [electrons] and the sums A_e of every element to a resolution ``dmin_A``.

    ``k_sol`` [e/Å³] is the density of the solvent, 0 for none, and ``B_sol`` [Å²] its blur.
    Raises InputFileError where the density would not fit into memory.
    """

    points = structure.cell.volume * (2.0 * RATE / dmin_A) ** 3
    needed, free = 16.0 * points, psutil.virtual_memory().available
    if needed > free / 2:
        raise InputFileError(
            f"{path}: a density map to {dmin_A:.3g} Å takes {needed / 2**30:.1f} GiB, half of the "
            f"free memory is {free / 2**31:.1f} GiB; give a larger structure_factors.dmin_A"
        )
    hkl, species = _species_sums(structure, dmin_A)
    ops = structure.find_spacegroup().operations()
    indices = hkl.astype(np.int64)
    species = {name: made_symmetric(ops, indices, total) for name, total in species.items()}
    s_squared: Array = np.asarray(structure.cell.calculate_1_d2_array(hkl))
    F0 = np.zeros(len(hkl), dtype=np.complex128)
    for (name, charge), total in species.items():
        F0 += _form_factor(name, charge, s_squared) * total
    if k_sol > 0.0:
        solvent = made_symmetric(ops, indices, _solvent(path, structure, dmin_A, hkl))
        F0 += k_sol * np.exp(-B_sol * s_squared / 4.0) * solvent
    elements = elements_of(structure)
    partial = np.array([
        sum(total for (name, _), total in species.items() if name == element)
        for element in elements
    ])  # fmt: skip
    return AtomSums(indices, F0, elements, partial)


def _species_sums(
    structure: "gemmi.Structure", dmin_A: float
) -> tuple[NDArray[np.int32], dict[tuple[str, int], Complex]]:
    """Sum, by FFT, the atoms of each element and charge with a form factor of 1.

    An element's form factor depends on s alone, so the whole follows from these sums: no density
    of five Gaussians an atom is needed.
    """
    import gemmi

    atoms: dict[tuple[str, int], list[gemmi.Atom]] = {}
    for cra in structure[0].all():
        atoms.setdefault((cra.atom.element.name, cra.atom.charge), []).append(cra.atom)
    indices, sums = np.empty((0, 3), dtype=np.int32), {}
    for species, members in atoms.items():
        calculator = gemmi.DensityCalculatorX()
        calculator.d_min, calculator.rate, calculator.cutoff = dmin_A, RATE, CUTOFF
        calculator.grid.setup_from(structure)
        calculator.set_refmac_compatible_blur(structure[0])  # or sharp atoms alias
        calculator.initialize_grid()
        for atom in members:
            calculator.add_c_contribution_to_grid(atom, 1.0)
        calculator.grid.symmetrize_sum()
        grid = gemmi.transform_map_to_f_phi(calculator.grid, half_l=True)
        found = grid.prepare_asu_data(dmin=dmin_A, unblur=calculator.blur)
        indices = np.array(found.miller_array)
        sums[species] = np.array(found.value_array, dtype=np.complex128)
    return indices, sums


def _form_factor(element: str, charge: int, s_squared: Array) -> Array:
    """f₀ [electrons] of the International Tables (vol. C, 1992, 6.1.1.4) at s = 1/d [n]."""
    import gemmi

    table = gemmi.IT92_get_exact(gemmi.Element(element), charge)
    if table is None:
        table = gemmi.Element(element).it92
    a, b = np.array(table.a), np.array(table.b)
    gaussians = a * np.exp(-np.outer(s_squared / 4.0, b))
    return np.asarray(gaussians.sum(axis=1) + table.c)


def _solvent(
    path: Path, structure: "gemmi.Structure", dmin_A: float, hkl: NDArray[np.int32]
) -> Complex:
    """Transform the mask [n] of what atoms leave free."""
    import gemmi

    mask = gemmi.FloatGrid()
    mask.setup_from(structure, spacing=min(0.6, dmin_A / 3.0))
    masker = gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx)
    masker.put_mask_on_float_grid(mask, structure[0])
    found = gemmi.transform_map_to_f_phi(mask, half_l=True).prepare_asu_data(dmin=dmin_A)
    if not np.array_equal(found.miller_array, hkl):
        raise InputFileError(f"{path}: the grids of atoms and of solvent do not agree")
    return np.array(found.value_array, dtype=np.complex128)
