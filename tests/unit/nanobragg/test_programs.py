"""nanoBragg's companions: their flags, their quirks one by one, and bad input in one line."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.unit.command import refusal, tiledsim
from tiledsim.detector_model.counts import count_photons
from tiledsim.detector_model.serial.point_spread import SerialPsf, apply_serial_psf
from tiledsim.errors import ExperimentError, StoreError
from tiledsim.experiment import Detector, Noise, PointSpread
from tiledsim.nanobragg.command.flags import FLAGS, by_name, find_flag
from tiledsim.nanobragg.images.files import OutputFiles
from tiledsim.nanobragg.images.images import ImageRequest, write_images
from tiledsim.nanobragg.images.statistics import ImageStatistics
from tiledsim.nanobragg.noisify.flags import NOISIFY_FLAGS, NOISIFY_TABLE
from tiledsim.nanobragg.noisify.program import parse_noisify, run_noisify
from tiledsim.nanobragg.nonbragg.flags import NONBRAGG_FLAGS, NONBRAGG_TABLE
from tiledsim.nanobragg.nonbragg.program import parse_nonbragg, run_nonbragg
from tiledsim.nanobragg.program_quirks import NOISIFY_QUIRKS, NONBRAGG_QUIRKS
from tiledsim.scene.detector.noise import build_noise
from tiledsim.tile import Tile

PAGE = Path(__file__).parents[3] / "docs" / "nanobragg.md"
USAGE = {
    "nanobragg": "mat hkl misset cell default_F distance detsize detsize_f detsize_s detpixels "
    "detpixels_x detpixels_y pixel img mask detector_absorb detector_thick detector_thicksteps "
    "Xbeam Ybeam mosflm denzo xds ORGX ORGY twotheta N Na Nb Nc xtalsize square_xtal round_xtal "
    "gauss_xtal tophat_spots oversample oversample_thick oversample_polar oversample_omega lambda "
    "energy mosaic mosaic_domains dispersion dispsteps hdivrange vdivrange hdivstep vdivstep "
    "square_div phi osc phisteps water floatfile intfile scale adc polar noisefile pgmfile "
    "pgmscale nopgm roi printout seed mosaic_seed misset_seed fluence flux beamsize exposure "
    "nonoise noprogress nopolar nointerpolate interpolate point_pixel curved_det fdet_vector "
    "sdet_vector odet_vector beam_vector polar_vector spindle_axis pix0_vector",
    "nonbragg": "stol thickness samplesize density MW hdivrange vdivrange hdivstep vdivstep "
    "distance detsize pixel oversample lambda dispersion dispsteps fluence flux exposure beamsize "
    "sourcefile floatfile intfile pgmfile noisefile Xbeam Ybeam printout noprogress",
    "noisify": "floatfile scale gain readout_noise flicker calibration calib_seed seed adc "
    "distance detsize pixel psf psf_fwhm psf_radius lambda intfile pgmfile noisefile Xbeam Ybeam "
    "header",
}
"""The flags in the programs' own usage texts."""
PARSED = {
    "nanobragg": "4stol MW N Na Nb Nc ORGX ORGY Q Xbeam Xclose Ybeam Yclose adc adxv beam_vector "
    "beamsize binary_spots cell close_distance coherent curved_det default_F density "
    "denzo detector_abs detector_rotx detector_roty detector_rotz detector_thick "
    "detector_thicksteps detpixels detpixels_f detpixels_s detpixels_x detpixels_y "
    "detsize detsize_f detsize_s dials dispersion dispsteps distance divergence divsteps "
    "dmin dump energy exposure fdet_vector floatfile floatimage fluence flux fudge "
    "gauss_xtal hdivrange hdivstep hdivsteps heigh hkl img interpolate intfile intimage "
    "lambda mask mat misset misset_seed molec mosaic mosaic_dom mosaic_seed mosaic_spr "
    "mosaici mosflm nointerpolate noisefile noiseimage nonoise nopgm nopolar noprogress "
    "odet_vector osc oversample oversample_omega oversample_polar oversample_thick "
    "pgmfile pgmimage pgmscale phi phistep phisteps pivot pix0_vector pixel point_pixel "
    "polar polar_vector printout printout_pixel progress roi round_div round_xtal "
    "sample_den sample_heigh sample_size sample_thick sample_width sample_x sample_y "
    "sample_z samplesize scale sdet_vector seed sourcefile spindle_axis square_div "
    "square_xtal stol stolout thicksteps tophat_spots twotheta twotheta_axis vdivrange "
    "vdivstep vdivsteps water wave width xds xtal_heigh xtal_size xtal_thick xtal_width "
    "xtal_x xtal_y xtal_z xtalsize",
    "nonbragg": "4stol Fmap MW ORGX ORGY Q Xbeam Xclose Ybeam Yclose adc beam_vector beamsize "
    "close_distance coherent curved_det density detector_rotx detector_roty detector_rotz "
    "detpixels detpixels_f detpixels_s detpixels_x detpixels_y detsize detsize_x "
    "detsize_y dispersion dispsteps distance divergence divsteps energy exposure "
    "fdet_vector floatfile floatimage fluence flux gain hdivrange hdivstep hdivsteps "
    "heigh ignore img intfile intimage lambda molecular molecules noisefile noiseimage "
    "nonoise nopgm nopolar noprogress noreject odet_vector osc oversample pgmfile "
    "pgmimage pgmscale phi phistep phisteps pivot pix0_vector pixel point_pixel polar "
    "polar_vector printout printout_pixel progress roi round_div sample_den sample_heigh "
    "sample_molecules sample_size sample_thick sample_width sample_x sample_y sample_z "
    "samplesize scale sdet_vector seed source_distance sourcefile spindle_axis square_div "
    "stol stolout thick twotheta twotheta_axis vdivrange vdivstep vdivsteps wave width",
    "noisify": "Xbeam Ybeam adc badpix_seed bin bits calib_seed calibration detpixels detpixels_x "
    "detpixels_y detsize detsize_x detsize_y distance flicker floatfile floatimage "
    "fluence gain header hotpix_seed intfile intimage lambda noisefile noiseimage nonoise "
    "nopgm osc pgmfile pgmimage phi pixel psf psf_fw psf_rad psf_si psf_wi readnoi "
    "readout scale seed",
}
"""The flags that the programs' sources compare words with, most of them not in the usage texts."""
REFUSED = {"nonbragg": {"Fmap", "curved_det", "ignore", "img", "stolout"}}
"""Those that are not taken; the page says so."""
TABLES = {"nanobragg": by_name(FLAGS), "nonbragg": NONBRAGG_TABLE, "noisify": NOISIFY_TABLE}
ALL_FLAGS = {"nanobragg": FLAGS, "nonbragg": NONBRAGG_FLAGS, "noisify": NOISIFY_FLAGS}


@pytest.mark.parametrize("program", USAGE)
def test_every_flag_of_the_usage_text_is_known_and_on_the_page(program: str) -> None:
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (table,) = (part for part in section if part.startswith(f"Flags of `{program}`"))
    for name in USAGE[program].split():
        assert find_flag(f"-{name}", TABLES[program]) is not None, name
        assert f"`-{name}`" in table, name
    for flag in ALL_FLAGS[program]:
        assert f"`{flag.name}" in table, flag.name


@pytest.mark.parametrize("program", PARSED)
def test_every_flag_that_the_program_reads_is_taken_or_the_page_says_why_not(program: str) -> None:
    page = PAGE.read_text()
    refused = REFUSED.get(program, set())
    for name in PARSED[program].split():
        known = find_flag(f"-{name}", TABLES[program])
        assert (known is None) == (name in refused), name
        assert f"`-{name}" in page or (known is not None and f"`{known.name}`" in page), name
    assert set(USAGE[program].split()) & refused == set()


@pytest.mark.parametrize("quirk", [*NONBRAGG_QUIRKS, *NOISIFY_QUIRKS])
def test_every_quirk_is_on_the_page(quirk: str) -> None:
    assert f"`{quirk}`" in PAGE.read_text()


def amorphous(folder: Path, table: str, flags: str = "", without: str = "") -> np.ndarray:
    (folder / "a.stol").write_text(table)
    words = f"-stol a.stol -detpixels 12 -pixel 8 -distance 20 -nonoise {flags}".split()
    quirks = frozenset(NONBRAGG_QUIRKS) - set(without.split())
    command = parse_nonbragg(
        [*words, "-floatfile", str(folder / "f"), "-intfile", str(folder / "i"),
         "-pgmfile", str(folder / "p")], base=folder, quirks=quirks,
    )  # fmt: skip
    run_nonbragg(command)
    return np.fromfile(folder / "f", "<f4")


RISING = "0.0 1\n0.1 3\n0.2 4\n0.3 3\n"


def test_quirks_of_nonbragg_change_what_they_say(tmp_path: Path) -> None:
    falling = "0 20\n0.1 10\n0.2 1\n"
    assert amorphous(tmp_path, falling).min() < 0  # F runs through 0 in a straight line
    assert amorphous(tmp_path, falling, without="stol_linear_tail").min() > 0
    jump = "0 5\n0.2 5\n0.2000001 0\n0.4 0\n"
    wild = amorphous(tmp_path, jump, without="stol_linear_tail").max()
    tame = amorphous(tmp_path, jump, without="stol_linear_tail stol_overshoot").max()
    assert wild > 100 * tame
    for table, quirk, line in (
        ("0.1 1\n0.3 2\n0.2 1\n", "stol_unsorted", "line 3"),
        ("0.1 1\n0.1 2\n", "stol_unsorted", "line 2"),
        ("words here\n0.1 1\n", "stol_words", "line 1"),
    ):
        amorphous(tmp_path, table)
        with pytest.raises(ExperimentError, match=line):
            amorphous(tmp_path, table, without=quirk)
    assert amorphous(tmp_path, "# s F\n" + RISING, without="stol_words").size == 144
    (tmp_path / "s.txt").write_text("-1 0 0 2 1e-10\n-1 0 0 2 1e-10\n")
    heavy = amorphous(tmp_path, RISING, "-sourcefile s.txt")
    assert np.allclose(heavy, 2 * amorphous(tmp_path, RISING, "-sourcefile s.txt",
                                            "weights_unnormalised"), rtol=1e-6)  # fmt: skip
    assert amorphous(tmp_path, RISING, "-detpixels 90 -pixel 0.41").size == 91**2
    assert amorphous(tmp_path, RISING, "-detpixels 90 -pixel 0.41", "detsize_ceil").size == 90**2
    long = (amorphous(tmp_path, RISING), (tmp_path / "p").stat().st_size)[1]
    short = (amorphous(tmp_path, RISING, "", "pgm_long"), (tmp_path / "p").stat().st_size)[1]
    assert long - short == 144
    scales = []
    for quirk in ("", "rmsd_shifted"):
        amorphous(tmp_path, RISING, "-pixel 0.5 -distance 100", quirk)
        scales.append((tmp_path / "p").read_bytes().splitlines()[2])
    assert scales[0] != scales[1]  # the scale is by the rmsd


def noisy(folder: Path, image: np.ndarray, flags: str, without: str = "") -> np.ndarray:
    image.astype("<f4").tofile(folder / "in.bin")
    quirks = frozenset(NOISIFY_QUIRKS) - set(without.split())
    names = [w for k in ("int", "pgm", "noise") for w in (f"-{k}file", str(folder / k))]
    size = ["-detpixels_x", str(image.shape[1]), "-detpixels_y", str(image.shape[0])]
    words = ["-bin", str(folder / "in.bin"), *names, *size, *flags.split()]
    if "-nonoise" in words:
        del words[words.index("-noisefile") : words.index("-noisefile") + 2]
    run_noisify(parse_noisify(words, quirks=quirks))
    kind = "<u4" if "-bits 32" in flags else "<u2"
    file = folder / ("int" if "-nonoise" in flags else "noise")
    return np.frombuffer(file.read_bytes()[512:], kind).reshape(image.shape).astype(np.int64)


def test_quirks_of_noisify_change_what_they_say(tmp_path: Path) -> None:
    flat = np.full((8, 16), 1e5)
    run = "-scale 0.01 -seed 4 -flicker 0.2 -calibration 0.05"
    one, other = (noisy(tmp_path, flat, f"{run} -calib_seed {n}") for n in (1, 2))
    assert np.array_equal(one, other)  # the calibration's seed has no effect
    one, other = (noisy(tmp_path, flat, f"{run} -calib_seed {n}", "calibration_shared")
                  for n in (1, 2))  # fmt: skip
    assert not np.array_equal(one, other)
    assert not np.array_equal(
        noisy(tmp_path, flat, "-scale 0.01 -seed 4"),
        noisy(tmp_path, flat, "-scale 0.01 -seed 4", "calibration_default"),
    )
    spread = noisy(tmp_path, flat, "-seed 4 -scale 0.1 -flicker 0.2 -calibration 0").std()
    once = noisy(tmp_path, flat, "-seed 4 -scale 0.1 -flicker 0.2 -calibration 0",
                 "flicker_per_pixel").std()  # fmt: skip
    assert spread > 5 * once
    dark = "-nonoise -gain 1 -adc -50"
    assert noisy(tmp_path, 0 * flat, dark).max() == 65486
    assert noisy(tmp_path, 0 * flat, dark, "adu_wraps").max() == 0
    bright = "-nonoise -bits 32 -scale 10"
    assert noisy(tmp_path, flat, bright).max() == 65535
    assert noisy(tmp_path, flat, bright, "int32_clipped_16").max() == 1_000_040
    edge = np.zeros((8, 16))
    edge[3, 15] = 1e4
    psf = "-nonoise -adc 0 -psf gauss -psf_fwhm 200 -psf_radius 4"
    assert noisy(tmp_path, edge, psf)[4, 0] > noisy(tmp_path, edge, psf, "psf_wraps")[4, 0]
    with pytest.raises(ExperimentError, match="psf_dark_crash"):
        noisy(tmp_path, flat * 1e-8, "-nonoise -psf gauss")
    noisy(tmp_path, flat * 1e-8, "-nonoise -psf gauss", "psf_dark_crash")


def test_noise_of_the_mode_spec_is_that_of_a_noise_section(tmp_path: Path) -> None:
    image = np.full((40, 50), 30.0, dtype=np.float32)
    image.tofile(tmp_path / "in.bin")
    words = "-bin in.bin -detpixels_x 50 -detpixels_y 40 -seed 4 -calibration 0.02 -adc 10 -gain 2 "
    words += "-readout 1 -psf fiber -psf_fwhm 60 -psf_radius 3"
    files = [word for kind in ("int", "pgm", "noise") for word in (f"-{kind}file", f"{kind}.out")]
    run_noisify(parse_noisify([*words.split(), *files], base=tmp_path, mode="spec"))
    noise = Noise(
        seed=4, calibration_percent=2.0, adc_adu=10.0, gain_adu_per_photon=2.0, readout_adu=1.0,
        saturation_adu=65535,
        point_spread=PointSpread(kind="fiber", fwhm_um=60.0, radius_px=3),
    )  # fmt: skip
    parts = build_noise(noise, Detector(size_px=(50, 40), pixel_mm=0.1))
    assert parts.model is not None
    tile = Tile(0, 0, 0, 40, 0, 50)
    expected = count_photons(parts.model, image, tile, (1, 1, 40, 50), spread=parts.spread).pixels
    found = np.frombuffer((tmp_path / "noise.out").read_bytes()[512:], "<u2").reshape(40, 50)
    np.testing.assert_array_equal(found, expected)


def test_noise_of_nanobragg_and_nonbragg_in_the_mode_spec(tmp_path: Path) -> None:
    image = np.random.default_rng(1).uniform(0, 80, (600, 20)).astype(np.float32)
    image[0, 3] = 1e6
    roi = (2, 18, 1, 599)
    request = ImageRequest(
        int_file=None, pgm_file=None, noise_file=tmp_path / "n", adc=12.0, noise_seed=9, mode="spec"
    )
    found = ImageStatistics(80.0, 0, 0, 1.0, 1.0, 1.0)
    with OutputFiles() as files:
        write_images(image, roi, found, bytes(512), request, files)
    counts = np.frombuffer((tmp_path / "n").read_bytes()[512:], "<u2").reshape(600, 20)
    parts = build_noise(Noise(seed=9, adc_adu=12.0), Detector(size_px=(20, 600)))
    assert parts.model is not None
    expected = count_photons(parts.model, image, Tile(0, 0, 0, 600, 0, 20), (1, 1, 600, 20)).pixels
    inside = np.s_[1:600, 2:19]
    np.testing.assert_array_equal(counts[inside], expected[inside])
    assert counts.sum() == counts[inside].sum()


def test_the_light_outside_the_radius_is_spread_evenly() -> None:
    image = np.zeros((41, 41), dtype=np.float32)
    image[20, 20] = 1e4
    image[5, 7] = 3.0
    for shape in ("gauss", "fiber"):
        spread = {
            by_value: apply_serial_psf(
                image, SerialPsf(shape=shape, fwhm_px=2.0, radius_by_value=by_value)
            ).image
            for by_value in (True, False)
        }
        assert not np.array_equal(spread[True], spread[False])
        even, lost = (
            apply_serial_psf(
                image, SerialPsf(shape=shape, fwhm_px=2.0, radius_px=2, spread_evenly=on)
            )
            for on in (True, False)
        )
        more = even.image.sum(dtype=np.float64) - lost.image.sum(dtype=np.float64)
        assert more == pytest.approx(even.lost, rel=1e-4)


def run(program: str, flags: list[str], base: Path) -> None:
    if program == "nonbragg":
        run_nonbragg(parse_nonbragg(flags, base))
    else:
        run_noisify(parse_noisify(flags, base))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nonbragg -lambda 1", "no table of F"),
        ("nonbragg -stol no.stol", "no.stol does not exist"),
        ("nonbragg -stol a.stol -densty 1", "did you mean -density"),
        ("nonbragg -stol a.stol -floatfile no/f.bin", "folder must exist"),
        ("nonbragg -stol a.stol -roi 5 2 0 0 -detpixels 9", "must rise"),
        ("nonbragg -stol a.stol -thickness 0", "-thickness 0: must be above 0"),
        ("noisify -scale 1", "no float image"),
        ("noisify -bin no.bin", "no.bin does not exist"),
        ("noisify -bin a.bin -detpixels 99", "99 x 99 are needed"),
        ("noisify -bin a.bin -bits 24", "16 or 32"),
        ("noisify -bin a.bin -header a.stol", "not an SMV image"),
        ("noisify -bin nan.bin", "no finite number"),
        ("noisify -bin a.bin -noisefile no/n.img", "folder must exist"),
    ],
)
def test_bad_input_leaves_nothing(words: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.stol").write_text(RISING)
    np.ones(64, "<f4").tofile(tmp_path / "a.bin")
    np.full(64, np.nan, "<f4").tofile(tmp_path / "nan.bin")
    before = sorted(tmp_path.iterdir())
    program, *flags = words.split()
    with pytest.raises((ExperimentError, StoreError), match=re.escape(said)):
        run(program, flags, tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_the_commands(tmp_path: Path) -> None:
    (tmp_path / "a.stol").write_text(RISING)
    done = tiledsim("nonbragg", "-stol", "a.stol", "-detpixels", "8", "-seed", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "photons on noise image" in done.stdout
    done = tiledsim("noisify", "floatimage.bin", "-detpixels", "8", "-seed", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--quirks stol_word: no such quirk; did you mean 'stol_words'?" in refusal(
        "nonbragg", "-stol", "a.stol", "--quirks", "stol_word", cwd=tmp_path
    )
