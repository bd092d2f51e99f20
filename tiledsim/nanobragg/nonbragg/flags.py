"""nonBragg's flags (James Holton and Ken Frankel); units are those of the keys."""

from typing import Any, Final

from tiledsim.experiment.sections.part import Pivot
from tiledsim.nanobragg.command.flags import LARGEST_SEED, Flag, by_name


def _number(*names: str, keys: tuple[str, ...], pivot: Pivot | None = None) -> Flag:
    return Flag(names, "number", keys=keys, pivot=pivot)


def _count(*names: str, keys: tuple[str, ...]) -> Flag:
    return Flag(names, "whole number", keys=keys, minimum=1)


def _vector(name: str, key: str, *, idle: bool = False) -> Flag:
    return Flag((name,), "number", 3, 3, keys=(key,), idle=idle)


def _file(*names: str, key: str, **sets: Any) -> Flag:
    return Flag(names, "file", keys=(key,), sets=sets)


_SIDES: Final = ("side_f_mm", "side_s_mm")
_PIXELS: Final = ("pixels_f", "pixels_s")
NONBRAGG_FLAGS: Final = (
    _file("-stol$", key="stol_file", stol_unit="stol"),
    _file("-4stol$", key="stol_file", stol_unit="4stol"),
    _file("-Q$", key="stol_file", stol_unit="Q"),
    _number("-samplesize", "-sample_size", keys=("sample_x_mm", "sample_y_mm", "sample_z_mm")),
    _number("-thick", "-sample_thick", "-sample_x", keys=("sample_x_mm",)),
    _number("-width", "-sample_width", "-sample_y", keys=("sample_y_mm",)),
    _number("-heigh", "-sample_heigh", "-sample_z", keys=("sample_z_mm",)),
    _number("-density", "-sample_den", keys=("density_g_per_cm3",)),
    _number("-molecules", "-sample_molecules", keys=("molecules",)),
    _number("-MW$", "-molecular", keys=("molecular_weight_g_per_mol",)),
    _number("-lambda", "-wave", keys=("wavelength_A",)),
    _number("-energy", keys=("energy_eV",)),
    _number("-fluence", keys=("fluence_photons_per_m2",)),
    _number("-flux", keys=("flux_photons_per_s",)),
    _number("-exposure", keys=("exposure_s",)),
    _number("-beamsize", keys=("beamsize_mm",)),
    _number("-polar$", keys=("polarization",)),
    Flag(("-nopolar",), sets={"nopolar": True}),
    _number("-dispersion", keys=("dispersion_percent",)),
    _count("-dispsteps", keys=("dispersion_steps",)),
    _number("-divergence", keys=("hdiv_range_mrad", "vdiv_range_mrad")),
    _count("-divsteps", keys=("hdiv_steps", "vdiv_steps")),
    _number("-hdivrange", keys=("hdiv_range_mrad",)),
    _number("-hdivstep$", keys=("hdiv_step_mrad",)),
    _count("-hdivsteps", keys=("hdiv_steps",)),
    _number("-vdivrange", keys=("vdiv_range_mrad",)),
    _number("-vdivstep$", keys=("vdiv_step_mrad",)),
    _count("-vdivsteps", keys=("vdiv_steps",)),
    Flag(("-round_div",), sets={"round_divergence": True}),
    Flag(("-square_div",), sets={"round_divergence": False}),
    _file("-sourcefile", key="source_file"),
    _number("-source_distance", keys=("source_distance_mm",)),
    _vector("-fdet_vector", "fast_axis"),
    _vector("-sdet_vector", "slow_axis"),
    _vector("-odet_vector", "normal", idle=True),
    _vector("-beam_vector", "beam_direction"),
    _vector("-polar_vector", "polarization_axis"),
    _vector("-spindle_axis", "spindle_axis", idle=True),
    _vector("-twotheta_axis", "two_theta_axis"),
    _vector("-pix0_vector", "pix0", idle=True),
    _number("-pixel", keys=("pixel_mm",)),
    _number("-detsize$", keys=_SIDES),
    _number("-detsize_x", keys=_SIDES[:1]),
    _number("-detsize_y", keys=_SIDES[1:]),
    _count("-detpixels$", keys=_PIXELS),
    _count("-detpixels_x", "-detpixels_f", keys=_PIXELS[:1]),
    _count("-detpixels_y", "-detpixels_s", keys=_PIXELS[1:]),
    _number("-distance", keys=("distance_mm",), pivot="beam"),
    _number("-close_distance", keys=("close_distance_mm",), pivot="sample"),
    _number("-Xbeam", keys=("beam_x_mm",), pivot="beam"),
    _number("-Ybeam", keys=("beam_y_mm",), pivot="beam"),
    _number("-Xclose", keys=("close_x_mm",), pivot="sample"),
    _number("-Yclose", keys=("close_y_mm",), pivot="sample"),
    _number("-ORGX", keys=("org_x_px",), pivot="sample"),
    _number("-ORGY", keys=("org_y_px",), pivot="sample"),
    Flag(("-pivot",), "number", 0, 0, words=("beam", "sample"), keys=("pivot",)),
    _number("-detector_rotx", keys=("rotx_deg",)),
    _number("-detector_roty", keys=("roty_deg",)),
    _number("-detector_rotz", keys=("rotz_deg",)),
    _number("-twotheta", keys=("two_theta_deg",), pivot="sample"),
    Flag(("-point_pixel",), sets={"point_pixel": True}),
    Flag(("-roi",), "whole number", 4, 4, keys=("roi",)),
    _count("-oversample", keys=("oversample",)),
    _number("-phi$", keys=("phi_deg",)),
    _number("-osc", keys=("osc_deg",)),
    Flag(("-phistep$",), "number", idle=True),
    Flag(("-phisteps",), "whole number", minimum=1, idle=True),
    Flag(("-coherent",), idle=True),
    Flag(("-noreject",), idle=True),
    Flag(("-gain",), "number", idle=True),
    _file("-floatfile", "-floatimage", key="float_file"),
    _file("-intfile", "-intimage", key="int_file"),
    _file("-pgmfile", "-pgmimage", key="pgm_file"),
    _file("-noisefile", "-noiseimage", key="noise_file", nonoise=False),
    Flag(("-nonoise",), sets={"nonoise": True}),
    Flag(("-nopgm",), idle=True),
    _number("-scale", keys=("int_scale",)),
    _number("-pgmscale", keys=("pgm_scale",)),
    _number("-adc", keys=("adc",)),
    Flag(("-seed",), "whole number", keys=("seed",), minimum=0, maximum=LARGEST_SEED),
    Flag(("-printout",), sets={"printout": True}),
    Flag(
        ("-printout_pixel",), "whole number", 2, 2,
        keys=("printout_pixel",), minimum=0, sets={"printout": True},
    ),
    Flag(("-progress",), idle=True),
    Flag(("-noprogress",)),
)  # fmt: skip
NONBRAGG_TABLE: Final = by_name(NONBRAGG_FLAGS)
