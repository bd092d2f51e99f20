"""What nonBragg and noisify do otherwise than they mean to, each a switch (docs/nanobragg.md)."""

from collections.abc import Mapping
from typing import Final

NONBRAGG_QUIRKS: Final[Mapping[str, str]] = {
    "stol_linear_tail": "beyond the table F is a straight line; else it keeps its end value",
    "stol_overshoot": "F is a cubic through four points; else a straight line between two",
    "stol_unsorted": "a table out of order is used as it is; else it is refused",
    "stol_words": "words in a table are zeros; else they are refused, and # starts a comment",
    "weights_unnormalised": "source weights are divided by their number; else by their sum",
    "detsize_ceil": "the number of pixels is rounded up after a division; else it is as given",
    "pgm_long": "the pgm has two bytes a pixel; else one",
    "rmsd_shifted": "rmsd is that of the pixel after the one meant; else of the pixel itself",
}

NOISIFY_QUIRKS: Final[Mapping[str, str]] = {
    "calibration_shared": "calibration and noise share one generator; else each has its own",
    "calibration_default": "the default calibration seed starts as 1; else as it is written",
    "flicker_per_pixel": "the beam's flicker is drawn for each pixel; else once an image",
    "psf_wraps": "light that leaves on the right enters the next row on the left; else it is lost",
    "psf_lost_evenly": "what lies outside the radius is spread over the image; else it is lost",
    "psf_radius_by_value": "a pixel's own value sets its radius; else the largest one sets all",
    "psf_dark_crash": "a value below 0.01 stops an automatic Gaussian; else its radius is 1",
    "adu_wraps": "values below 0 wrap to large ones; else they are 0",
    "int32_clipped_16": "the noiseless image of 32 bits stops at 65535; else at 2147483647",
    "seeds_dead": "-badpix_seed and -hotpix_seed change nothing, here either",
}
