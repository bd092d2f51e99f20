"""Symmetry: asymmetric units become P1 as gemmi's own operations say, in every space group."""

from pathlib import Path

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiledsim.structure_factors.symmetry import expand

SETTINGS = [group.xhm() for group in gemmi.spacegroup_table()]
NOWHERE = Path("made-up.mtz")


def friedel_pairs(group: gemmi.SpaceGroup, seed: int, top: int) -> tuple[np.ndarray, ...]:
    """Random unique reflections with amplitudes of both mates; some are missing."""
    rng = np.random.default_rng(seed)
    asu = gemmi.ReciprocalAsu(group)
    hkl = np.array([
        (h, k, l)
        for h in range(-top, top + 1)
        for k in range(-top, top + 1)
        for l in range(-top, top + 1)
        if (h or k or l) and asu.is_in([h, k, l])
    ])  # fmt: skip
    plus, minus = rng.uniform(1, 100, (2, len(hkl)))
    centric = np.array([group.operations().is_reflection_centric(h) for h in hkl.tolist()])
    minus = np.where(centric, plus, minus)
    plus[rng.random(len(hkl)) < 0.1] = np.nan
    minus[rng.random(len(hkl)) < 0.1] = np.nan
    return hkl, plus, minus


def expected(group: gemmi.SpaceGroup, hkl: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> (
    dict[tuple[int, ...], float]
):  # fmt: skip
    """What each P1 reflection is, one after the other, by gemmi's apply_to_hkl."""
    ops = group.operations()
    direct: dict[tuple[int, ...], float] = {}
    for index, p, m in zip(hkl.tolist(), plus, minus, strict=True):
        if ops.is_systematically_absent(index):
            continue
        for op in ops.sym_ops:
            mate = tuple(op.apply_to_hkl(index))
            pair = ((mate, p), (tuple(-x for x in mate), m))
            direct |= {key: value for key, value in pair if np.isfinite(value)}
    return direct | {
        tuple(-x for x in key): value
        for key, value in direct.items()
        if tuple(-x for x in key) not in direct
    }


def check(symbol: str, seed: int, top: int) -> None:
    group = gemmi.SpaceGroup(symbol)
    hkl, plus, minus = friedel_pairs(group, seed, top)
    table = expand(NOWHERE, group.operations(), hkl, plus, minus, 7.0)
    want = expected(group, hkl, plus, minus)
    assert table.present is not None
    have = {
        tuple(int(n) for n in h): table.padded[tuple(h - np.array(table.lowest) + 1)]
        for h in np.argwhere(table.present) + np.array(table.lowest)
    }
    assert have.keys() == want.keys()
    assert all(have[key] == pytest.approx(want[key], rel=1e-15) for key in want)
    assert table.entries == len(want)
    for at in np.argwhere(~table.present):
        h = at + np.array(table.lowest)
        absent = h.any() and group.operations().is_systematically_absent(h.tolist())
        assert table.padded[tuple(at + 1)] == (0.0 if absent else 7.0)


def test_every_setting_of_every_space_group() -> None:
    """All settings of gemmi's table, rhombohedral and hexagonal axes and both origins included."""
    assert {gemmi.SpaceGroup(symbol).number for symbol in SETTINGS} == set(range(1, 231))
    for number, symbol in enumerate(SETTINGS):
        check(symbol, number, 2)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SETTINGS), st.integers(0, 2**32 - 1), st.integers(3, 4))
def test_any_setting_with_more_reflections(symbol: str, seed: int, top: int) -> None:
    """The same with larger indices and other values."""
    check(symbol, seed, top)


def test_repeated_reflections_must_agree() -> None:
    """Equal repetitions are one reflection; different ones are unmerged data."""
    ops = gemmi.SpaceGroup("P 1").operations()
    hkl = np.array([[1, 2, 3], [1, 2, 3]])
    same = np.array([5.0, 5.0])
    assert expand(NOWHERE, ops, hkl, same, same, 0.0).entries == 2
    with pytest.raises(ValueError, match="unmerged: 1 2 3 occurs more than once"):
        expand(NOWHERE, ops, hkl, np.array([5.0, 6.0]), same, 0.0)
