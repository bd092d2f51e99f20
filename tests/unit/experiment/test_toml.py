"""Experiments as TOML: what is written is read again, and mistakes are named in one line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    Mosaic,
    Panel,
    Rotation,
    Sampling,
    Sensor,
    Shots,
    Spectrum,
    StructureFactors,
    load,
)
from tiledsim.quirks import ALL_QUIRKS

MINIMAL = """
[beam]
wavelength_A = 1.0
[crystal]
cell_A_deg = [70, 80, 90, 75, 85, 95]
[structure_factors]
default_F = 100
"""

positive = st.floats(min_value=1e-15, max_value=1e15)
real = st.floats(-1e15, 1e15)
vectors = st.tuples(real, real, real).filter(any)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1)
files = names.filter(lambda name: name not in (".", "..")).map(lambda name: Path("/data") / name)


def sometimes(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    colours = draw(st.lists(st.tuples(positive, st.floats(0.5, 2)), min_size=1, max_size=5))
    spectrum = Spectrum(
        wavelengths_A=tuple(c[0] for c in colours), weights=tuple(c[1] for c in colours)
    )
    by_matrix = draw(st.booleans())
    shots = draw(st.integers(1, 4))
    return Experiment(
        title=draw(st.text(st.characters(exclude_categories=["Cs"]))),
        mode=draw(st.sampled_from(["spec", "c-parity"])),
        quirks=draw(sometimes(st.lists(st.sampled_from(ALL_QUIRKS), max_size=3))),
        beam=draw(
            st.builds(
                Beam,
                wavelength_A=positive,
                direction=sometimes(vectors),
                hdiv_steps=sometimes(st.integers(1, 9)),
            )
            | st.builds(Beam, energy_eV=st.floats(100, 1e6), source_file=sometimes(files))
            | st.builds(Beam, spectrum=st.just(spectrum), flux_photons_per_s=sometimes(positive))
        ),
        crystal=Crystal(
            cell_A_deg=None if by_matrix else draw(st.tuples(*[positive] * 6)),
            mosflm_matrix_file=draw(files) if by_matrix else None,
            misset_deg=draw(sometimes(vectors | st.just("random"))),
            cells=draw(st.tuples(*[st.integers(1, 10**9)] * 3)),
            mosaic=draw(
                st.builds(Mosaic, seed=st.integers(-(2**40), 2**40), matrices_file=sometimes(files))
            ),
        ),
        structure_factors=draw(
            st.builds(StructureFactors, hkl_file=files, interpolate=st.booleans())
            | st.builds(StructureFactors, default_F=positive)
        ),
        detector=draw(
            st.builds(
                Detector,
                pixel_mm=positive,
                panels=st.lists(
                    st.builds(Panel, origin_mm=vectors, fast_axis=vectors, slow_axis=vectors),
                    max_size=2,
                ),
                sensor=st.builds(Sensor, layers=sometimes(st.integers(1, 9))),
                roi=sometimes(st.just((0, 5, 7, 1023))),
                mask_file=sometimes(files),
            )
        ),
        rotation=draw(st.builds(Rotation, range_deg=sometimes(positive), axis=sometimes(vectors))),
        sampling=draw(st.builds(Sampling, oversample=st.just("auto") | st.integers(1, 99))),
        shots=Shots(count=shots, misset_deg=draw(sometimes(st.just(((1.5, 0, -2),) * shots)))),
    )


@given(experiments())
def test_what_is_written_is_read_again(experiment: Experiment) -> None:
    assert Experiment.from_toml(experiment.to_toml(), Path("/elsewhere")) == experiment


def test_defaults_are_not_written() -> None:
    text = Experiment.from_toml(MINIMAL, Path("/")).to_toml()
    assert text == (
        "version = 1\n\n[beam]\nwavelength_A = 1.0\n\n"
        "[crystal]\ncell_A_deg = [70.0, 80.0, 90.0, 75.0, 85.0, 95.0]\n\n"
        "[structure_factors]\ndefault_F = 100.0\n"
    )


def test_file_names_are_relative_to_the_experiment(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.toml"
    path.parent.mkdir()
    text = "default_F = 100\nhkl_file = '../P1.hkl'\n[detector]\nmask_file = '/data/mask.img'\n"
    path.write_text(MINIMAL.replace("default_F = 100\n", text))
    experiment = load(path)
    assert experiment.structure_factors.hkl_file == path.parent / ".." / "P1.hkl"
    assert experiment.detector.mask_file == Path("/data/mask.img")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[beam]",
            "[detector]\npixle_mm = 1\n[beam]",
            "detector.pixle_mm: no such key; did you mean 'detector.pixel_mm'?",
        ),
        (
            "[beam]",
            "[beam]\nmask_file = 'a'",
            "beam.mask_file: no such key; did you mean 'detector.mask_file'?",
        ),
        ("[beam]", "[bean]\n[beam]", "bean: no such key; did you mean 'beam'?"),
        (
            "[beam]",
            "[shots]\nzzz = 1\n[beam]",
            "shots.zzz: no such key; known here: count, orientation, seed, misset_deg, vectors_A, "
            "axis, range_deg, spread_deg, columns, table, labels, sase, spectra_file, rows_sha256",
        ),
        ("= 1.0", "= 0", "beam.wavelength_A = 0: must be a number above 0"),
        ("= 1.0", "= nan", "beam.wavelength_A = nan: must be a finite number above 0"),
        ("= 1.0", "= 'red'", "beam.wavelength_A = 'red': must be a number above 0"),
        (
            "[70, 80, 90, 75, 85, 95]",
            "[70, 80]",
            "crystal.cell_A_deg = [70, 80]: must be a list of 6 numbers above 0",
        ),
        (
            "[70, 80, 90, 75, 85, 95]",
            "[70, 80, -90, 75, 85, 95]",
            "crystal.cell_A_deg[2] = -90: must be a number above 0",
        ),
        (
            "[beam]",
            "[sampling]\noversample = 0\n[beam]",
            "sampling.oversample = 0: must be a whole number from 1 to 10000 or 'auto'",
        ),
        (
            "[beam]",
            "[detector]\nconvention = 'mosfilm'\n[beam]",
            "detector.convention = 'mosfilm': must be 'mosflm', 'denzo', 'adxv', 'xds', 'dials' "
            "or 'custom'; did you mean 'mosflm'?",
        ),
        (
            "[beam]",
            "[detector]\npivot = 'middle'\n[beam]",
            "detector.pivot = 'middle': must be 'beam' or 'sample'",
        ),
        (
            "[beam]",
            "[crystal.mosaic]\ndomains = 1.5\n[beam]",
            "crystal.mosaic.domains = 1.5: must be a whole number from 1 to 1e+06",
        ),
        (
            "[beam]",
            "[detector]\nroi = [0, 1024, 0, 9]\n[beam]",
            "[detector] roi = [0, 1024, 0, 9] (fast_min, fast_max, slow_min, slow_max, inclusive) "
            "is not inside a detector of 1024 x 1024 pixels (fast x slow)",
        ),
        (
            "[beam]",
            "[[detector.panels]]\norigin_mm = [1, 2]\nfast_axis = [1, 0, 0]\n"
            "slow_axis = [0, 1, 0]\n[beam]",
            "detector.panels[0].origin_mm = [1, 2]: must be a list of 3 numbers",
        ),
        (
            "wavelength_A = 1.0",
            "",
            "[beam] no wavelength: give wavelength_A, energy_eV or a spectrum",
        ),
        (
            "[beam]\nwavelength_A = 1.0",
            "",
            "beam is missing: the section must be given, as a table of keys",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(old: str, new: str, said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_toml(MINIMAL.replace(old, new), Path("/"))
    assert str(caught.value) == said


def test_what_is_not_toml_is_refused_with_its_line() -> None:
    with pytest.raises(ExperimentError, match=r"^not valid TOML: .*line 2"):
        Experiment.from_toml("version = 1\n[[[beam]]", Path("/"))


def test_a_mode_that_does_not_exist_is_named() -> None:
    with pytest.raises(ExperimentError, match=r"^mode = 'exact': must be 'spec' or 'c-parity'$"):
        Experiment.from_toml("mode = 'exact'\n" + MINIMAL, Path("/"))


def test_a_quirk_that_does_not_exist_is_named() -> None:
    with pytest.raises(
        ExperimentError, match=r"^quirks\[0\] = 'water'.* did you mean 'water_twice'"
    ):
        Experiment.from_toml("quirks = ['water']\n" + MINIMAL, Path("/"))


def test_all_mistakes_are_told_at_once() -> None:
    text = MINIMAL.replace("= 1.0", "= 0").replace("= 100", "= 'x'")
    text += "[detector]\npixle_mm = 1\ndistance_mm = 90\nclose_distance_mm = 80\n"
    text += "[shots]\ncount = true\n"
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_toml(text, Path("/"))
    assert "\n" not in str(caught.value)
    assert sorted(str(caught.value).split("; also: ")) == [
        "beam.wavelength_A = 0: must be a number above 0",
        "detector.distance_mm and detector.close_distance_mm are both given; give one: the "
        "distance along the beam, or that of the plane",
        "detector.pixle_mm: no such key; did you mean 'detector.pixel_mm'?",
        "shots.count = true: must be a whole number from 1 to 1e+07",
        "structure_factors.default_F = 'x': must be a number",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "{a=" * 3000 + "1" + "}" * 3000,
        ".".join(["a"] * 20_000) + " = 1",
        "[" + ".".join(["a"] * 20_000) + "]",
        "version = " + "1" * 5000,
        "x = [" + "1," * 10_000_000 + "]",
        "x = 0x" + "f" * 100_000,
    ],
    ids=lambda text: text[:12],
)
def test_what_no_person_writes_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(ExperimentError, match=r"not valid TOML|characters of an experiment"):
        Experiment.from_toml(MINIMAL + text, Path("/"))


def test_brackets_and_dots_in_texts_and_comments_are_no_depth() -> None:
    deep = "[" * 99 + "a." * 99
    text = f'title = """{deep}\n\\"{deep}"""\n# {deep} """ \n' + MINIMAL
    assert Experiment.from_toml(text, Path("/")).title.startswith("[[")


def test_the_file_of_a_mistake_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[beam]\nwavelength_A = 0\n")
    with pytest.raises(ExperimentError, match=r"a\.toml: "):
        load(path)
    with pytest.raises(InputFileError, match=r"experiment file .* does not exist"):
        load(tmp_path / "b.toml")


def test_a_file_name_that_is_not_text_cannot_be_written() -> None:
    experiment = Experiment(
        beam=Beam(wavelength_A=1),
        crystal=Crystal(mosflm_matrix_file=Path("/a\udcff.mat")),
        structure_factors=StructureFactors(default_F=1),
    )
    with pytest.raises(ExperimentError, match="not UTF-8"):
        experiment.to_toml()
