"""How finely pixels are sampled."""

from typing import Annotated, Literal

from pydantic import Field

from tiledsim.experiment.sections.part import Count, NotNegative, Part, Switch

Oversampling = Annotated[Count, Field(le=10_000)]


class Sampling(Part):
    """How finely pixels are sampled, and nanoBragg's switches for the corrections."""

    oversample: Oversampling | Literal["auto"] = "auto"
    """Subpixels along each side of a pixel; by spot size where auto."""
    oversample_thick: Switch = False
    """Absorption for each subpixel, as nanoBragg's switch; spec always does."""
    oversample_polar: Switch = False
    """Polarization for each subpixel, as nanoBragg's switch; spec always does."""
    oversample_omega: Switch = False
    """Solid angle for each subpixel, as nanoBragg's switch; spec always does."""
    dmin_A: NotNegative = 0.0
    """Steps of higher resolution are left out; 0: none."""
    tolerance_photons: NotNegative | None = None
    """Bound of the error of every pixel; 0: every step is evaluated.  By default 1e-3, and 0 in the
    mode c-parity."""
    tolerance: NotNegative | None = None
    """F²·F_latt² of steps that may be left out, over that of the strongest reflection.  By default
    1e-6, and 0 in the mode c-parity."""
