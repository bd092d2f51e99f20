"""What makes counts of the expected photons: noise, electronics, point spread, pixels that fail."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiledsim.experiment.sections.part import (
    Count,
    File,
    NotNegative,
    Part,
    Positive,
    Real,
    Switch,
    Whole,
)

PixelValue = Annotated[Whole, Field(ge=-(2**31), le=2**32 - 1)]
Seed = Annotated[Whole, Field(ge=0, le=2**32 - 1)]
LayoutName = Literal[
    "pilatus_300k", "pilatus_1m", "pilatus_2m", "pilatus_6m", "eiger_1m", "eiger_4m", "eiger_9m",
    "eiger_16m", "eiger2_4m", "eiger2_9m", "eiger2_16m",
]  # fmt: skip


class PointSpread(Part):
    """How far light of one pixel reaches."""

    kind: Literal["gaussian", "fiber"] | None = None
    """The shape of the kernel."""
    fwhm_um: Positive = 46.0
    """Full width at half maximum."""
    tail: Annotated[Real, Field(gt=0, lt=1)] | None = None
    """Share of the light that may lie outside the radius: 1e-6 (gaussian), 0.01 (fiber)."""
    radius_px: Count | None = None
    """Of the kernel, in place of tail."""
    kernel_file: File | None = None
    """A kernel of one's own: text or .npy, odd numbers of rows and columns."""
    edges: Literal["lost", "reflected"] = "lost"
    """What becomes of light that leaves a panel."""

    @model_validator(mode="after")
    def _one_kernel(self) -> Self:
        if self.kind is not None and self.kernel_file is not None:
            raise ValueError("kind and kernel_file are both given; give one")
        if self.radius_px is not None and self.tail is not None:
            raise ValueError("radius_px and tail are both given; give one")
        return self


class Noise(Part):
    """Counts instead of expected photons.  A section without keys counts photons, and no more."""

    mode: Literal["spec", "c-parity"] | None = None
    """`spec`: Philox, any tile by itself; `c-parity`: nanoBragg's and noisify's serial generator,
    for photons that are stored.  By default that of the experiment."""
    seed: Seed = 1
    """With the shot, the key of all deviates but the calibration's."""
    poisson: Switch = True
    """Count photons; false keeps expected values."""
    flicker_percent: NotNegative = 0.0
    """σ of the beam's intensity, one factor a shot."""
    calibration_percent: NotNegative = 0.0
    """σ of the pixels' sensitivity, the same in every shot."""
    calibration_seed: Seed = 123456789
    """Of the pixels' sensitivity."""
    gain_adu_per_photon: Positive = 1.0
    """ADU = photons·gain + offset + readout."""
    adc_adu: NotNegative = 0.0
    """Offset of every pixel."""
    readout_adu: NotNegative = 0.0
    """σ of the readout."""
    bits: Annotated[Whole, Field(ge=1, le=32)] = 16
    """Of the converter: the largest value is 2^bits − 1."""
    saturation_adu: Count | None = None
    """Largest value, in place of bits."""
    image: Literal["auto", "uint16", "uint32", "int32"] = "auto"
    """Type of the stored pixels; by bits where auto."""
    gap_value: PixelValue | None = None
    """Of pixels between modules; the largest of the type, −1 for int32."""
    dead_value: PixelValue = 0
    """Of dead pixels; hot ones have the largest value."""
    modules: tuple[Count, Count, Count] | tuple[Count, Count, Count, Count] | LayoutName | None = (
        None
    )
    """Modules across and down, pixels between (fast, then slow where it differs); or a name."""
    gap_file: File | None = None
    """Pixels without a sensor: those that are not 0 in .npy or SMV."""
    dead_file: File | None = None
    """Pixels that count nothing."""
    hot_file: File | None = None
    """Pixels that are always full."""
    point_spread: PointSpread = PointSpread()
    """Light that reaches neighbours."""
