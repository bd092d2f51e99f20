"""noisify's command line (James Holton): its flags, their units and defaults."""

from typing import Final

from tiledsim.nanobragg.command.flags import LARGEST_SEED, Flag, by_name

MM: Final = 1000.0


def _number(*names: str, key: str) -> Flag:
    return Flag(names, "number", keys=(key,))


def _seed(name: str, key: str, *, idle: bool = False) -> Flag:
    return Flag((name,), "whole number", keys=(key,), minimum=0, maximum=LARGEST_SEED, idle=idle)


def _count(name: str, *keys: str) -> Flag:
    return Flag((name,), "whole number", keys=keys, minimum=1)


def _file(*names: str, key: str) -> Flag:
    return Flag(names, "file", keys=(key,))


NOISIFY_FLAGS: Final = (
    _file("-floatfile", "-floatimage", "-bin", key="float_file"),
    _file("-header", key="header_file"),
    _file("-intfile", "-intimage", key="int_file"),
    _file("-pgmfile", "-pgmimage", key="pgm_file"),
    _file("-noisefile", "-noiseimage", key="noise_file"),
    Flag(("-nonoise",), sets={"nonoise": True}),
    Flag(("-nopgm",), sets={"nopgm": True}),
    Flag(("-bits",), "whole number", keys=("bits",), minimum=16, maximum=32),
    _number("-fluence", key="fluence"),
    _number("-scale", key="scale"),
    _number("-gain", key="gain"),
    _number("-adc", key="adc"),
    _number("-readout", "-readnoi", key="readout"),
    _number("-flicker", key="flicker"),
    _number("-calibration", key="calibration"),
    _seed("-seed", "seed"),
    _seed("-calib_seed", "calibration_seed"),
    _seed("-badpix_seed", "badpix_seed", idle=True),
    _seed("-hotpix_seed", "hotpix_seed", idle=True),
    Flag(("-psf$",), "number", 0, 0, words=("gauss", "fiber"), keys=("psf",)),
    _number("-psf_fw", "-psf_si", "-psf_wi", key="psf_fwhm_um"),
    _number("-psf_rad", key="psf_radius_px"),
    _number("-distance", key="distance_mm"),
    Flag(("-detsize$",), "number", keys=("side_x_mm", "side_y_mm")),
    _number("-detsize_x", key="side_x_mm"),
    _number("-detsize_y", key="side_y_mm"),
    _count("-detpixels$", "pixels_x", "pixels_y"),
    _count("-detpixels_x", "pixels_x"),
    _count("-detpixels_y", "pixels_y"),
    _number("-pixel", key="pixel_mm"),
    _number("-Xbeam", key="beam_x_mm"),
    _number("-Ybeam", key="beam_y_mm"),
    _number("-lambda", key="wavelength_A"),
    _number("-phi", key="phi_deg"),
    _number("-osc", key="osc_deg"),
)
NOISIFY_TABLE: Final = by_name(NOISIFY_FLAGS)
