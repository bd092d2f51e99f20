"""MTZ and mmCIF reflections: expanded, chosen, scaled, filled; what can't be used is refused."""

import contextlib
import gzip
import shutil
from pathlib import Path

import gemmi
import numpy as np
import pytest

from tests.unit.command import refusal, tiledsim
from tests.unit.formats import FORMATS, needs_formats
from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Experiment, StructureFactors
from tiledsim.scene.build import build_scene
from tiledsim.structure_factors.french_wilson import french_wilson, symmetry_of
from tiledsim.structure_factors.load import Conditions, load_structure_factors
from tiledsim.structure_factors.table import FTable

pytestmark = needs_formats
P1 = FORMATS / "p1"
FILES = FORMATS / "files"
HEWL = P1 / "HEWL_refined.mtz"

TOML = """
[beam]
wavelength_A = 1.0
[structure_factors]
file = "{}"
{}
[crystal]
cells = [5, 5, 5]
{}
[detector]
size_px = [40, 40]
"""


def table(path: Path, conditions: Conditions | None = None, **settings: object) -> FTable:
    return load_structure_factors(StructureFactors(file=path, **settings), conditions)


def values(found: FTable, hkl: np.ndarray) -> np.ndarray:
    return found.padded[tuple((hkl - np.array(found.lowest) + 1).T)]


@pytest.mark.parametrize("name", ["1CTJ", "1OEL", "2ON8", "3RUW", "6D3B", "6E6N", "6OVT"])
def test_p1_pairs(name: str) -> None:
    """The same set and the same values as another program's expansion of the same file."""
    found = table(P1 / f"{name}.mtz", columns=("FMODEL",))
    other = gemmi.read_mtz_file(str(P1 / f"{name}_p1.mtz"))
    hkl = np.array(other.make_miller_array())
    F = np.array(other.column_with_label("FMODEL").array, dtype=np.float64)
    both = {tuple(h) for h in hkl.tolist()} | {tuple(h) for h in (-hkl).tolist()}
    assert found.present is not None
    have = {tuple(h) for h in (np.argwhere(found.present) + np.array(found.lowest)).tolist()}
    assert have == both - {(0, 0, 0)}
    np.testing.assert_array_equal(values(found, hkl), F)
    np.testing.assert_array_equal(values(found, -hkl), F)


def test_friedel_mates_stay_apart() -> None:
    """F(+) at hkl and at its mates, F(-) at the others, read from the file by hand."""
    found = table(HEWL)
    assert "F-model(+) and F-model(-)" in found.notes[0]
    mtz = gemmi.read_mtz_file(str(HEWL))
    hkl = np.array(mtz.make_miller_array())
    plus, minus = (
        np.array(mtz.column_with_label(f"F-model({sign})").array, dtype=np.float64) for sign in "+-"
    )
    both = np.isfinite(plus) & np.isfinite(minus)
    h, k, l = hkl[both].T
    np.testing.assert_array_equal(values(found, hkl[both]), plus[both])
    np.testing.assert_array_equal(values(found, -hkl[both]), minus[both])
    # The fourfold screw axis takes h k l to −k h l, the twofold along a + b to k h −l.
    np.testing.assert_array_equal(values(found, np.stack([-k, h, l], axis=1)), plus[both])
    np.testing.assert_array_equal(values(found, np.stack([k, h, -l], axis=1)), plus[both])
    np.testing.assert_array_equal(values(found, np.stack([k, h, l], axis=1)), minus[both])


def test_french_wilson_as_phenix_has_it() -> None:
    """cc ≥ 0.99999 with the amplitudes of another program, no value lost, none zero."""
    mtz = gemmi.read_mtz_file(str(P1 / "phenix_fw_ref.mtz"))
    I, sigma, F = (
        np.array(mtz.column_with_label(name).array, dtype=np.float64) for name in ("I", "SIGI", "F")
    )
    hkl = np.array(mtz.make_miller_array(), dtype=np.int64)
    centric, epsilon = symmetry_of(mtz.spacegroup.operations(), hkl)
    found = french_wilson(
        I, sigma, centric, epsilon, mtz.cell.calculate_1_d2_array(hkl.astype(np.int32))
    )
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert np.corrcoef(found, F)[0, 1] > 0.999999
    assert np.abs(found - F).max() < 0.05 * np.median(F)
    assert (np.sqrt(np.clip(I, 0, None)) == 0).any()


def test_intensities_by_root_say_what_is_lost() -> None:
    found = table(P1 / "HEWL_SSAD_24IDC.mtz", columns=("IMEAN",), intensities="sqrt")
    assert "negative intensities" in found.notes[-1]
    assert "scale of their own" in found.notes[1]


def test_kinds_are_known_by_content(tmp_path: Path) -> None:
    """A name and an ending say nothing; gzip is seen through."""
    strange = tmp_path / "factors.pdf"
    shutil.copy(HEWL, strange)
    assert table(strange).entries == table(HEWL).entries
    packed = tmp_path / "factors"
    packed.write_bytes(gzip.compress(HEWL.read_bytes()))
    assert table(packed).entries == table(HEWL).entries
    (tmp_path / "x.mtz").write_text("# a comment\n1 2 3 4.5\n-1 0 2 3\n")
    assert table(tmp_path / "x.mtz").entries == 2
    assert table(FILES / "rs-1CTJ-sf.cif").space_group == "R 3:R"
    assert table(FILES / "r5wkdsf.ent").space_group == "C 1 2 1"


def test_scale_by_a_factor_and_to_a_model() -> None:
    """k of least squares, against NumPy's; missing reflections have the model's amplitudes."""
    data = table(FILES / "7n2l.mtz", columns=("FOBS",))
    twice = table(FILES / "7n2l.mtz", columns=("FOBS",), scale=2.0)
    np.testing.assert_array_equal(twice.padded, 2.0 * data.padded)
    conditions = Conditions(dmin_A=1.2)
    model_file = FILES / "7n2l.pdb"
    model = table(model_file, conditions)
    fitted = table(
        FILES / "7n2l.mtz", conditions, columns=("FOBS",), scale="model", model_file=model_file
    )
    full = table(
        FILES / "7n2l.mtz", conditions, columns=("FOBS",), scale="model", model_file=model_file,
        fill_missing=True,
    )  # fmt: skip
    assert data.present is not None
    assert model.present is not None
    hkl = np.argwhere(data.present) + np.array(data.lowest)
    inside = (np.abs(hkl) <= np.array(model.highest)).all(axis=1)
    hkl = hkl[inside]
    there = model.present[tuple((hkl - np.array(model.lowest)).T)]
    a, b = values(data, hkl[there]), values(model, hkl[there])
    k = np.linalg.lstsq(a[:, None], b, rcond=None)[0][0]
    np.testing.assert_allclose(values(fitted, hkl), k * values(data, hkl), rtol=1e-12)
    every = np.argwhere(model.present) + np.array(model.lowest)
    known = {tuple(h) for h in (np.argwhere(data.present) + np.array(data.lowest)).tolist()}
    fresh = np.array([h for h in every.tolist() if tuple(h) not in known])
    np.testing.assert_array_equal(values(full, fresh), values(model, fresh))
    assert full.entries == data.entries + len(fresh)
    assert not any("scale of their own" in note for note in full.notes)


def test_absent_reflections_are_zero_whatever_the_default() -> None:
    found = table(HEWL, default_F=50.0)
    assert values(found, np.array([[1, 0, 0], [0, 0, 1]])).tolist() == [0.0, 0.0]
    assert values(found, np.array([[45, 45, 20]])).tolist() == [50.0]


def test_the_file_gives_the_cell(tmp_path: Path) -> None:
    scene = build_scene(Experiment.from_toml(TOML.format(HEWL, "", ""), tmp_path))
    lengths = np.sqrt((scene.cells[0] ** 2).sum(axis=1)) * 1e10
    np.testing.assert_allclose(lengths, gemmi.read_mtz_file(str(HEWL)).cell.parameters[:3])


@pytest.mark.parametrize(
    ("path", "more", "crystal", "message"),
    [
        (FILES / "insulin_unmerged_cutted_from_ccp4.mtz", "", "", "is unmerged; merge the data"),
        (HEWL, 'columns = ["F(+)", "F(-)"]', "", "no column 'F(+)'"),
        (HEWL, 'columns = ["FreeR_flag"]', "", "FreeR_flag"),
        (HEWL, "", "cell_A_deg = [70, 80, 90, 90, 90, 90]", "contradicts the crystal's 70, 80, 90"),
        (HEWL, "", 'space_group = "P 21 21 21"', "contradicts"),
        (HEWL, "", 'space_group = "P 77"', "unknown; give a number from 1 to 230"),
        (HEWL, 'anomalous = ["S"]', "", "anomalous needs coordinates"),
        (FILES / "XDS.INP", "", "", "not recognised as structure factors"),
        (FILES / "split_00.expt", "", "", "not recognised as structure factors"),
        (FILES / "missing.mtz", "", "", "does not exist"),
        (FILES, "", "", "is a folder"),
        (HEWL, 'scale = "model"\nmodel_file = "NOWHERE.pdb"', "", "does not exist"),
        (HEWL, "scale = -1", "", "structure_factors.scale = -1: must be a number above 0"),
        (HEWL, 'f_prime = { Se = [1] }', "", "structure_factors.f_prime"),
    ],
)  # fmt: skip
def test_refused_in_one_line(
    path: Path, more: str, crystal: str, message: str, tmp_path: Path
) -> None:
    text = TOML.format(path, more, crystal)
    with pytest.raises(ExperimentError) as error:
        build_scene(Experiment.from_toml(text, tmp_path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", [HEWL, FILES / "rs-1CTJ-sf.cif", FILES / "1yjp-sf.cif"])
def test_truncated_files(source: Path, tmp_path: Path) -> None:
    """Cut anywhere, a file is refused, or the reflections before the cut are all there is."""
    whole = source.read_bytes()
    cut = tmp_path / "cut"
    for share in (0.001, 0.1, 0.5, 0.97):
        cut.write_bytes(whole[: int(share * len(whole))])
        with contextlib.suppress(InputFileError):
            assert table(cut).entries < table(source).entries


def test_on_the_command_line(tmp_path: Path) -> None:
    """The columns are printed, refusals have status 2, a run renders."""
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(TOML.format(HEWL, "", ""))
    bad.write_text(TOML.format(FILES / "insulin_unmerged_cutted_from_ccp4.mtz", "", ""))
    assert "is unmerged" in refusal("describe", bad)
    told = tiledsim("describe", good).stdout
    for expected in (
        "structure factors are F-model(+) and F-model(-) of HEWL_refined.mtz",
        "space group            P 43 21 2",
        "reflections            184,388",
        "completeness           91.62 %",
        "Friedel mates          kept apart",
        "in diffracting position",
        "strongest spot",
        "resolution at edge",
    ):
        assert expected in told
