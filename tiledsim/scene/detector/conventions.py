"""What a convention sets: the vectors before any rotation, and what its beam centre means.

The table is that of docs/physics.md, section 1.  Lengths are in metres here.
"""

from dataclasses import dataclass

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Detector
from tiledsim.experiment.sections.part import Convention, Pivot
from tiledsim.quirks import Quirk
from tiledsim.units import MM


@dataclass(frozen=True)
class Frame:
    """The vectors of a convention before any rotation."""

    beam: tuple[float, ...]
    fast: tuple[float, ...]
    slow: tuple[float, ...]
    normal: tuple[float, ...]
    two_theta_axis: tuple[float, ...]
    polarization_axis: tuple[float, ...]
    spindle: tuple[float, ...]
    pivot: Pivot


_MOSFLM = Frame(
    (1, 0, 0), (0, 0, 1), (0, -1, 0), (1, 0, 0), (0, 0, -1), (0, 0, 1), (0, 0, 1), "beam"
)
FRAMES: dict[Convention, Frame] = {
    "mosflm": _MOSFLM,
    "denzo": _MOSFLM,
    "adxv": Frame(
        (0, 0, 1), (1, 0, 0), (0, -1, 0), (0, 0, 1), (-1, 0, 0), (1, 0, 0), (1, 0, 0), "beam"
    ),
    "xds": Frame(
        (0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0), (1, 0, 0), (1, 0, 0), "sample"
    ),
    "dials": Frame(
        (0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 0), (0, 1, 0), (0, 1, 0), "sample"
    ),
    "custom": Frame(
        (1, 0, 0), (0, 0, 1), (0, -1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1), "beam"
    ),
}


def middle(detector: Detector) -> tuple[float, float]:
    """Near point (fast, slow) [m] that needs no beam centre: ORGX, ORGY or the middle."""
    p = detector.pixel_mm / MM
    fast, slow = detector.size_px
    near_f = p * fast / 2.0 if detector.org_x_px is None else (detector.org_x_px - 0.5) * p
    near_s = p * slow / 2.0 if detector.org_y_px is None else (detector.org_y_px - 0.5) * p
    return near_f, near_s


def given_beam(detector: Detector) -> tuple[float, float]:
    """Xbeam, Ybeam [m], with the defaults of the convention."""
    p = detector.pixel_mm / MM
    size_f, size_s = (p * n for n in detector.size_px)
    x, y = middle(detector)
    if detector.near_x_mm is not None:
        x = detector.near_x_mm / MM
    if detector.near_y_mm is not None:
        y = detector.near_y_mm / MM
    if detector.convention in ("mosflm", "denzo"):
        x, y = (size_s + p) / 2.0, (size_f + p) / 2.0
    elif detector.convention == "adxv":
        x, y = (size_f + p) / 2.0, (size_s - p) / 2.0
    if detector.beam_x_mm is not None:
        x = detector.beam_x_mm / MM
    if detector.beam_y_mm is not None:
        y = detector.beam_y_mm / MM
    return x, y


def beam_centre(detector: Detector) -> tuple[float, float]:
    """Fbeam, Sbeam [m]: the direct beam along fast and slow from the outer corner of pixel 0,0."""
    p = detector.pixel_mm / MM
    x, y = given_beam(detector)
    if detector.convention == "mosflm":
        return y + 0.5 * p, x + 0.5 * p
    if detector.convention == "denzo":
        return y, x
    if detector.convention == "adxv":
        return x, p * detector.size_px[1] - y
    return x, y


def near_point(
    detector: Detector,
    beam_centre: tuple[float, float],
    offset: tuple[float, float] | None,
    quirks: frozenset[Quirk],
) -> tuple[float, float]:
    """Fclose, Sclose [m] for the sample pivot, from what the user gave, in order of precedence."""
    if detector.convention == "custom" and "beam_centre_ignored" in quirks:
        return given_beam(detector)
    near = list(middle(detector))
    heard = detector.beam_x_mm is not None or detector.beam_y_mm is not None
    orgs = (detector.org_x_px, detector.org_y_px)
    nears = (detector.near_x_mm, detector.near_y_mm)
    for axis, (org, given) in enumerate(zip(orgs, nears, strict=True)):
        if org is not None:
            continue
        if given is not None and "near_point_ignored" not in quirks:
            near[axis] = given / MM
        elif heard and "beam_centre_ignored" not in quirks:
            if offset is None:
                raise ExperimentError(
                    "detector.beam_x_mm and beam_y_mm are given for a detector that is parallel to "
                    "the beam before it is turned; give org_x_px and org_y_px instead"
                )
            near[axis] = beam_centre[axis] - offset[axis]
    return near[0], near[1]
