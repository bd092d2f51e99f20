"""How finely pixels are sampled."""

from typing import Annotated, Literal

from pydantic import Field

from tiledsim.experiment.part import Count, NotNegative, Part, Switch

Oversampling = Annotated[Count, Field(le=10_000)]


class Sampling(Part):
    """How finely pixels are sampled, and nanoBragg's switches for the corrections."""

    oversample: Oversampling | Literal["auto"] = "auto"
    oversample_thick: Switch = False
    oversample_polar: Switch = False
    oversample_omega: Switch = False
    dmin_A: NotNegative = 0.0
