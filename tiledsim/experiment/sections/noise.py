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
    fwhm_um: Positive = 46.0
    tail: Annotated[Real, Field(gt=0, lt=1)] | None = None
    """Share of the light that may lie outside the radius: 1e-6 (gaussian), 0.01 (fiber)."""
    radius_px: Count | None = None
    kernel_file: File | None = None
    edges: Literal["lost", "reflected"] = "lost"

    @model_validator(mode="after")
    def _one_kernel(self) -> Self:
        if self.kind is not None and self.kernel_file is not None:
            raise ValueError("kind and kernel_file are both given; give one")
        if self.radius_px is not None and self.tail is not None:
            raise ValueError("radius_px and tail are both given; give one")
        return self


class Noise(Part):
    """Counts instead of expected photons.  A section without keys counts photons, and no more."""

    seed: Seed = 1
    poisson: Switch = True
    flicker_percent: NotNegative = 0.0
    calibration_percent: NotNegative = 0.0
    calibration_seed: Seed = 123456789
    gain_adu_per_photon: Positive = 1.0
    adc_adu: NotNegative = 0.0
    readout_adu: NotNegative = 0.0
    bits: Annotated[Whole, Field(ge=1, le=32)] = 16
    saturation_adu: Count | None = None
    image: Literal["auto", "uint16", "uint32", "int32"] = "auto"
    gap_value: PixelValue | None = None
    dead_value: PixelValue = 0
    modules: tuple[Count, Count, Count] | tuple[Count, Count, Count, Count] | LayoutName | None = (
        None
    )
    """Modules across and down, pixels between (fast, then slow where it differs); or a name."""
    gap_file: File | None = None
    dead_file: File | None = None
    hot_file: File | None = None
    point_spread: PointSpread = PointSpread()
