"""From conventions, beam centres, rotations and pivots to the vectors of each panel.

The formulas are those of nanoBragg (docs/physics.md, section 1).  Lengths are in metres here.
"""

import math
import sys
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Beam, Detector, Experiment
from tiledsim.experiment.sections.part import Pivot
from tiledsim.quirks import Quirk
from tiledsim.scene.detector.conventions import FRAMES, Frame, beam_centre, near_point
from tiledsim.units import MM
from tiledsim.vectors import Array, axis_rotation, unit, xyz_rotation

EDGE_ON = 1e-9
"""Cosine of normal and beam below which a panel counts as parallel to the beam."""
LARGEST_SKEW = 1e-2
"""Cosine between the sides of a pixel up to which a panel is one: refined geometries have panels
that are not quite rectangles."""


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

    turned_normals: tuple[int, ...] = ()
    """Panels whose normal, as given or as fast x slow, pointed towards the sample."""
    notes: tuple[str, ...] = ()
    """What a person should know about the vectors that were given, a line each."""

    @property
    def beam_distance(self) -> Array:
        """Distance [m] along the beam at which it meets each panel, negative behind the sample
        and infinite where it never does [P]: (P₀·o)/(b·o)."""
        along = self.normal @ self.beam
        near = (self.origin * self.normal).sum(1)
        met = np.abs(along) > EDGE_ON
        distance: Array = np.divide(near, along, out=np.full(len(near), np.inf), where=met)
        return distance

    @property
    def beam_centre(self) -> Array:
        """Where the direct beam meets each panel, along fast and slow from the origin [P, 2].

        Infinite or NaN for a panel that is parallel to the beam.
        """
        with np.errstate(invalid="ignore"):
            q = self.beam_distance[:, None] * self.beam - self.origin
            along = [(self.fast * q).sum(1), (self.slow * q).sum(1)]
            return np.asarray(np.stack(along, axis=1), dtype=np.float64)

    @property
    def near_point(self) -> Array:
        """The point nearest to the sample, along fast and slow from the origin [P, 2]."""
        return -np.stack(
            [(self.fast * self.origin).sum(1), (self.slow * self.origin).sum(1)], axis=1
        )


def geometry_of(experiment: Experiment) -> Geometry:
    """Compute where the panels of an experiment stand; see :func:`detector_geometry`."""
    return detector_geometry(
        experiment.detector,
        experiment.beam,
        experiment.rotation.axis,
        experiment.active_quirks,
        lenient=experiment.mode == "c-parity",
    )


def detector_geometry(
    detector: Detector,
    beam: Beam,
    axis: tuple[float, ...] | None,
    quirks: frozenset[Quirk],
    *,
    lenient: bool = False,
) -> Geometry:
    """Compute the panel vectors of a detector.

    ``axis`` is the user's rotation axis, or None for the convention's.  ``lenient`` (c-parity)
    takes vectors that make little sense as they are and says so in ``Geometry.notes``; without it
    they raise ExperimentError, as do vectors that describe no plane that the beam can reach.
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
    axes = _Axes(
        b, unit(beam.polarization_axis or frame.polarization_axis), unit(axis or frame.spindle)
    )
    notes = _check_polarization_axis(beam, axes, lenient=lenient)
    if detector.panels:
        return replace(_explicit_panels(detector, axes), notes=tuple(notes))
    vectors = _detector_axes(detector, frame, quirks)
    notes += _check_right_angles(*vectors, lenient=lenient)
    return replace(_placed(detector, axes, *vectors, quirks), notes=tuple(notes))


class _Axes(NamedTuple):
    """Unit vectors [3]."""

    beam: Array
    polarization: Array
    spindle: Array


def _check_polarization_axis(beam: Beam, axes: _Axes, *, lenient: bool) -> list[str]:
    """Refuse a polarization axis along the beam where it is used: polarization and divergence."""
    polarized = beam.polarization_correction and beam.polarization != 0.0
    horizontal = beam.hdiv_range_mrad or beam.hdiv_step_mrad or beam.hdiv_steps
    vertical = beam.vdiv_range_mrad or beam.vdiv_step_mrad or beam.vdiv_steps
    divergent = beam.source_file is None and bool(horizontal or vertical)
    if (
        not (polarized or divergent)
        or np.linalg.norm(np.cross(axes.polarization, axes.beam)) > 1e-9
    ):
        return []
    direction = ", ".join(f"{v:g}" for v in axes.polarization)
    default = "" if beam.polarization_axis is not None else ", the convention's default,"
    text = (
        f"beam.polarization_axis (-polar_vector) = [{direction}]{default} is parallel to the beam, "
        f"and {'the polarization' if polarized else 'the divergence'} is about it"
    )
    if lenient:
        return [text]
    raise ExperimentError(f"{text}; give beam.polarization_axis at right angles to the beam")


def _detector_axes(
    detector: Detector, frame: Frame, quirks: frozenset[Quirk]
) -> tuple[Array, Array, Array]:
    """Fast and slow axis and normal before any rotation."""
    fast = unit(detector.fast_axis or frame.fast)
    slow = unit(detector.slow_axis or frame.slow)
    given = np.asarray(detector.normal or frame.normal, dtype=np.float64)
    turned = detector.fast_axis is not None or detector.slow_axis is not None
    # nanoBragg replaces a normal whose length is not exactly 1, and otherwise believes it.  A
    # normal that nobody gave belongs to the axes, unless nanoBragg's signs are asked for.
    forgotten = detector.normal is None and turned and "signed_distance" not in quirks
    if math.sqrt(float(given @ given)) != 1.0 or forgotten:
        given = unit(np.cross(fast, slow))
    return fast, slow, given


def _check_right_angles(fast: Array, slow: Array, normal: Array, *, lenient: bool) -> list[str]:
    cosine, volume = float(fast @ slow), abs(float(np.cross(fast, slow) @ normal))
    if abs(cosine) <= 0.01 and abs(volume - 1) <= 0.01:
        return []
    text = (
        "detector.fast_axis, slow_axis and normal are not at right angles "
        f"(fast·slow = {cosine:.4g}, |fast x slow·normal| = {volume:.4g})"
    )
    if lenient:
        return [text]
    raise ExperimentError(f"{text}; give three perpendicular vectors")


def _placed(
    detector: Detector,
    axes: _Axes,
    fast: Array,
    slow: Array,
    normal: Array,
    quirks: frozenset[Quirk],
) -> Geometry:
    """Place a detector of one panel by its pivot, rotations and distance.

    A normal that points at the sample is turned, before it decides on which side of the sample
    ``distance_mm`` lies and again when the panel stands, but for the quirk ``signed_distance``.
    """
    frame, b = FRAMES[detector.convention], axes.beam
    signed = "signed_distance" in quirks
    sign = 1.0 if signed or float(b @ normal) >= 0 else -1.0
    normal = sign * normal
    rotation_xyz = xyz_rotation([math.radians(a) for a in detector.rotation_deg])
    rotation = _two_theta(detector, frame, quirks) @ rotation_xyz
    ratio = float(b @ (rotation_xyz @ normal))
    pivot = _pivot(detector, frame, quirks)
    given = detector.pix0_mm is not None and "pix0_ignored" not in quirks
    if signed:
        ratio = ratio or sys.float_info.min
    elif (
        abs(ratio) < EDGE_ON
        and not given
        and (pivot == "beam" or detector.close_distance_mm is None)
    ):
        raise ExperimentError(
            "the detector is edge-on to the beam: it must cross it; change detector.rotation_deg "
            "or its vectors"
        )
    if detector.close_distance_mm is not None:
        close_distance = detector.close_distance_mm / MM
    else:
        close_distance = abs(ratio * detector.distance_mm / MM)

    beam_f, beam_s = beam_centre(detector)
    turned_fast, turned_slow, turned_normal = rotation @ fast, rotation @ slow, rotation @ normal
    if given:
        origin = np.asarray(detector.pix0_mm) / MM
    elif pivot == "sample":
        near_f, near_s = near_point(
            detector, (beam_f, beam_s), _offset(b, fast, slow, normal, close_distance), quirks
        )
        origin = rotation @ (-near_f * fast - near_s * slow + close_distance * normal)
    else:
        distance = close_distance / (ratio if signed else abs(ratio))
        origin = -beam_f * turned_fast - beam_s * turned_slow + distance * b
    close_distance = float(origin @ turned_normal)
    if signed:
        distance = close_distance / ratio
    else:
        if close_distance == 0.0:
            raise ExperimentError(
                "the sample is in the plane of the detector; move the detector away"
            )
        if close_distance < 0.0:
            turned_normal, close_distance, sign = -turned_normal, -close_distance, -sign
        along = float(b @ turned_normal)
        distance = close_distance / (along if abs(along) > EDGE_ON else 1.0)
    return Geometry(
        beam=b,
        polarization_axis=axes.polarization,
        spindle=axes.spindle,
        origin=origin[None],
        fast=turned_fast[None],
        slow=turned_slow[None],
        normal=turned_normal[None],
        close_distance=np.array([close_distance]),
        distance=np.array([distance]),
        pivot=pivot,
        turned_normals=() if sign > 0 else (0,),
    )


def _two_theta(detector: Detector, frame: Frame, quirks: frozenset[Quirk]) -> Array:
    """Matrix of the two-theta rotation; with its quirk an axis that is no unit vector stretches."""
    axis = np.asarray(detector.two_theta_axis or frame.two_theta_axis, dtype=np.float64)
    angle = math.radians(detector.two_theta_deg)
    if "twotheta_axis_raw" not in quirks:
        return axis_rotation(axis, angle)
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.asarray(cosine * np.eye(3) + (1.0 - cosine) * np.outer(axis, axis) + sine * cross)


def _offset(
    b: Array, fast: Array, slow: Array, normal: Array, close_distance: float
) -> tuple[float, float] | None:
    """How far the beam meets the unrotated panel from its near point; None where it never does."""
    along = float(b @ normal)
    if abs(along) < EDGE_ON:
        return None
    return (
        float(close_distance * (b @ fast) / along),
        float(close_distance * (b @ slow) / along),
    )


def _pivot(detector: Detector, frame: Frame, quirks: frozenset[Quirk]) -> Pivot:
    if detector.convention != "custom" and "pivot_override" in quirks:
        return frame.pivot
    if detector.pivot is not None:
        return detector.pivot
    near = (detector.near_x_mm, detector.near_y_mm, detector.org_x_px, detector.org_y_px)
    if any(value is not None for value in near):
        return "sample"
    return "beam" if detector.convention == "custom" else frame.pivot


def _explicit_panels(detector: Detector, axes: _Axes) -> Geometry:
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
    if (skew > LARGEST_SKEW).any():
        raise ExperimentError(
            f"panel {int(skew.argmax())}: fast_axis and slow_axis are not at right angles, to "
            f"{LARGEST_SKEW:g} (fast·slow = {skew.max():.4g})"
        )
    normal = unit(np.cross(fast, slow))
    close_distance = (normal * origin).sum(1)
    normal[close_distance < 0] *= -1
    close_distance = np.abs(close_distance)
    along = normal @ axes.beam
    if (close_distance <= 0).any():
        raise ExperimentError(f"panel {int(close_distance.argmin())} has the sample in its plane")
    # A panel parallel to the beam is never met by it; its distance serves nothing but a header.
    distance = close_distance / np.where(np.abs(along) < EDGE_ON, 1.0, along)
    return Geometry(
        beam=axes.beam,
        polarization_axis=axes.polarization,
        spindle=axes.spindle,
        origin=origin,
        fast=fast,
        slow=slow,
        normal=normal,
        close_distance=close_distance,
        distance=distance,
        pivot=None,
    )
