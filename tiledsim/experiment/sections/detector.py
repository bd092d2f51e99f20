"""The detector: pixels, panels, sensor, mask, and where it stands."""

from typing import Annotated, Self

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

    depth_um: NotNegative | None = None
    thickness_um: NotNegative = 0.0
    layers: Layers | None = None


Rectangle = tuple[Whole, Whole, Whole, Whole]
"""Pixels: fast_min, fast_max, slow_min, slow_max, inclusive."""


class Panel(Part):
    """One panel of a detector of several: the corner of its pixel 0,0 and its axes, in the lab.

    A panel may have fewer pixels than ``detector.size_px``; those that it lacks are masked.
    """

    origin_mm: Vector
    fast_axis: Axis
    slow_axis: Axis
    size_px: tuple[Count, Count] | None = None
    masked_px: tuple[Rectangle, ...] = ()


class Detector(Part):
    """The detector: its pixels, where it stands and how it is turned.

    ``geometry`` (a file) and ``model`` (a name) stand for other keys, which an experiment has in
    their place: see :mod:`tiledsim.geometry_files.expand`.
    """

    geometry: File | None = None
    model: str | None = None

    convention: Convention = "mosflm"
    pixel_mm: Positive = 0.1
    size_px: tuple[Count, Count] = (1024, 1024)
    distance_mm: Positive = 100.0
    close_distance_mm: Positive | None = None
    beam_x_mm: Real | None = None
    beam_y_mm: Real | None = None
    near_x_mm: Real | None = None
    near_y_mm: Real | None = None
    org_x_px: Real | None = None
    org_y_px: Real | None = None
    pivot: Pivot | None = None
    rotation_deg: Vector = (0.0, 0.0, 0.0)
    two_theta_deg: Real = 0.0
    fast_axis: Axis | None = None
    slow_axis: Axis | None = None
    normal: Axis | None = None
    two_theta_axis: Axis | None = None
    pix0_mm: Vector | None = None
    panels: tuple[Panel, ...] = ()
    curved: Switch = False
    point_pixel: Switch = False
    sensor: Sensor = Sensor()
    roi: tuple[Whole, Whole, Whole, Whole] | None = None
    mask_file: File | None = None
    masked_px: tuple[Rectangle, ...] = ()

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

    @model_validator(mode="after")
    def _roi_inside(self) -> Self:
        if self.roi is not None:
            fast_min, fast_max, slow_min, slow_max = self.roi
            fast, slow = self.size_px
            if not (0 <= fast_min <= fast_max < fast and 0 <= slow_min <= slow_max < slow):
                raise ValueError(
                    f"roi = {list(self.roi)} (fast_min, fast_max, slow_min, slow_max, inclusive) "
                    f"is not inside a detector of {fast} x {slow} pixels (fast x slow)"
                )
        return self
