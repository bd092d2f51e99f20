"""What -mask and -img give by their headers, and what flags then override."""

from pathlib import Path

import pytest

from tiledsim.errors import InputFileError
from tiledsim.nanobragg.command.command import parse_nanobragg
from tiledsim.quirks import Mode

HEADER = """{
HEADER_BYTES=512;
DIM=2;
BYTE_ORDER=little_endian;
TYPE=unsigned_short;
SIZE1=40;
SIZE2=30;
PIXEL_SIZE=0.2;
DISTANCE=90;
WAVELENGTH=1.25;
BEAM_CENTER_X=4.5;
BEAM_CENTER_Y=2.5;
XDS_ORGX=22;
XDS_ORGY=13;
CLOSE_DISTANCE=88;
PHI=5;
OSC_RANGE=0.5;
TWOTHETA=10;
}\f"""


def image(path: Path, text: str = HEADER) -> Path:
    path.write_bytes(text.encode().ljust(512) + bytes(2 * 40 * 30))
    return path


def read(path: Path, flags: str, mode: Mode = "c-parity"):  # type: ignore[no-untyped-def]
    argv = ["-cell", "70", "-default_F", "1", *flags.split()]
    return parse_nanobragg(argv, mode, path.parent)


@pytest.mark.parametrize(("flag", "beam_y"), [("-img", 2.5), ("-mask", 30 * 0.2 - 2.5)])
def test_a_header_gives_the_geometry(tmp_path: Path, flag: str, beam_y: float) -> None:
    path = image(tmp_path / "a.img")
    command = read(path, f"{flag} a.img")
    experiment, detector = command.experiment, command.experiment.detector
    assert detector.size_px == (40, 30)
    assert detector.pixel_mm == 0.2
    assert detector.distance_mm == 88.0  # nanoBragg finds CLOSE_DISTANCE when it looks for DISTANCE
    assert detector.close_distance_mm == 88.0
    assert (detector.beam_x_mm, detector.beam_y_mm) == (4.5, pytest.approx(beam_y))
    assert (detector.org_x_px, detector.org_y_px) == (22.0, 13.0)
    assert experiment.beam.wavelength_A == 1.25
    assert (experiment.rotation.start_deg, experiment.rotation.range_deg) == (5.0, 0.5)
    assert detector.two_theta_deg == 0.0
    assert "TWOTHETA" in command.notes[0]
    assert detector.mask_file == (path if flag == "-mask" else None)
    plain = read(path, f"{flag} a.img", "spec").experiment.detector
    assert (plain.distance_mm, plain.close_distance_mm, plain.org_x_px) == (90.0, None, None)
    near = read(path, f"{flag} a.img -ORGX 3 -ORGY 4 -close_distance 70", "spec").experiment
    assert near.detector.close_distance_mm == 70.0
    assert (near.detector.org_x_px, near.detector.beam_x_mm) == (3.0, None)


def test_flags_override_headers_wherever_they_stand(tmp_path: Path) -> None:
    path = image(tmp_path / "a.img")
    command = read(path, "-distance 50 -detpixels_x 20 -energy 10000 -img a.img")
    experiment = command.experiment
    assert experiment.detector.distance_mm == 50.0
    assert experiment.detector.size_px == (20, 30)
    assert (experiment.beam.energy_eV, experiment.beam.wavelength_A) == (10000.0, None)


def test_the_image_overrides_the_mask(tmp_path: Path) -> None:
    image(tmp_path / "mask.img")
    path = image(tmp_path / "a.img", HEADER.replace("WAVELENGTH=1.25", "WAVELENGTH=2"))
    assert read(path, "-img a.img -mask mask.img").experiment.beam.wavelength_A == 2.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "not an SMV image"),
        (
            HEADER.replace("HEADER_BYTES=512", "HEADER_BYTES=99999"),
            "HEADER_BYTES=99999 in a file of",
        ),
        (HEADER.replace("SIZE1=40;\n", ""), "SIZE1 in its header must be a whole number above 0"),
        (HEADER.replace("PIXEL_SIZE=0.2", "PIXEL_SIZE=small"), "PIXEL_SIZE=small .* not a number"),
    ],
)
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = image(tmp_path / "a.img", text)
    with pytest.raises(InputFileError, match=said):
        read(path, "-img a.img")


def test_a_header_that_cannot_be_true_names_its_keyword(tmp_path: Path) -> None:
    path = image(tmp_path / "a.img", HEADER.replace("WAVELENGTH=1.25", "WAVELENGTH=0"))
    with pytest.raises(ValueError, match=r"WAVELENGTH in the header of a\.img 0: must be"):
        read(path, "-img a.img")


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"^mask file .*no\.img does not exist"):
        read(tmp_path / "a", "-mask no.img")
