"""From the asymmetric unit to P1: every symmetry mate and both Friedel mates of a reflection.

A reflection h has the mates hR of the same amplitude, R the rotations of the space group; the
amplitudes of their Friedel mates −hR are those of −h, which differ where atoms absorb.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.structure_factors.table import Bool, FTable, Int, empty_box, triple
from tiledsim.vectors import Array

if TYPE_CHECKING:
    import gemmi

LARGEST_INDEX = 1_000_000


def find_space_group(symbol: str) -> "gemmi.SpaceGroup":
    """Return a space group by its symbol or number; InputFileError where there is none."""
    import gemmi

    text = symbol.strip()
    found = (
        gemmi.find_spacegroup_by_number(int(text))
        if text.isdigit()
        else gemmi.find_spacegroup_by_name(text)
    )
    if found is None:
        raise InputFileError(
            f"crystal.space_group = {symbol!r}: unknown; give a number from 1 to 230 or a "
            "Hermann–Mauguin or Hall symbol, as 'P 43 21 2'"
        )
    return found


def mates(ops: "gemmi.GroupOps", hkl: Int) -> Iterator[tuple[Int, Array]]:
    """Yield, for each operation x → Rx + t, the mates hR [n, 3] and the phase shifts −2πh·t [n].

    F(hR) = F(h)·exp(i·shift).  Centring yields nothing new.
    """
    import gemmi

    den = gemmi.Op.DEN
    for op in ops.sym_ops:
        rotation = np.array(op.rot, dtype=np.int64)
        shift = np.array(op.tran, dtype=np.float64) / den
        yield hkl @ rotation // den, -2.0 * np.pi * (hkl @ shift)


def made_symmetric(
    ops: "gemmi.GroupOps", hkl: Int, values: NDArray[np.complex128]
) -> NDArray[np.complex128]:
    """Average complex F [..., n] over the operations that map a reflection on itself or its mate.

    Rounding leaves a transform's phases a little off where symmetry fixes them; then a value would
    depend on which mate it was taken from.  The density must be real: F(−h) is F(h)'s conjugate.
    """
    total, count = np.zeros_like(values), np.zeros(len(hkl))
    for mate, shift in mates(ops, hkl):
        turned = values * np.exp(1j * shift)
        for same, image in (((mate == hkl).all(1), turned), ((mate == -hkl).all(1), turned.conj())):
            total[..., same] += image[..., same]
            count[same] += 1.0
    return np.asarray(total / count)


def expand(
    path: Path, ops: "gemmi.GroupOps", hkl: Int, plus: Array, minus: Array, default_F: float
) -> FTable:
    """Return the P1 table of amplitudes F(h) = ``plus`` [n] and F(−h) = ``minus`` [n].

    NaN stands for a missing value: the other mate's is taken then.  Systematic absences are 0,
    whatever ``default_F``.  Raises InputFileError for data that aren't merged, and for none.
    """
    hkl, plus, minus = _without_repeats(path, hkl, plus, minus)
    keep = (np.isfinite(plus) | np.isfinite(minus)) & ~ops.systematic_absences(hkl.astype(np.int32))
    keep &= hkl.any(axis=1)
    hkl, plus, minus = hkl[keep], plus[keep], minus[keep]
    if not len(hkl):
        raise InputFileError(f"{path}: no reflection has a value that can be used")
    if np.abs(hkl).max() > LARGEST_INDEX:
        raise InputFileError(f"{path}: a Miller index is above {LARGEST_INDEX:,}")
    top = np.max([np.abs(mate).max(axis=0) for mate, _ in mates(ops, hkl)], axis=0)
    padded = empty_box(path, -top, top, default_F)
    total, count = np.zeros(2 * top + 1), np.zeros(2 * top + 1, dtype=np.int32)
    strides = np.array([(2 * top[1] + 1) * (2 * top[2] + 1), 2 * top[2] + 1, 1])
    origin = int(top @ strides)
    both = [(sign, np.isfinite(values), values) for sign, values in ((1, plus), (-1, minus))]
    for mate, _ in mates(ops, hkl):
        offset = mate @ strides
        for sign, there, values in both:
            at = origin + sign * offset[there]
            total.reshape(-1)[at] += values[there]  # within one operation no mate occurs twice
            count.reshape(-1)[at] += 1
    inside = padded[1:-1, 1:-1, 1:-1]
    # A Friedel mate that was not measured has the other's value.
    flip = (slice(None, None, -1),) * 3
    lone = (count == 0) & (count[flip] > 0)
    total[lone], count[lone] = total[flip][lone], count[flip][lone]
    present = count > 0
    inside[present] = total[present] / count[present]
    if default_F != 0.0:
        inside[absent(ops, -top, inside.shape)] = 0.0
    return FTable(padded, triple(-top), default_F, int(present.sum()), present)


def _without_repeats(path: Path, hkl: Int, plus: Array, minus: Array) -> tuple[Int, Array, Array]:
    """Drop repetitions of a reflection with equal values; InputFileError where they differ."""
    unique, first, inverse = np.unique(hkl, axis=0, return_index=True, return_inverse=True)
    if len(unique) == len(hkl):
        return hkl, plus, minus
    at = first[inverse.ravel()]
    differ = ~(np.isclose(plus, plus[at], equal_nan=True)
               & np.isclose(minus, minus[at], equal_nan=True))  # fmt: skip
    if differ.any():
        h, k, l = hkl[int(differ.argmax())]
        raise InputFileError(
            f"{path} is unmerged: {h} {k} {l} occurs more than once with different values; merge "
            "the data first (gemmi merge, aimless, dials.merge)"
        )
    return unique, plus[first], minus[first]


def box_indices(low: Int, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the Miller indices [n, 3] of a box, l fastest."""
    axes = [np.arange(n, dtype=np.int32) + int(start) for n, start in zip(shape, low, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def absent(ops: "gemmi.GroupOps", low: Int, shape: tuple[int, ...]) -> Bool:
    """Return which reflections of a box are systematically absent."""
    found = ops.systematic_absences(box_indices(low, shape))
    return np.asarray(found, dtype=np.bool_).reshape(shape)
