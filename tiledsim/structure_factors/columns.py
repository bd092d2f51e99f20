"""Which columns of a reflection file are its structure factors."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tiledsim.errors import InputFileError
from tiledsim.experiment.validation import did_you_mean

if TYPE_CHECKING:
    import gemmi

MODEL: Final = (
    ("F-model(+)", "F-model(-)"), ("F-model",), ("FMODEL",), ("FC_ALL",), ("FC",), ("FCALC",),
    ("F-calc",),
)  # fmt: skip
"""Computed amplitudes: complete, without noise, in electrons."""
OBSERVED: Final = (
    ("F(+)", "F(-)"), ("F-obs-filtered(+)", "F-obs-filtered(-)"), ("F-obs(+)", "F-obs(-)"),
    ("F",), ("FP",), ("FOBS",), ("F-obs-filtered",), ("F-obs",), ("FMEAN",),
    ("I(+)", "I(-)"), ("I-obs(+)", "I-obs(-)"), ("IMEAN",), ("I",), ("IOBS",), ("I-obs",),
)  # fmt: skip
AMPLITUDES, INTENSITIES = frozenset("FG"), frozenset("JK")

Columns = list["gemmi.Mtz.Column"]


def choose_columns(
    path: Path, mtz: "gemmi.Mtz", asked: tuple[str, ...] | None, *, model_only: bool = False
) -> Columns:
    """Return the column of F or I, or the two of its Friedel mates.

    Those ``asked`` for; else the first of ``MODEL``, then of ``OBSERVED``, then the first of the
    file whose type says that it holds amplitudes or intensities.  Raises InputFileError with what
    there is where none fits.
    """
    have = {column.label: column for column in mtz.columns}
    usable = [c.label for c in mtz.columns if c.type in AMPLITUDES | INTENSITIES]
    if asked is not None:
        for name in asked:
            if name not in have:
                raise InputFileError(
                    f"{path}: no column {name!r}{did_you_mean(name, have)}; columns of amplitudes "
                    f"or intensities: {', '.join(usable) or 'none'}"
                )
        chosen = [have[name] for name in asked]
    else:
        names = _preferred(mtz, MODEL if model_only else MODEL + OBSERVED)
        if names is None and not model_only:
            names = _by_type(mtz)
        if names is None:
            what = "a model's amplitudes (F-model, FC, …)" if model_only else "F or I"
            raise InputFileError(
                f"{path}: no column of {what}; the columns are {', '.join(have)}; "
                "structure_factors.columns names others"
            )
        chosen = [have[name] for name in names]
    for column in chosen:
        if column.type not in AMPLITUDES | INTENSITIES:
            raise InputFileError(
                f"{path}: column {column.label!r} has the type {column.type}: neither amplitudes "
                f"(F, G) nor intensities (J, K); those are {', '.join(usable) or 'none'}"
            )
    if len({column.type in INTENSITIES for column in chosen}) > 1:
        raise InputFileError(f"{path}: columns {', '.join(asked or ())} mix amplitudes and "
                             "intensities")  # fmt: skip
    return chosen


def _preferred(mtz: "gemmi.Mtz", preference: tuple[tuple[str, ...], ...]) -> tuple[str, ...] | None:
    have = {column.label for column in mtz.columns}
    return next((names for names in preference if have.issuperset(names)), None)


def _by_type(mtz: "gemmi.Mtz") -> tuple[str, ...] | None:
    """Return the first pair of Friedel mates, else the first amplitude, else the first I."""
    for kind, count in (("G", 2), ("F", 1), ("K", 2), ("J", 1)):
        found = [column.label for column in mtz.columns if column.type == kind]
        if len(found) >= count:
            return tuple(found[:count])
    return None


def is_model(columns: Columns) -> bool:
    """Whether columns hold a model's amplitudes, by their names."""
    return tuple(column.label for column in columns) in MODEL


def sigma_of(mtz: "gemmi.Mtz", column: "gemmi.Mtz.Column") -> "gemmi.Mtz.Column | None":
    """Return the standard deviations of a column: the next one, where its type says so."""
    types = "MQL"
    after = [c for c in mtz.columns if c.idx == column.idx + 1 and c.type in types]
    named = [c for c in mtz.columns if c.label.upper() == f"SIG{column.label.upper()}"]
    return next(iter(named + after), None)
