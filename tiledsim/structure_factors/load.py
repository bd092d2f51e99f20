"""Structure factors of an experiment, from whatever kind of file it names."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import StructureFactors
from tiledsim.quirks import Quirk
from tiledsim.structure_factors.recognise import Format, read_content, recognise
from tiledsim.structure_factors.table import FTable, one_value
from tiledsim.structure_factors.tables.fdump import read_fdump
from tiledsim.structure_factors.tables.nanobragg_hkl import scan_hkl_table
from tiledsim.structure_factors.tables.text import read_hkl

Cell = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Conditions:
    """What the rest of an experiment asks of its structure factors."""

    cell_A_deg: Cell | None = None
    """The crystal's cell, which the file's must be."""
    space_group: str | None = None
    dmin_A: float = 2.0
    """Resolution that the detector reaches; atoms are transformed to it."""
    energy_eV: float = 12398.42
    """Photon energy of the beam's central wavelength."""


def load_structure_factors(
    factors: StructureFactors,
    conditions: Conditions | None = None,
    quirks: frozenset[Quirk] = frozenset(),
) -> FTable:
    """Read the table that an experiment names.

    Raises InputFileError for a file that is malformed or is not what it should be, ExperimentError
    for settings that do not fit it.
    """
    if factors.hkl_file is not None:
        read = scan_hkl_table if "hkl_stops" in quirks else read_hkl
        return read(factors.hkl_file, factors.default_F)
    if factors.fdump_file is not None:
        return read_fdump(factors.fdump_file, factors.default_F)
    if factors.file is None:
        return one_value(factors.default_F)
    stamps = tuple(_stamp(path) for path in (factors.file, factors.model_file) if path)
    key = (factors, conditions or Conditions(), stamps)
    if not (_last and _last[0][0] == key):
        _last[:] = [(key, _read(factors, key[1]))]
    return _last[0][1]


_Key = tuple[StructureFactors, Conditions, tuple[tuple[str, int, int], ...]]
_last: list[tuple[_Key, FTable]] = []
"""The last table that was read from a file: a run and its description both want it."""


def _stamp(path: Path) -> tuple[str, int, int]:
    """Return what changes when a file does."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path), 0, 0  # what is wrong with it is said when it is read
    return str(path), status.st_mtime_ns, status.st_size


def _read(factors: StructureFactors, conditions: Conditions) -> FTable:
    path = factors.file
    assert path is not None
    data = read_content(path)
    kind = recognise(path, data) if factors.format == "auto" else factors.format
    if factors.anomalous and kind not in ("pdb", "mmcif"):
        raise ExperimentError(
            f"structure_factors.anomalous needs coordinates; {path.name} holds amplitudes ({kind})"
        )
    if kind == "fdump":
        table = read_fdump(path, factors.default_F)
    elif kind == "text":
        table = _text(path, factors, conditions)
    elif kind in ("mtz", "sf-cif"):
        table = _reflections(path, data, kind, factors, conditions)
    else:
        table = _atoms(path, data, kind, factors, conditions)
    if factors.scale == "model" or factors.fill_missing:
        table = _with_model(path, table, factors, conditions)
    elif isinstance(factors.scale, float):
        from tiledsim.structure_factors.model_scale import rescaled

        if table.dispersion is not None:
            raise ExperimentError("structure_factors.scale and anomalous are both given; "
                                  "coordinates are in electrons already")  # fmt: skip
        table = rescaled(table, factors.scale)
    return table


def file_cell(factors: StructureFactors) -> tuple[Cell, str | None] | None:
    """Return the cell that a file of structure factors states, and its space group.

    None where its kind states no cell.  Raises InputFileError as :func:`load_structure_factors`.
    """
    if factors.file is None:
        return None
    path, data = factors.file, read_content(factors.file)
    kind = recognise(path, data) if factors.format == "auto" else factors.format
    if kind in ("mtz", "sf-cif"):
        from tiledsim.structure_factors.reflection_file import mtz_symmetry, read_mtz

        found = mtz_symmetry(read_mtz(path, data, kind))
    elif kind in ("pdb", "mmcif"):
        from tiledsim.structure_factors.coordinates import read_structure, structure_symmetry

        found = structure_symmetry(read_structure(path, data, kind))
    else:
        return None
    if found.cell is None:
        return None
    return found.cell, found.space_group.xhm() if found.space_group else None


def _text(path: Path, factors: StructureFactors, conditions: Conditions) -> FTable:
    """Read a text table; with a space group it is expanded to P1, without one it is P1."""
    table = read_hkl(path, factors.default_F)
    if conditions.space_group is None:
        return table
    from tiledsim.structure_factors.symmetry import expand, find_space_group

    assert table.present is not None
    group = find_space_group(conditions.space_group)
    hkl = np.argwhere(table.present) + np.array(table.lowest)
    values = table.padded[1:-1, 1:-1, 1:-1][table.present]
    unknown = np.full(len(values), np.nan)
    grown = expand(path, group.operations(), hkl, values, unknown, factors.default_F)
    note = f"{path.name} is expanded from {group.xhm()} to P1"
    return replace(grown, space_group=group.xhm(), notes=(note,))


def _reflections(
    path: Path, data: bytes, kind: Format, factors: StructureFactors, conditions: Conditions
) -> FTable:
    from tiledsim.structure_factors.reflection_file import (
        mtz_symmetry,
        read_mtz,
        reflection_table,
    )

    mtz = read_mtz(path, data, kind)
    _check_cell(path, mtz_symmetry(mtz).cell, conditions)
    return reflection_table(path, mtz, factors, conditions.space_group)


def _atoms(
    path: Path, data: bytes, kind: Format, factors: StructureFactors, conditions: Conditions
) -> FTable:
    from tiledsim.structure_factors import anomalous, cache, coordinates
    from tiledsim.structure_factors.reflection_file import settle_space_group

    structure = coordinates.read_structure(path, data, kind)
    symmetry = coordinates.structure_symmetry(structure)
    _check_cell(path, symmetry.cell, conditions)
    group = settle_space_group(path, symmetry.space_group, conditions.space_group)
    structure.spacegroup_hm = group.xhm()
    structure.setup_cell_images()
    present = coordinates.elements_of(structure)
    anomalous.check_elements(path, factors.anomalous, present, "anomalous")
    anomalous.check_elements(path, tuple(factors.f_prime), present, "f_prime")
    dmin = factors.dmin_A or conditions.dmin_A
    solvent = (factors.solvent_k_e_per_A3, factors.solvent_B_A2)
    key = cache.key_of(data, kind, group.xhm(), dmin, *solvent)
    sums = cache.recall(key)
    if sums is None:
        sums = coordinates.sum_atoms(path, structure, dmin, *solvent)
        cache.keep(key, sums)
    ops, energy = group.operations(), conditions.energy_eV
    table = anomalous.table_at_energy(path, ops, sums, energy, factors.f_prime, factors.default_F)
    dispersion = None
    if factors.anomalous:
        dispersion = anomalous.dispersion_tables(
            table, ops, sums, factors.anomalous, energy, factors.f_prime
        )
    water = f"solvent {solvent[0]:g} e/Å³, B {solvent[1]:g} Å²" if solvent[0] else "no solvent"
    note = (
        f"structure factors of {len(list(structure[0].all())):,} atoms of {path.name} to "
        f"{dmin:.3g} Å at {energy:.6g} eV, {water}"
    )
    return replace(table, space_group=group.xhm(), notes=(note,), dispersion=dispersion)


def _check_cell(path: Path, found: Cell | None, conditions: Conditions) -> None:
    """Refuse a file whose cell is not the crystal's, to 2 % and 2°."""
    given = conditions.cell_A_deg
    if found is None or given is None:
        return
    lengths = [abs(f / g - 1.0) for f, g in zip(found[:3], given[:3], strict=True)]
    angles = [abs(f - g) for f, g in zip(found[3:], given[3:], strict=True)]
    if max(lengths) > 0.02 or max(angles) > 2.0:
        shown = [", ".join(f"{v:.6g}" for v in cell) for cell in (found, given)]
        raise InputFileError(
            f"{path}: its cell {shown[0]} contradicts the crystal's {shown[1]} (by more than 2 % "
            "or 2°); leave crystal.cell_A_deg out or correct it"
        )


def _with_model(
    path: Path, table: FTable, factors: StructureFactors, conditions: Conditions
) -> FTable:
    """Scale data to a model, and fill what they lack, as far as that is asked for."""
    from tiledsim.structure_factors.model_scale import filled, fit_scale, rescaled

    model = _model(path, factors, conditions)
    k = fit_scale(table, model)
    by_hand = factors.scale if isinstance(factors.scale, float) else 1.0
    if factors.scale == "model":
        table = rescaled(table, k)
        table = replace(table, notes=(
            *(note for note in table.notes if "scale of their own" not in note),
            f"amplitudes are multiplied by {k:.6g}, which fits them to the model's",
        ))  # fmt: skip
    else:
        table = rescaled(table, by_hand)
    if factors.fill_missing:
        table = filled(path, table, model, 1.0 if factors.scale == "model" else by_hand / k)
    return table


def _model(path: Path, factors: StructureFactors, conditions: Conditions) -> FTable:
    """Return a model's table: of ``model_file``, else of the model's columns of the same file."""
    source = factors.model_file or path
    data = read_content(source)
    kind = recognise(source, data)
    plain = StructureFactors(
        file=source,
        dmin_A=factors.dmin_A,
        solvent_k_e_per_A3=factors.solvent_k_e_per_A3,
        solvent_B_A2=factors.solvent_B_A2,
        f_prime=factors.f_prime if kind in ("pdb", "mmcif") else {},
    )
    if kind in ("pdb", "mmcif"):
        return _atoms(source, data, kind, plain, conditions)
    if kind not in ("mtz", "sf-cif"):
        raise InputFileError(f"{source}: a model is coordinates, or the F-model of an MTZ file")
    from tiledsim.structure_factors.reflection_file import (
        mtz_symmetry,
        read_mtz,
        reflection_table,
    )

    mtz = read_mtz(source, data, kind)
    _check_cell(source, mtz_symmetry(mtz).cell, conditions)
    return reflection_table(source, mtz, plain, conditions.space_group, model_only=True)
