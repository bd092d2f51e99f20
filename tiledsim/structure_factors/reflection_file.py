"""Reflections of an MTZ or mmCIF file as structure factors in P1."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiledsim.errors import InputFileError
from tiledsim.experiment import StructureFactors
from tiledsim.structure_factors.columns import (
    INTENSITIES,
    Columns,
    choose_columns,
    is_model,
    sigma_of,
)
from tiledsim.structure_factors.french_wilson import french_wilson, symmetry_of
from tiledsim.structure_factors.recognise import Format
from tiledsim.structure_factors.symmetry import expand, find_space_group
from tiledsim.structure_factors.table import FTable, Int
from tiledsim.vectors import Array

if TYPE_CHECKING:
    import gemmi


@dataclass(frozen=True)
class Symmetry:
    """Cell and space group that a file states; None where it doesn't."""

    cell: tuple[float, float, float, float, float, float] | None
    space_group: "gemmi.SpaceGroup | None"


def first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return (str(error) or type(error).__name__).splitlines()[0]


def read_mtz(path: Path, data: bytes, kind: Format) -> "gemmi.Mtz":
    """Read an MTZ file, or the first merged block of an mmCIF file as one.

    Raises InputFileError for damaged and for unmerged files.
    """
    mtz = _from_mtz(path, data) if kind == "mtz" else _from_cif(path, data)
    if mtz.batches or any(column.type in "YB" for column in mtz.columns):
        raise InputFileError(
            f"{path} is unmerged; merge the data first (gemmi merge, aimless, dials.merge)"
        )
    return mtz


def _from_mtz(path: Path, data: bytes) -> "gemmi.Mtz":
    import gemmi

    # gemmi reads files, not bytes: one that came through a pipe or gzip is written out first.
    with tempfile.NamedTemporaryFile(suffix=".mtz") as copy:
        copy.write(data)
        copy.flush()
        try:
            mtz = gemmi.read_mtz_file(copy.name)
        except (RuntimeError, ValueError, OSError) as error:
            reason = first_line(error).replace(copy.name, "").rstrip(" :")
            raise InputFileError(
                f"{path}: cannot be read as MTZ, damaged or of another kind ({reason})"
            ) from None
    if mtz.nreflections == 0 or len(mtz.columns) < 4:
        raise InputFileError(f"{path}: an MTZ file without reflections")
    return mtz


def _from_cif(path: Path, data: bytes) -> "gemmi.Mtz":
    import gemmi

    try:
        blocks = gemmi.as_refln_blocks(gemmi.cif.read_string(data))
    except (RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise InputFileError(f"{path}: cannot be read as mmCIF: {first_line(error)}") from None
    filled = [block for block in blocks if block]
    merged = next((block for block in filled if block.is_merged()), None)
    if merged is None:
        raise InputFileError(
            f"{path} has no merged reflections; merge the data first (gemmi merge)"
            if filled
            else f"{path}: an mmCIF file without reflections"
        )
    try:
        return gemmi.CifToMtz().convert_block_to_mtz(merged)
    except (RuntimeError, ValueError) as error:
        raise InputFileError(f"{path}: its reflections cannot be read: {first_line(error)}") from (
            None
        )


def mtz_symmetry(mtz: "gemmi.Mtz") -> Symmetry:
    """Return the cell and the space group of a file of reflections."""
    cell = mtz.cell
    known = cell.is_crystal() and all(np.isfinite(cell.parameters))
    a, b, c, alpha, beta, gamma = cell.parameters
    return Symmetry((a, b, c, alpha, beta, gamma) if known else None, mtz.spacegroup)


def settle_space_group(path: Path, found: "gemmi.SpaceGroup | None", asked: str | None) -> (
    "gemmi.SpaceGroup"
):  # fmt: skip
    """Return the space group: the file's, or the one asked for where the file has none.

    Raises InputFileError where there is neither, and where they differ.
    """
    given = None if asked is None else find_space_group(asked)
    if found is None and given is None:
        raise InputFileError(f"{path} states no known space group; give crystal.space_group")
    if found is not None and given is not None and found != given:
        raise InputFileError(
            f"crystal.space_group = {asked!r} contradicts {path}, which says "
            f"{found.xhm()!r}; leave one out or correct it"
        )
    settled = found or given
    assert settled is not None
    return settled


def reflection_table(
    path: Path,
    mtz: "gemmi.Mtz",
    factors: StructureFactors,
    space_group: str | None,
    *,
    model_only: bool = False,
) -> FTable:
    """Return the P1 table of a file's reflections, with what was chosen as its notes."""
    group = settle_space_group(path, mtz.spacegroup, space_group)
    ops = group.operations()
    columns = choose_columns(
        path, mtz, None if model_only else factors.columns, model_only=model_only
    )
    hkl = np.array(mtz.make_miller_array(), dtype=np.int64).reshape(-1, 3)
    values = [_amplitudes(path, mtz, column, hkl, ops, factors) for column in columns]
    plus = values[0]
    # A single column holds F(h) as measured or averaged; the mate comes by symmetry or as equal.
    minus = values[1] if len(values) == 2 else np.full(len(plus), np.nan)
    if factors.dmin_A is not None:
        keep = mtz.cell.calculate_1_d2_array(hkl.astype(np.int32)) <= 1.0 / factors.dmin_A**2
        hkl, plus, minus = hkl[keep], plus[keep], minus[keep]
    table = expand(path, ops, hkl, plus, minus, factors.default_F)
    return replace(table, space_group=group.xhm(), notes=tuple(_notes(path, columns, factors)))


def _notes(path: Path, columns: Columns, factors: StructureFactors) -> list[str]:
    names = " and ".join(column.label for column in columns)
    intensities = columns[0].type in INTENSITIES
    how = ""
    if intensities:
        way = "after French and Wilson" if factors.intensities == "french-wilson" else "as √I"
        how = f", amplitudes from intensities {way}"
    notes = [f"structure factors are {names} of {path.name}{how}"]
    if not is_model(columns) and factors.scale is None:
        notes.append(
            f"{names} look measured, on a scale of their own, and are taken as electrons per cell; "
            "structure_factors.scale sets a factor, or 'model' scales them to one"
        )
    if intensities and factors.intensities == "sqrt":
        notes.append("negative intensities became F = 0; intensities = 'french-wilson' keeps them")
    return notes


def _amplitudes(
    path: Path,
    mtz: "gemmi.Mtz",
    column: "gemmi.Mtz.Column",
    hkl: Int,
    ops: "gemmi.GroupOps",
    factors: StructureFactors,
) -> Array:
    values = np.array(column.array, dtype=np.float64)
    if np.isinf(values).any():
        raise InputFileError(f"{path}: column {column.label!r} holds an infinite value")
    if column.type not in INTENSITIES:
        return values
    if factors.intensities == "sqrt":
        return np.sqrt(np.clip(values, 0.0, None))
    sigmas = sigma_of(mtz, column)
    if sigmas is None:
        raise InputFileError(
            f"{path}: column {column.label!r} has no standard deviations for French and Wilson's "
            "amplitudes; set structure_factors.intensities = 'sqrt'"
        )
    centric, epsilon = symmetry_of(ops, hkl)
    inverse_d_squared = np.asarray(mtz.cell.calculate_1_d2_array(hkl.astype(np.int32)))
    # Absences are noise about 0: they would lower the mean of the others.
    values[ops.systematic_absences(hkl.astype(np.int32))] = np.nan
    sigma = np.array(sigmas.array, dtype=np.float64)
    return french_wilson(values, sigma, centric, epsilon, inverse_d_squared)
