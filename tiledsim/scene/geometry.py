"""From conventions, beam centres, rotations and pivots to the vectors of each panel.

The formulas are those of nanoBragg (docs/physics.md, section 1).  Lengths are in metres here.
"""

import math
from dataclasses import dataclass

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Beam, Detector
from tiledsim.experiment.part import Convention, Pivot
from tiledsim.quirks import Quirk
from tiledsim.units import MM
from tiledsim.vectors import Array, axis_rotation, unit, xyz_rotation


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


@dataclass(frozen=True)
class Geometry:
    """Where the panels stand.  P panels; vectors in the laboratory frame, lengths in metres."""

    beam: Array
    """Unit vector along the incident beam [3]."""
    polarization_axis: Array
    """Unit vector of the polarization axis [3]."""
    spindle: Array
    """Unit vector of the rotation axis [3]."""
    origin: Array
    """Outer corner of pixel 0,0 of each panel [P, 3]."""
    fast: Array
    """Unit vectors of the fast axes [P, 3]."""
    slow: Array
    """Unit vectors of the slow axes [P, 3]."""
    normal: Array
    """Unit normals, away from the sample [P, 3]."""
    close_distance: Array
    """Distance of each panel's plane from the sample [P]."""
    distance: Array
    """Distance from the sample to each panel's plane along the beam [P]."""
    pivot: Pivot | None
    """What the rotations turned the detector about; None for explicit panels."""

    @property
    def beam_centre(self) -> Array:
        """Where the direct beam meets each panel, along fast and slow from the origin [P, 2]."""
        q = self.distance[:, None] * self.beam - self.origin
        return np.stack([(self.fast * q).sum(1), (self.slow * q).sum(1)], axis=1)

    @property
    def near_point(self) -> Array:
        """The point nearest to the sample, along fast and slow from the origin [P, 2]."""
        return -np.stack(
            [(self.fast * self.origin).sum(1), (self.slow * self.origin).sum(1)], axis=1
        )


def detector_geometry(
    detector: Detector, beam: Beam, axis: tuple[float, ...] | None, quirks: frozenset[Quirk]
) -> Geometry:
    """Compute the panel vectors of a detector.

    ``axis`` is the user's rotation axis, or None for the convention's.  Raises ExperimentError
    where the vectors describe no plane that the beam can reach.
    """
    frame = FRAMES[detector.convention]
    custom = any(
        v is not None
        for v in (
            *(detector.fast_axis, detector.slow_axis, detector.normal, detector.two_theta_axis),
            *(detector.pix0_mm, beam.direction, beam.polarization_axis, axis),
        )
    )
    if custom and detector.convention != "custom" and not detector.panels:
        raise ExperimentError(
            f"detector.convention = '{detector.convention}' has its own vectors and axes; "
            "set it to 'custom' to give others"
        )
    b = unit(beam.direction or frame.beam)
    polarization_axis = unit(beam.polarization_axis or frame.polarization_axis)
    spindle = unit(axis or frame.spindle)
    if np.linalg.norm(np.cross(polarization_axis, b)) < 1e-9:
        raise ExperimentError("beam.polarization_axis is parallel to the beam; it must cross it")
    if detector.panels:
        return _explicit_panels(detector, b, polarization_axis, spindle)
    fast, slow, normal = _detector_axes(detector, frame, quirks)
    return _placed(detector, b, polarization_axis, spindle, fast, slow, normal, quirks)


def _detector_axes(
    detector: Detector, frame: Frame, quirks: frozenset[Quirk]
) -> tuple[Array, Array, Array]:
    fast = unit(detector.fast_axis or frame.fast)
    slow = unit(detector.slow_axis or frame.slow)
    given = np.asarray(detector.normal or frame.normal, dtype=np.float64)
    turned = detector.fast_axis is not None or detector.slow_axis is not None
    # nanoBragg replaces a normal whose length is not exactly 1, and otherwise believes it.  A
    # normal that nobody gave belongs to the axes, unless nanoBragg's own default is asked for.
    forgotten = detector.normal is None and turned and "pix0_ignored" not in quirks
    if math.sqrt(float(given @ given)) != 1.0 or forgotten:
        given = unit(np.cross(fast, slow))
    if abs(float(fast @ slow)) > 0.01 or abs(abs(float(np.cross(fast, slow) @ given)) - 1) > 0.01:
        raise ExperimentError(
            "detector.fast_axis, slow_axis and normal are not at right angles "
            f"(fast·slow = {float(fast @ slow):.4g}); give three perpendicular vectors"
        )
    return fast, slow, given


def _placed(
    detector: Detector,
    b: Array,
    polarization_axis: Array,
    spindle: Array,
    fast: Array,
    slow: Array,
    normal: Array,
    quirks: frozenset[Quirk],
) -> Geometry:
    frame = FRAMES[detector.convention]
    rotation_xyz = xyz_rotation([math.radians(a) for a in detector.rotation_deg])
    two_theta_axis = detector.two_theta_axis or frame.two_theta_axis
    rotation = axis_rotation(two_theta_axis, math.radians(detector.two_theta_deg)) @ rotation_xyz
    ratio = float(b @ (rotation_xyz @ normal))
    if abs(ratio) < 1e-6:
        raise ExperimentError(
            "the detector is edge-on to the beam: it must cross it; change detector.rotation_deg "
            "or its vectors"
        )
    if detector.close_distance_mm is not None:
        close_distance = detector.close_distance_mm / MM
    else:
        close_distance = abs(ratio * detector.distance_mm / MM)
    distance = close_distance / ratio

    pivot = _pivot(detector, frame, quirks)
    beam_f, beam_s = _beam_centre(detector)
    turned_fast, turned_slow, turned_normal = rotation @ fast, rotation @ slow, rotation @ normal
    if detector.pix0_mm is not None and "pix0_ignored" not in quirks:
        origin = np.asarray(detector.pix0_mm) / MM
    elif pivot == "sample":
        offset = (
            float(close_distance * (b @ fast) / (b @ normal)),
            float(close_distance * (b @ slow) / (b @ normal)),
        )
        near_f, near_s = _near_point(detector, (beam_f, beam_s), offset, quirks)
        origin = rotation @ (-near_f * fast - near_s * slow + close_distance * normal)
    else:
        origin = -beam_f * turned_fast - beam_s * turned_slow + distance * b
    close_distance = float(origin @ turned_normal)
    if close_distance == 0.0:
        raise ExperimentError("the sample is in the plane of the detector; move the detector away")
    return Geometry(
        beam=b,
        polarization_axis=polarization_axis,
        spindle=spindle,
        origin=origin[None],
        fast=turned_fast[None],
        slow=turned_slow[None],
        normal=turned_normal[None],
        close_distance=np.array([close_distance]),
        distance=np.array([close_distance / ratio]),
        pivot=pivot,
    )


def _pivot(detector: Detector, frame: Frame, quirks: frozenset[Quirk]) -> Pivot:
    if detector.convention != "custom" and (detector.pivot is None or "pivot_override" in quirks):
        return frame.pivot
    if detector.pivot is not None:
        return detector.pivot
    near = (detector.near_x_mm, detector.near_y_mm, detector.org_x_px, detector.org_y_px)
    return "beam" if all(value is None for value in near) else "sample"


def middle(detector: Detector) -> tuple[float, float]:
    """Return the near point (fast, slow) that needs no beam centre: ORGX, ORGY or the middle."""
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


def _beam_centre(detector: Detector) -> tuple[float, float]:
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


def _near_point(
    detector: Detector,
    beam_centre: tuple[float, float],
    offset: tuple[float, float],
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
            near[axis] = beam_centre[axis] - offset[axis]
    return near[0], near[1]


def _explicit_panels(
    detector: Detector, b: Array, polarization_axis: Array, spindle: Array
) -> Geometry:
    placement = (detector.rotation_deg != (0.0, 0.0, 0.0), detector.two_theta_deg != 0.0)
    if any(placement) or detector.pix0_mm is not None:
        raise ExperimentError(
            "detector.panels are placed by their own vectors; rotation_deg, two_theta_deg and "
            "pix0_mm must not be given beside them"
        )
    origin = np.array([panel.origin_mm for panel in detector.panels]) / MM
    fast = unit([panel.fast_axis for panel in detector.panels])
    slow = unit([panel.slow_axis for panel in detector.panels])
    skew = np.abs((fast * slow).sum(1))
    if (skew > 1e-3).any():
        raise ExperimentError(
            f"panel {int(skew.argmax())}: fast_axis and slow_axis are not at right angles "
            f"(fast·slow = {skew.max():.4g})"
        )
    normal = unit(np.cross(fast, slow))
    close_distance = (normal * origin).sum(1)
    normal[close_distance < 0] *= -1
    close_distance = np.abs(close_distance)
    ratio = normal @ b
    if (close_distance <= 0).any():
        raise ExperimentError(f"panel {int(close_distance.argmin())} has the sample in its plane")
    # A panel parallel to the beam is never met by it; its distance serves nothing but a header.
    distance = close_distance / np.where(np.abs(ratio) < 1e-9, 1.0, ratio)
    return Geometry(
        beam=b,
        polarization_axis=polarization_axis,
        spindle=spindle,
        origin=origin,
        fast=fast,
        slow=slow,
        normal=normal,
        close_distance=close_distance,
        distance=distance,
        pivot=None,
    )
