"""How finely pixels are sampled."""

from typing import Literal

from tiledsim.experiment.part import Count, NotNegative, Part


class Sampling(Part):
    """How finely pixels are sampled, and nanoBragg's switches for the corrections."""

    oversample: Count | Literal["auto"] = "auto"
    oversample_thick: bool = False
    oversample_polar: bool = False
    oversample_omega: bool = False
    dmin_A: NotNegative = 0.0
