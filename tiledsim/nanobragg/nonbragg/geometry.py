"""The detector of nonBragg, which stands otherwise than nanoBragg's.

The beam is along x, fast along z, slow along -y, the two-theta axis along y; Xbeam and Ybeam are
along fast and slow from the outer corner of the first pixel, and there are no conventions.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.scene.crystal.nanobragg_cell import radians, turned
from tiledsim.vectors import Array


@dataclass(frozen=True)
class Plane:
    """The plane of the detector, in SI."""

    pixels: tuple[int, int]
    """fast, slow."""
    pixel_size: float
    sides: tuple[float, float]
    beam: Array
    polarization: Array
    fast: Array
    slow: Array
    origin: Array
    distance: float
    close_distance: float
    beam_xy: tuple[float, float]
    close_xy: tuple[float, float]

    def diverged(self, vector: Array, hdiv: float, vdiv: float) -> Array:
        """Turn a vector about the polarization axis, then about the vertical."""
        vertical = _unit(np.cross(self.beam, self.polarization))
        return _about(_about(vector, self.polarization, vdiv), vertical, hdiv)


def place(v: dict[str, Any], quirks: frozenset[str]) -> Plane:
    """Place the detector of a command line.

    Raises ExperimentError where it has no pixel or the sample lies in its plane.
    """
    p = v["pixel_mm"] / 1000.0
    sides, counts = [], []
    for axis in "fs":
        given = v.get(f"pixels_{axis}")
        side = v[f"side_{axis}_mm"] / 1000.0 if given is None else p * given
        rounded = math.ceil(side / p) if "detsize_ceil" in quirks else round(side / p)
        if rounded < 1:
            raise ExperimentError(f"-detsize {side * 1000:g}: less than a pixel of {p * 1000:g} mm")
        sides.append(side)
        counts.append(rounded)
    beam = _unit(v.get("beam_direction", (1.0, 0.0, 0.0)))
    polarization = _unit(v.get("polarization_axis", (0.0, 0.0, 1.0)))
    fast = _unit(v.get("fast_axis", (0.0, 0.0, 1.0)))
    slow = _unit(v.get("slow_axis", (0.0, -1.0, 0.0)))
    normal = _unit(np.cross(fast, slow))
    hinge = np.array(v.get("two_theta_axis", (0.0, 1.0, 0.0)))
    angles = tuple(radians(v.get(f"rot{name}_deg", 0.0)) for name in "xyz")
    swing = radians(v["two_theta_deg"])

    def swung(vector: Array) -> Array:
        return _about(_turn(vector, angles), hinge, swing)

    ratio = _dot(beam, _turn(normal, angles)) or sys.float_info.min
    close_distance = v.get("close_distance_mm")
    close = ratio * v["distance_mm"] / 1000.0 if close_distance is None else close_distance / 1000.0
    near_x, near_y = _near(v, p, sides)
    x = near_x if v.get("beam_x_mm") is None else v["beam_x_mm"] / 1000.0
    y = near_y if v.get("beam_y_mm") is None else v["beam_y_mm"] / 1000.0
    f, s, o = swung(fast), swung(slow), swung(normal)
    if v["pivot"] == "sample":
        origin = swung(-near_x * fast - near_y * slow + close * normal)
    else:
        origin = -x * f - y * s + close / ratio * beam
    close = _dot(origin, o)
    if close == 0.0 or not math.isfinite(close):
        raise ExperimentError("the sample is in the plane of the detector; move the detector away")
    q = close / ratio * beam - origin
    return Plane(
        pixels=(counts[0], counts[1]),
        pixel_size=p,
        sides=(sides[0], sides[1]),
        beam=beam,
        polarization=polarization,
        fast=f,
        slow=s,
        origin=origin,
        distance=close / ratio,
        close_distance=close,
        beam_xy=(_dot(f, q), _dot(s, q)),
        close_xy=(-_dot(origin, f), -_dot(origin, s)),
    )


def _near(v: dict[str, Any], p: float, sides: Sequence[float]) -> tuple[float, float]:
    middle = ((sides[0] - p) / 2.0, (sides[1] + p) / 2.0)
    near = []
    for name, default in zip("xy", middle, strict=True):
        value = default if v.get(f"close_{name}_mm") is None else v[f"close_{name}_mm"] / 1000.0
        org = v.get(f"org_{name}_px")
        near.append(value if org is None else org * p)
    return near[0], near[1]


def _turn(vector: Array, angles: tuple[float, ...]) -> Array:
    x, y, z = angles
    return np.asarray(turned(vector[None], (x, y, z))[0], dtype=np.float64)


def _about(v: Array, axis: Array, angle: float) -> Array:
    sine, cosine = math.sin(angle), math.cos(angle)
    along = _dot(axis, v) * (1.0 - cosine)
    return np.array(
        [
            axis[0] * along + v[0] * cosine + (-axis[2] * v[1] + axis[1] * v[2]) * sine,
            axis[1] * along + v[1] * cosine + (axis[2] * v[0] - axis[0] * v[2]) * sine,
            axis[2] * along + v[2] * cosine + (-axis[1] * v[0] + axis[0] * v[1]) * sine,
        ]
    )


def _dot(u: Array, v: Array) -> float:
    return float(u[0] * v[0] + u[1] * v[1] + u[2] * v[2])


def _unit(vector: Sequence[float] | Array) -> Array:
    v = np.asarray(vector, dtype=np.float64)
    length = math.sqrt(_dot(v, v))
    if length == 0.0:
        raise ExperimentError("a vector has length 0, or fast and slow are parallel; give others")
    return np.asarray(v / length)
