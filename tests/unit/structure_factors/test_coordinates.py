"""Coordinates: F by FFT against another program and against direct sums; the cache."""

import json
from pathlib import Path

import gemmi
import numpy as np
import pytest

from tests.unit.formats import FORMATS, needs_formats
from tiledsim.errors import ExperimentError
from tiledsim.experiment import StructureFactors
from tiledsim.structure_factors import cache, coordinates, load
from tiledsim.structure_factors.anomalous import scattering_factor
from tiledsim.structure_factors.load import Conditions, load_structure_factors
from tiledsim.structure_factors.table import FTable

FILES = FORMATS / "files"
PLAIN = """\
CRYST1   20.000   22.000   25.000  90.00  90.00  90.00 P 21 21 21
ATOM      1  CA  ALA A   1       3.000   4.000   5.000  1.00 10.00           C
ATOM      2 SE   MSE A   2       8.000   9.000  12.000  0.80 15.00          SE
ATOM      3  O   HOH A   3      11.000   2.000   7.000  1.00 20.00           O
END
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(load, "_last", [])


def table(path: Path, conditions: Conditions | None = None, **settings: object) -> FTable:
    return load_structure_factors(StructureFactors(file=path, **settings), conditions)


def values(found: FTable, hkl: np.ndarray) -> np.ndarray:
    return found.padded[tuple((hkl - np.array(found.lowest) + 1).T)]


def direct(structure: gemmi.Structure, hkl: np.ndarray, energy_eV: float) -> np.ndarray:
    """F(hkl) as a sum over all atoms of the cell, written out; isotropic B."""
    ops = list(structure.find_spacegroup().operations())
    total = np.zeros(len(hkl), dtype=complex)
    s2 = structure.cell.calculate_1_d2_array(hkl.astype(np.int32))
    for cra in structure[0].all():
        atom = cra.atom
        f0 = np.array([atom.element.it92.calculate_sf(x / 4) for x in s2])
        f = f0 + complex(*gemmi.cromer_liberman(atom.element.atomic_number, energy_eV))
        where = structure.cell.fractionalize(atom.pos)
        for op in ops:
            xyz = op.apply_to_xyz(where.tolist())
            turn = np.exp(2j * np.pi * (hkl @ np.array(xyz)) - atom.b_iso * s2 / 4)
            total += atom.occ * f * turn
    return total


@needs_formats
def test_against_cctbx() -> None:
    """R ≤ 2e-6 on both mates of 9067 reflections, with the other program's f′ and f″."""
    f_prime = json.loads((FORMATS / "snippets" / "fp.json").read_text())
    other = np.load(FORMATS / "cctbx4oz7.npz")
    found = table(FILES / "4oz7.pdb", f_prime=f_prime, solvent_k_e_per_A3=0, dmin_A=1.5)
    got, want = values(found, other["h"]), np.abs(other["f"])
    assert np.abs(got - want).sum() / want.sum() < 2e-6
    mates = {tuple(h) for h in other["h"].tolist()}
    assert sum(tuple(-x for x in h) in mates for h in mates) > 1000


def test_against_a_sum_written_here(tmp_path: Path) -> None:
    """Every reflection and its mate, near the selenium edge; occupancies and B count."""
    path = tmp_path / "model.pdb"
    path.write_text(PLAIN)
    found = table(path, Conditions(dmin_A=1.5, energy_eV=12700.0), solvent_k_e_per_A3=0)
    assert found.present is not None
    hkl = np.argwhere(found.present) + np.array(found.lowest)
    want = np.abs(direct(gemmi.read_structure(str(path)), hkl, 12700.0))
    got = values(found, hkl)
    assert np.abs(got - want).sum() / want.sum() < 2e-6
    assert np.abs(got - values(found, -hkl)).mean() > 0.01 * got.mean()


def test_solvent_lowers_low_resolution_only(tmp_path: Path) -> None:
    path = FILES / "4oz7.pdb"
    if not path.exists():
        pytest.skip("needs ../shared/formats")
    wet, dry = table(path, dmin_A=2.0), table(path, dmin_A=2.0, solvent_k_e_per_A3=0.0)
    assert dry.present is not None
    hkl = np.argwhere(dry.present) + np.array(dry.lowest)
    d = gemmi.read_structure(str(path)).cell.calculate_d_array(hkl.astype(np.int32))
    low = d > 8
    assert values(wet, hkl[low]).mean() < 0.8 * values(dry, hkl[low]).mean()
    assert values(wet, hkl[d < 3]).mean() == pytest.approx(values(dry, hkl[d < 3]).mean(), rel=0.01)


def test_alternates_count_with_their_occupancies(tmp_path: Path) -> None:
    """Two halves in one place are one atom."""
    whole, halves = tmp_path / "whole.pdb", tmp_path / "halves.pdb"
    whole.write_text(PLAIN)
    line = "ATOM      1  CA {}ALA A   1       3.000   4.000   5.000  0.50 10.00           C\n"
    lines = PLAIN.splitlines(keepends=True)
    halves.write_text("".join([lines[0], line.format("A"), line.format("B"), *lines[2:]]))
    np.testing.assert_allclose(
        table(halves, solvent_k_e_per_A3=0).padded,
        table(whole, solvent_k_e_per_A3=0).padded,
        atol=1e-4,
    )


def test_the_cache_is_used_and_a_damaged_file_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is the content: a copy is found, another energy too; a change is not."""
    path, copy = tmp_path / "a.pdb", tmp_path / "b.pdb"
    path.write_text(PLAIN)
    copy.write_text(PLAIN)
    first = table(path)
    calls = []
    compute = coordinates.sum_atoms

    def counted(*words: object) -> object:
        calls.append(words)
        return compute(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(coordinates, "sum_atoms", counted)
    np.testing.assert_array_equal(table(copy).padded, first.padded)
    assert (table(path, Conditions(energy_eV=12650.0)).padded != first.padded).any()
    assert calls == []
    (kept,) = cache.folder().glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:200])
    np.testing.assert_array_equal(table(copy).padded, first.padded)
    assert len(calls) == 1
    copy.write_text(PLAIN.replace("10.00", "11.00"))
    table(copy)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("old", "new", "settings", "message"),
    [
        ("20.000   22.000   25.000", " 1.000    1.000    1.000", {}, "no unit cell"),
        ("P 21 21 21", "          ", {}, "states no known space group"),
        ("P 21 21 21", "Q 99      ", {}, "states no known space group"),
        ("", "", {"f_prime": {"Fe": (1.0, 2.0)}}, "has no element 'Fe'; it has C, O, Se"),
        ("", "", {"anomalous": ("S",)}, "has no element 'S'"),
        ("3.000   4.000   5.000", "3.000     nan   5.000", {}, "not a number"),
        ("          SE", "          QQ", {}, "no known element"),
        ("", "", {"dmin_A": 0.001}, "give a larger structure_factors.dmin_A"),
        ("ATOM", "REMARK", {}, "without atoms"),
    ],
)  # fmt: skip
def test_refused(
    old: str, new: str, settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pdb"
    path.write_text(PLAIN.replace(old, new) if old else PLAIN)
    with pytest.raises(ExperimentError) as error:
        table(path, **settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_given_dispersion_counts() -> None:
    assert scattering_factor("Se", 12658.0, {"Se": (-8.0, 4.5)}) == -8 + 4.5j
    assert scattering_factor("Se", 13000.0, {}).imag == pytest.approx(3.63, abs=0.02)
