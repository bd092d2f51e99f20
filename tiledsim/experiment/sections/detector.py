"""The detector: pixels, panels, sensor, mask, and where it stands."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiledsim.experiment.sections.part import (
    Axis,
    Convention,
    Count,
    File,
    NotNegative,
    Part,
    Pivot,
    Positive,
    Real,
    Switch,
    Vector,
    Whole,
)

Layers = Annotated[Count, Field(le=100_000)]


class Sensor(Part):
    """Absorption in a sensor of some thickness, in layers."""

    material: Literal["Si", "GaAs", "CdTe"] | None = None
    """In place of depth_um: what its photoabsorption is at the beam's central wavelength."""
    depth_um: NotNegative | None = None
    """Attenuation length 1/μ."""
    thickness_um: NotNegative = 0.0
    """0: every photon is counted where it enters."""
    layers: Layers | None = None
    """Depths that photons are captured at; two by default."""

    @model_validator(mode="after")
    def _one_attenuation(self) -> Self:
        if self.material is not None and self.depth_um is not None:
            raise ValueError("material and depth_um are both given; give one")
        return self


Rectangle = tuple[Whole, Whole, Whole, Whole]
"""Pixels: fast_min, fast_max, slow_min, slow_max, inclusive."""


class Panel(Part):
    """One panel of a detector of several: the corner of its pixel 0,0 and its axes, in the lab.

    A panel may have fewer pixels than ``detector.size_px``; those that it lacks are masked.
    """

    origin_mm: Vector
    """The outer corner of pixel 0,0, in the laboratory."""
    fast_axis: Axis
    """Along which pixels follow each other in a row."""
    slow_axis: Axis
    """Along which rows follow each other."""
    size_px: tuple[Count, Count] | None = None
    """Pixels along fast and slow, where it has fewer than the detector."""
    pixel_mm: Positive | tuple[Positive, Positive] | None = None
    """Sides of its pixels, along fast and slow; None: squares of ``detector.pixel_mm``."""
    masked_px: tuple[Rectangle, ...] = ()
    """Rectangles without a measurement."""


class Detector(Part):
    """The detector: its pixels, where it stands and how it is turned.

    ``geometry`` (a file) and ``model`` (a name) stand for other keys, which an experiment has in
    their place: see :mod:`tiledsim.geometry_files.expand`.
    """

    geometry: File | None = None
    """A file of another program that says where the detector stands."""
    model: str | None = None
    """A detector by name: pixels, size, modules, sensor."""

    convention: Convention = "mosflm"
    """The vectors before any rotation and the meaning of the beam centre."""
    pixel_mm: Positive = 0.1
    """Edge of the square pixels."""
    size_px: tuple[Count, Count] = (1024, 1024)
    """Pixels along fast and slow."""
    distance_mm: Real = 100.0
    """Along the beam; above 0, or 0 in the mode c-parity (see Experiment)."""
    close_distance_mm: Real | None = None
    """Along the normal; in place of distance_mm; above 0, or any in the mode c-parity."""
    beam_x_mm: Real | None = None
    """Beam centre in the convention's x; the middle by default."""
    beam_y_mm: Real | None = None
    """Beam centre in the convention's y; the middle by default."""
    near_x_mm: Real | None = None
    """Point of the detector that is nearest to the sample, in the convention's x."""
    near_y_mm: Real | None = None
    """The same in y."""
    org_x_px: Real | None = None
    """XDS's ORGX: the nearest point along fast, pixels counted from 1."""
    org_y_px: Real | None = None
    """XDS's ORGY: the nearest point along slow, pixels counted from 1."""
    pivot: Pivot | None = None
    """What keeps its place when the detector turns: the beam's spot or the sample's distance."""
    rotation_deg: Vector = (0.0, 0.0, 0.0)
    """About the laboratory's x, y and z, in this order."""
    two_theta_deg: Real = 0.0
    """About the 2θ axis, after the other rotations."""
    fast_axis: Axis | None = None
    """In place of the convention's; convention custom."""
    slow_axis: Axis | None = None
    """In place of the convention's; convention custom."""
    normal: Axis | None = None
    """Away from the sample; fast × slow by default; convention custom."""
    two_theta_axis: Axis | None = None
    """In place of the convention's; convention custom."""
    pix0_mm: Vector | None = None
    """The outer corner of pixel 0,0, in place of distance and beam centre."""
    panels: tuple[Panel, ...] = ()
    """Several panels, each where it stands."""
    curved: Switch = False
    """Bent about the sample, every pixel at the distance, as nanoBragg's -curved_det."""
    point_pixel: Switch = False
    """Leave out the obliquity of pixels: Ω = 1/R²."""
    sensor: Sensor = Sensor()
    """Absorption in the sensor."""
    roi: tuple[Whole, Whole, Whole, Whole] | None = None
    """Pixels that are rendered: fast_min, fast_max, slow_min, slow_max, inclusive."""
    mask_file: File | None = None
    """SMV or .npy; pixels of value 0 are not rendered."""
    masked_px: tuple[Rectangle, ...] = ()
    """Rectangles that are not rendered: fast_min, fast_max, slow_min, slow_max."""

    @model_validator(mode="after")
    def _rectangles_inside(self) -> Self:
        regions: list[tuple[int | None, tuple[int, int], tuple[Rectangle, ...]]]
        regions = [(None, self.size_px, self.masked_px)]
        regions += [(n, p.size_px or self.size_px, p.masked_px) for n, p in enumerate(self.panels)]
        for number, (fast, slow), rectangles in regions:
            name = "masked_px" if number is None else f"panels[{number}].masked_px"
            if number is not None and (fast > self.size_px[0] or slow > self.size_px[1]):
                raise ValueError(
                    f"panels[{number}].size_px = [{fast}, {slow}] is larger than size_px = "
                    f"{list(self.size_px)}, which is that of the largest panel"
                )
            for f0, f1, s0, s1 in rectangles:
                if not (0 <= f0 <= f1 < fast and 0 <= s0 <= s1 < slow):
                    raise ValueError(
                        f"{name} = {[f0, f1, s0, s1]} (fast_min, fast_max, slow_min, slow_max, "
                        f"inclusive) is not inside {fast} x {slow} pixels (fast x slow)"
                    )
        return self

    @property
    def pixel_sides_mm(self) -> tuple[tuple[float, float], ...]:
        """Sides of the pixels of every panel, along fast and slow."""
        square = (self.pixel_mm, self.pixel_mm)
        if not self.panels:
            return (square,)
        return tuple(
            square
            if panel.pixel_mm is None
            else panel.pixel_mm
            if isinstance(panel.pixel_mm, tuple)
            else (panel.pixel_mm, panel.pixel_mm)
            for panel in self.panels
        )

    @property
    def coarsest_pixel_mm(self) -> float:
        """The longest side of a pixel."""
        return max(max(sides) for sides in self.pixel_sides_mm)

    @model_validator(mode="after")
    def _roi_inside(self) -> Self:
        if self.roi is None or self.roi_is_empty:
            return self
        fast_min, fast_max, slow_min, slow_max = self.roi
        fast, slow = self.size_px
        if not (0 <= fast_min <= fast_max < fast and 0 <= slow_min <= slow_max < slow):
            raise ValueError(
                f"roi = {list(self.roi)} (fast_min, fast_max, slow_min, slow_max, inclusive) "
                f"is not inside a detector of {fast} x {slow} pixels (fast x slow)"
            )
        return self

    @property
    def roi_is_empty(self) -> bool:
        """Whether the region of interest holds no pixel, as the mode c-parity allows."""
        roi = self.roi
        return roi is not None and (roi[0] > roi[1] or roi[2] > roi[3])
