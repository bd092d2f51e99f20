"""nanoBragg's command line: aliases, units, defaults, order rules and clear refusals."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment
from tiledsim.nanobragg.command.command import experiment_from_nanobragg, parse_nanobragg
from tiledsim.nanobragg.command.explain import explain_command
from tiledsim.nanobragg.command.flags import FLAGS, find_flag
from tiledsim.quirks import Mode

SHARED = Path(__file__).parents[4] / "shared"
SCATTERER = "-cell 70 80 90 75 85 95 -default_F 100 "

needs_shared = pytest.mark.skipif(
    not (SHARED / "golden" / "cases.json").exists(), reason="needs ../shared/golden"
)


def read(flags: str, mode: Mode = "c-parity", base: Path | None = None) -> Experiment:
    return experiment_from_nanobragg(shlex.split(SCATTERER + flags), mode, base or Path("/nowhere"))


def value(experiment: Experiment, key: str) -> Any:
    found: Any = experiment
    for name in key.split("."):
        found = getattr(found, name)
    return found


def golden_flags() -> list[Any]:
    path = SHARED / "golden" / "cases.json"
    cases = json.loads(path.read_text()) if path.exists() else []
    return [pytest.param(case["flags"], id=case["name"]) for case in cases]


@needs_shared
@pytest.mark.parametrize("flags", golden_flags())
def test_every_golden_case_is_understood(flags: str) -> None:
    inputs = SHARED / "golden" / "inputs"
    for mode in ("c-parity", "spec"):
        experiment = experiment_from_nanobragg(shlex.split(flags), mode, inputs)
        assert experiment.mode == mode
        assert Experiment.from_toml(experiment.to_toml(), inputs) == experiment


@needs_shared
def test_the_pilatus_command_is_understood() -> None:
    folder = SHARED / "pilatus6m"
    argv = shlex.split((folder / "command.txt").read_text())[1:]
    command = parse_nanobragg(argv, base=folder)
    detector = command.experiment.detector
    assert detector.size_px == (2463, 2527)
    assert detector.convention == "custom"
    assert detector.pivot == "sample"  # by -twotheta, the last flag that sets one
    assert detector.pix0_mm == (-216.336293, 215.205512, -230.200866)
    assert command.experiment.structure_factors.hkl_file == folder / "scaled.hkl"
    assert command.experiment.crystal.cells == (36, 47, 29)
    assert command.float_file == folder / "img.bin"
    assert command.nonoise


def test_defaults_are_those_of_nanobragg() -> None:
    experiment = read("")
    expected = {
        "beam.wavelength_A": 1.0,
        "detector.size_px": (1024, 1024),
        "detector.pixel_mm": 0.1,
        "detector.distance_mm": 100.0,
        "detector.convention": "mosflm",
        "crystal.cells": (1, 1, 1),
        "crystal.mosaic.seed": 12345678,
        "sampling.oversample": "auto",
        "structure_factors.interpolate": "auto",
        "beam.polarization": 0.0,
    }
    assert {key: value(experiment, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("flags", "key", "expected"),
    [
        ("-lambda 1.5", "beam.wavelength_A", 1.5),
        ("-wave 1.5", "beam.wavelength_A", 1.5),
        ("-wavelength 1.5", "beam.wavelength_A", 1.5),
        ("-lambda 1.5 -energy 12398.42", "beam.energy_eV", 12398.42),
        ("-lambda 1.5 -energy 12398.42", "beam.wavelength_A", None),
        ("-energy 5000 -lambda 1.5", "beam.energy_eV", None),
        ("-N 5", "crystal.cells", (5, 5, 5)),
        ("-N 5 -Nb 3", "crystal.cells", (5, 3, 5)),
        ("-Nb 3 -N 5", "crystal.cells", (5, 5, 5)),
        ("-xtalsize 0.1", "crystal.size_mm", (0.1, 0.1, 0.1)),
        ("-samplesize 0.1 -xtal_y 0.2", "crystal.size_mm", (0.1, 0.2, 0.1)),
        ("-sample_thick 1 -width 2 -height 3", "crystal.size_mm", (1.0, 2.0, 3.0)),
        ("-cell 50", "crystal.cell_A_deg", (50.0, 50.0, 50.0, 90.0, 90.0, 90.0)),
        ("-cell 50 60 -lambda 1", "crystal.cell_A_deg", (50.0, 60.0, 50.0, 90.0, 90.0, 90.0)),
        ("-misset -10 20.5 3e1", "crystal.misset_deg", (-10.0, 20.5, 30.0)),
        ("-misset rand -misset_seed 7", "crystal.misset_deg", "random"),
        ("-misset rand -misset_seed 7", "crystal.misset_seed", 7),
        ("-mosaicity 0.5", "crystal.mosaic.spread_deg", 0.5),
        ("-mosaic_spread 0.5", "crystal.mosaic.spread_deg", 0.5),
        ("-mosaic 0.5 -mosaic_domains 4", "crystal.mosaic.domains", 4),
        ("-mosaic_seed 4321", "crystal.mosaic.seed", 4321),
        ("-round_xtal", "crystal.shape", "round"),
        ("-round_xtal -binary_spots", "crystal.shape", "tophat"),
        ("-interpolate -nointerpolate", "structure_factors.interpolate", False),
        ("-hdivrange 2 -divergence 5", "beam.hdiv_range_mrad", 5.0),
        ("-divsteps 3 -vdivsteps 4", "beam.vdiv_steps", 4),
        ("-hdivstep 0.25", "beam.hdiv_step_mrad", 0.25),
        ("-square_div", "beam.round_divergence", False),
        ("-polar 0.9", "beam.polarization", 0.9),
        ("-polar 0.9 -nopolar", "beam.polarization_correction", False),
        ("-nopolar -polar 0.9", "beam.polarization_correction", True),
        ("-phi 3 -osc 1 -phisteps 10", "rotation.steps", 10),
        ("-phistep 0.1", "rotation.step_deg", 0.1),
        ("-detpixels 100 -detpixels_y 50", "detector.size_px", (100, 50)),
        ("-detpixels_f 100 -detpixels_s 50", "detector.size_px", (100, 50)),
        ("-detsize 10 -pixel 0.2", "detector.size_px", (50, 50)),
        ("-pixel 0.2 -detsize_f 10.09 -detsize_s 9.91", "detector.size_px", (50, 50)),
        ("-detpixels 64 -detsize 500", "detector.size_px", (64, 64)),
        ("-detector_abs 500", "detector.sensor.depth_um", 500.0),
        ("-detector_thick 450 -thicksteps 5", "detector.sensor.layers", 5),
        ("-detector_thick 450 -detector_absorb inf", "detector.sensor.thickness_um", 0.0),
        ("-roi 20 60 30 70", "detector.roi", (20, 60, 30, 70)),
        ("-roi 5 -1 -1 1024", "detector.roi", (5, 1023, 0, 1023)),
        ("-roi 0 1024 0 1023", "detector.roi", None),
        ("-oversample 3 -oversample_omega", "sampling.oversample_omega", True),
        ("-curved_det x -N 1", "detector.curved", True),
        ("-pix0_vector 0.1 -0.2 0.3", "detector.pix0_mm", (100.0, -200.0, 300.0)),
        ("-pix0_vector_mm 1 2 3", "detector.pix0_mm", (1.0, 2.0, 3.0)),
        ("-pix0_vector_mm 1 2 3", "detector.convention", "custom"),
        ("-spindle_axis 0 1 0 -xds", "rotation.axis", None),
        ("-xds -spindle_axis 0 1 0", "detector.convention", "custom"),
        ("-water 40", "background.water_um", 40.0),
        ("-fluence 2e22", "beam.fluence_photons_per_m2", 2e22),
        ("-flux 1e12 -exposure 0.1 -beamsize 0.02", "beam.fluence", 1e12 * 0.1 / 2e-5 / 2e-5),
    ],
)
def test_a_flag_sets_its_key(flags: str, key: str, expected: object) -> None:
    assert value(read(flags), key) == expected


@pytest.mark.parametrize(
    ("flags", "parity", "spec"),
    [
        ("", None, None),
        ("-xds", None, None),  # the table of conventions
        ("-pivot sample -xds", "sample", "sample"),
        ("-fdet_vector 0 0 1", "beam", "beam"),
        ("-xds -fdet_vector 0 0 1", "sample", "sample"),
        ("-dials -fdet_vector 0 0 1", "beam", "beam"),
        ("-fdet_vector 0 0 1 -distance 50 -twotheta 0", "sample", "sample"),
        ("-fdet_vector 0 0 1 -twotheta 0 -distance 50", "beam", "beam"),
        ("-fdet_vector 0 0 1 -pivot sample -Xbeam 5", "beam", "sample"),
        ("-fdet_vector 0 0 1 -Xbeam 5 -pivot sample", "sample", "sample"),
        ("-ORGX 5 -sdet_vector 0 -1 0", "sample", "sample"),
    ],
)
def test_the_last_flag_that_sets_a_pivot_decides(
    flags: str, parity: str | None, spec: str | None
) -> None:
    assert read(flags).detector.pivot == parity
    assert read(flags, "spec").detector.pivot == spec


def test_the_two_theta_axis_is_taken_for_two_theta_as_well() -> None:
    flags = "-twotheta 15 -twotheta_axis 1 0 0"
    command = parse_nanobragg(shlex.split(SCATTERER + flags))
    assert command.experiment.detector.two_theta_deg == 1.0
    assert command.experiment.detector.pivot == "sample"
    assert "two-theta" in command.notes[0]
    assert read(flags, "spec").detector.two_theta_deg == 15.0
    assert read("-twotheta_axis 1 0 0 -twotheta 15").detector.two_theta_deg == 15.0


def test_sides_that_are_no_whole_pixels_keep_nanobraggs_beam_centre() -> None:
    detector = read("-detsize 10 -pixel 0.3").detector  # 33 pixels are 9.9 mm
    assert detector.size_px == (33, 33)
    assert detector.beam_x_mm == pytest.approx((10 + 0.3) / 2)
    assert detector.org_x_px == pytest.approx(10 / 2 / 0.3 + 0.5)
    detector = read("-adxv -detsize 10 -pixel 0.3 -Ybeam 4").detector
    assert detector.beam_y_mm == pytest.approx(4 - 0.1)
    detector = read("-xds -detsize 10 -pixel 0.3 -Xbeam 4", "spec").detector
    assert (detector.beam_x_mm, detector.org_x_px) == (4.0, None)


def test_a_random_misset_without_a_seed_is_one_that_can_be_repeated() -> None:
    experiment = read("-misset random")
    assert experiment.crystal.misset_seed > 1_600_000_000  # the time
    assert "misset_seed" in experiment.to_toml()


def test_file_names_are_relative_to_the_folder(tmp_path: Path) -> None:
    command = parse_nanobragg(
        shlex.split("-mat A.mat -hkl /data/P1.hkl -sourcefile s.txt -floatfile a/f.bin"),
        base=tmp_path,
    )
    assert command.experiment.crystal.mosflm_matrix_file == tmp_path / "A.mat"
    assert command.experiment.structure_factors.hkl_file == Path("/data/P1.hkl")
    assert command.experiment.beam.source_file == tmp_path / "s.txt"
    assert command.float_file == tmp_path / "a" / "f.bin"


def test_a_dump_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "Fdump.bin").write_bytes(b"")
    (tmp_path / "other.bin").write_bytes(b"")
    cell = ["-cell", "70"]
    command = parse_nanobragg([*cell, "-dump", "other.bin"], base=tmp_path)
    assert command.experiment.structure_factors.fdump_file == tmp_path / "other.bin"
    assert "other.bin" in command.notes[0]
    # what merely lies in the folder is not read, and somebody who relied on that is told
    for mode in ("spec", "c-parity"):
        with pytest.raises(ExperimentError, match=r"-dump Fdump\.bin for the one that is here"):
            parse_nanobragg(cell, mode, tmp_path)
    command = parse_nanobragg([*cell, "-default_F", "1"], base=tmp_path)
    assert command.experiment.structure_factors.fdump_file is None
    assert "-dump Fdump.bin asks for it" in command.notes[0]
    command = parse_nanobragg([*cell, "-hkl", "P1.hkl", "-dump", "new.bin"], base=tmp_path)
    assert command.experiment.structure_factors.fdump_file is None
    assert command.dump_file == tmp_path / "new.bin"


@pytest.mark.parametrize("flag", ["-stol", "-4stol", "-Q"])
def test_a_table_that_changes_nothing_must_be_there(flag: str, tmp_path: Path) -> None:
    """nanoBragg reads it, stops where it is missing, and uses it for nothing."""
    with pytest.raises(ExperimentError, match=f"{flag} .*no such file"):
        parse_nanobragg(shlex.split(f"{SCATTERER} {flag} a.stol"), base=tmp_path)
    (tmp_path / "a.stol").write_text("0 1\n")
    command = parse_nanobragg(shlex.split(f"{SCATTERER} {flag} a.stol"), base=tmp_path)
    assert command.stol_file == tmp_path / "a.stol"
    assert f"{flag} has no effect" in command.notes[0]


@pytest.mark.parametrize(
    ("flags", "nonoise", "nopgm", "printout"),
    [
        ("-nonoise -noisefile n.img", False, False, False),
        ("-noisefile n.img -nonoise", True, False, False),
        ("-nopgm -pgmfile p.pgm", False, False, False),
        ("-nopgm -pgmscale 2", False, False, False),
        ("-pgmscale 2 -nopgm", False, True, False),
        ("-printout_pixel 3 4", False, False, True),
    ],
)
def test_naming_an_image_asks_for_it(
    flags: str, nonoise: bool, nopgm: bool, printout: bool
) -> None:
    command = parse_nanobragg(shlex.split(SCATTERER + flags))
    assert (command.nonoise, command.nopgm, command.printout) == (nonoise, nopgm, printout)


def test_outputs_asked_for_are_reported() -> None:
    flags = (
        "-intimage i.img -pgmfile p.pgm -noisefile n.img -scale 0.5 -adc 12 -pgmscale 2 -seed 17 "
        "-nopgm -nonoise -noprogress -printout -printout_pixel 3 4 -trace_pixel 5 6 "
        "-floatimage f.bin"
    )
    command = parse_nanobragg(shlex.split(SCATTERER + flags), base=Path("/data"))
    assert command.int_file == Path("/data/i.img")
    assert command.pgm_file == Path("/data/p.pgm")
    assert command.noise_file == Path("/data/n.img")
    assert (command.int_scale, command.adc_offset, command.pgm_scale) == (0.5, 12.0, 2.0)
    assert command.noise_seed == 17
    assert (command.nonoise, command.nopgm, command.progress) == (True, True, False)
    assert command.printout
    assert command.printout_pixel == (3, 4)
    assert command.trace_pixel == (5, 6)
    assert command.float_file == Path("/data/f.bin")
    nothing = parse_nanobragg(shlex.split(SCATTERER))
    assert (nothing.float_file, nothing.int_file, nothing.noise_seed) == (None, None, None)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("-coherent", "-coherent has no effect"),
        ("-density 1.2", "-density has no effect"),
        ("-fdet_vector 1 0 0 -mosflm", "-mosflm after -fdet_vector replaces it"),
        ("-pivot sample", "quirk pivot_override"),
        ("-misset 1 2 3 -misset_seed 5 -Na 7", "-misset_seed 5 is also read as -misset 5 0 7"),
        ("-oversample_thick", "-oversample_thick without -detector_thick: nothing is captured"),
        ("-detector_abs inf -detector_thick 9", "-detector_abs inf before -detector_thick: noth"),
        ("-polar 2", "-polar 2 is outside -1 to 1"),
        ("-N 0", "-N 0 is taken as 1"),
        ("-Na 2.5", "-Na 2.5 is taken as 2"),
        ("-oversample 0", "-oversample 0 is taken as auto"),
        ("-phisteps 0", "-phisteps 0 is taken as 1"),
        ("-mosaic_seed -1", "-mosaic_seed -1 is taken as 1"),
        ("-detpixels 0", "-detpixels 0 is taken as if it was not given"),
        ("-hdiv 0", "-hdiv has no effect: nanoBragg's documentation lists it"),
        ("-dispstep 2", "-dispsteps does that"),
        ("-detsize_x 20", "-detsize_f does that"),
        ("-roi 0 5 0 64 -detpixels 63", "-roi 0 5 0 64 is clipped at the detector's edge"),
        ("-roi 5 3 0 60 -detpixels 63", "-roi 5 3 0 60 holds no pixel; the image is zeros"),
        ("-distance -5", "-distance -5 is taken without its sign"),
        ("-curved_det", "-curved_det is ignored"),
        ("-nopolar -oversample_polar", "-nopolar has no effect"),
    ],
)
def test_what_is_taken_otherwise_than_it_looks_is_noted(flags: str, said: str) -> None:
    (note,) = parse_nanobragg(shlex.split(SCATTERER + flags)).notes
    assert said in note


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("-lamda 1", "-lamda: no such flag; did you mean -lambda?"),
        ("-detpixles 5", "-detpixles: no such flag; did you mean -detpixels?"),
        ("-lambda", "-lambda takes a number, and got nothing"),
        ("-lambda one", "-lambda takes a number, and got 'one'"),
        ("-lambda -N 5", "-lambda takes a number, and got '-N'"),
        ("-lambda=1.0", "-lambda=1.0: write -lambda 1.0, with a blank"),
        ("-lambda 0", "-lambda 0: must be a number above 0"),
        ("-wavelength -1", "-wavelength -1: must be a number above 0"),
        ("-lambda 1e999", "-lambda inf: must be a finite number above 0"),
        ("-energy 0", "-energy 0: must be a number above 0"),
        ("-pixel 0", "-pixel 0: must be a number above 0"),
        ("-detsize 0", "-detsize 0: must be at least half a pixel (0.1 mm)"),
        ("-cell 70 80 -90", "-cell, value 3, -90: must be a number above 0"),
        ("-cell 70 80 x", "-cell takes 1 to 6 numbers, and got '70 80 x'"),
        ("-misset 1 2", "-misset takes 3 numbers or 'random', and got '1 2'"),
        ("-pivot middle", "-pivot takes 'beam' or 'sample', and got 'middle'"),
        ("-hkl", "-hkl takes the name of a file, and got nothing"),
        ("-hkl -lambda 1", "-hkl takes the name of a file, and got '-lambda'"),
        ("-roi 0 5 0", "-roi takes 4 whole numbers, and got '0 5 0'"),
        ("-fdet_vector 0 0 0", "-fdet_vector 0 0 0: a direction must not have length 0"),
        ("7", "'7' belongs to no flag; -default_F before it takes a number"),
        ("--fast", "--fast: no such flag, nanoBragg's have one dash"),
        ("--lambda 1", "--lambda: no such flag, nanoBragg's have one dash; did you mean -lambda?"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_flag(flags: str, said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        read(flags)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("-N 0", "-N 0: must be a whole number of at least 1"),
        ("-detpixels 0", "-detpixels 0: must be a whole number of at least 1"),
        ("-detpixels -64", "-detpixels -64: must be a whole number of at least 1"),
        ("-Na 2.5", "-Na 2.5: must be a whole number of at least 1"),
        ("-oversample 0", "-oversample 0: must be a whole number of at least 1"),
        ("-phisteps 0", "-phisteps 0: must be a whole number of at least 1"),
        ("-mosaic_seed -1", "-mosaic_seed -1: must be a whole number from 0 to 2147483646"),
        ("-polar 2", "-polar 2: must be a number from -1 to 1"),
        ("-distance -5", "-distance -5: must be a number above 0"),
        ("-distance 0", "-distance 0: must be a number above 0"),
        ("-close_distance -5", "-close_distance -5: must be a number above 0"),
        (
            "-roi 70 75 0 5 -detpixels 63",
            "-roi 70 75 0 5: fast_min fast_max slow_min slow_max (inclusive) must rise and lie "
            "inside the detector of 63 x 63 pixels (fast x slow)",
        ),
        (
            "-roi 0 5 0 64 -detpixels 63",
            "-roi 0 5 0 64: fast_min fast_max slow_min slow_max (inclusive) must rise and lie "
            "inside the detector of 63 x 63 pixels (fast x slow)",
        ),
    ],
)
def test_spec_refuses_what_nanobragg_mends(flags: str, said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        read(flags, "spec")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("flags", "mode", "said"),
    [
        ("-default_F 1", "c-parity", "no unit cell: give -cell"),
        ("-cell 70", "c-parity", "no structure factors: give -hkl FILE"),
        ("-cell 70 -dump no.bin", "spec", "no.bin does not exist"),
        ("-cell 70 -mat A.mat -default_F 1", "spec", "-cell and -mat are both given"),
        ("-cell 70 -mat A.mat", "c-parity", "no structure factors"),
    ],
)
def test_what_is_missing_is_asked_for(flags: str, mode: Mode, said: str, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=said):
        parse_nanobragg(shlex.split(flags), mode, tmp_path)


def test_an_alias_belongs_to_one_flag() -> None:
    names = [name for flag in FLAGS for name in flag.names]
    assert len(names) == len(set(names))
    for flag in FLAGS:
        for name in flag.names:
            assert find_flag(name.removesuffix("$")) is flag


def test_explain_says_what_was_chosen_what_quirks_do_and_what_contradicts() -> None:
    flags = "-cell 70 80 90 75 85 102 -default_F 100 -N 5 -Na 7 -lambda 1 -energy 9000 -fluence 1 "
    flags += "-flux 1e12 -detpixels 40 -pixel 1"
    text = "\n".join(explain_command(flags.split()))
    assert Experiment.from_toml(text.split("# Chosen")[0], Path("/")).crystal.cells == (7, 5, 5)
    assert "oversampling = " in text
    quirk = re.search(r"^cell_cstar: the sum is (\S+) times", text, re.MULTILINE)
    assert quirk is not None
    assert float(quirk.group(1)) != 1.0
    assert re.search(r"^no change: .*water_twice", text, re.MULTILINE)
    for said in ("-Na 7 after -N 5", "-energy 9000 after -lambda 1", "the flux counts"):
        assert said in text
    for said in ("distance = 100 mm (no -distance)", "interpolated = no", "floatimage.bin (no"):
        assert said in text
    for unsaid in ("(no -lambda)", "(no -N)", "(no -fluence)", "(no -detpixels)", "(no -pixel)"):
        assert unsaid not in text
    nothing = "\n".join(
        explain_command(["-cell", "70", "80", "90", "-default_F", "1", "-roi", "5", "3", "0", "9"])
    )
    for said in ("(no -lambda)", "(no -N)", "(no -fluence)", "(no -pixel)", "holds no pixel"):
        assert said in nothing
