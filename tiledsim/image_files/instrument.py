"""What a header says of an image: panels, beam, goniometer, sensor and crystal.

All vectors are in the imgCIF laboratory frame, which DIALS uses too: the beam travels along −z,
and the rotation axis is +x where it stands at right angles to the beam.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.vectors import Array, axis_rotation, unit

BEAM = np.array([0.0, 0.0, -1.0])
"""Direction of the photons in the imgCIF frame."""


@dataclass(frozen=True)
class FlatPanel:
    """A flat panel."""

    origin_mm: Array
    """Outer corner of pixel 0,0 [3]."""
    fast: Array
    """Unit vector [3]."""
    slow: Array
    """Unit vector [3]."""
    pixel_mm: tuple[float, float]
    """Sides of a pixel along fast and slow."""
    size_px: tuple[int, int]
    """(fast, slow)."""
    masked_px: tuple[tuple[int, int, int, int], ...] = ()
    """Regions without a measurement: fast_min, fast_max, slow_min, slow_max, inclusive."""

    @property
    def normal(self) -> Array:
        """Unit vector fast × slow [3]."""
        return unit(np.cross(self.fast, self.slow))

    @property
    def distance_mm(self) -> float:
        """Distance of the panel's plane from the sample."""
        return abs(float(self.origin_mm @ self.normal))

    @property
    def beam_centre_px(self) -> tuple[float, float] | None:
        """Where the direct beam meets the plane, (fast, slow) pixels from the outer corner.

        None where the beam runs along the plane.
        """
        along = float(self.normal @ BEAM)
        if abs(along) < 1e-9:
            return None
        q = float(self.origin_mm @ self.normal) / along * BEAM - self.origin_mm
        across, down = self.pixel_mm
        return float(q @ self.fast) / across, float(q @ self.slow) / down


@dataclass(frozen=True)
class SensorLayer:
    """What absorbs the photons in a pixel."""

    material: str
    thickness_mm: float


@dataclass(frozen=True)
class Instrument:
    """Everything besides pixels that is written about one shot or a series of them."""

    panels: tuple[FlatPanel, ...]
    wavelength_A: float
    """Weighted mean of the sources."""
    polarization: float
    """Kahn's factor, −1 to 1."""
    polarization_axis: Array
    """Unit vector of the electric field's preferred direction [3]."""
    fluence_photons_per_m2: float
    exposure_s: float
    spindle: Array
    """Unit vector of the rotation axis [3]."""
    start_deg: Array
    """Angle of the spindle at the start of each shot [shots]."""
    width_deg: float
    """How far the spindle turns during a shot; 0 for stills."""
    crystals_A: Array
    """Direct vectors a, b, c as rows, at spindle angle 0, of each shot [shots, 3, 3]."""
    sensor: SensorLayer | None = None
    """None where the simulation has none: every photon counts at the surface."""
    curved: bool = False
    title: str = ""
    beam: Array = field(default_factory=lambda: BEAM)
    """Unit vector along which the photons travel [3]; images are written with it along −z."""
    each: Mapping[int, "Instrument"] = field(default_factory=dict)
    """Where shots differ in beam or detector: what they are each, by number; else empty."""

    @property
    def shots(self) -> int:
        """Number of shots."""
        return len(self.start_deg)

    @property
    def is_scan(self) -> bool:
        """Whether the shots are one crystal, turned on by the same step from shot to shot."""
        return self.width_deg > 0 and self.shots >= 1 and self._is_one_crystal()

    def _is_one_crystal(self) -> bool:
        steps = np.diff(self.start_deg)
        same = np.abs(self.crystals_A - self.crystals_A[0]).max() < 1e-6
        return bool(same and np.all(np.abs(steps - self.width_deg) < 1e-6))

    @property
    def detector_moves(self) -> bool:
        """Whether the panels are elsewhere in some of the shots."""
        return any(
            np.abs(panel.origin_mm - there.origin_mm).max() > 1e-9
            for one in self.each.values()
            for panel, there in zip(self.panels, one.panels, strict=True)
        )

    def alone(self, shot: int) -> "Instrument":
        """Return what is written about one shot alone."""
        return self.select([shot], range(len(self.panels)))

    def select(self, shots: Sequence[int], panels: Sequence[int]) -> "Instrument":
        """Return the same with some of the shots and panels."""
        own = {
            place: self.each[shot].select([0], panels)
            for place, shot in enumerate(shots)
            if shot in self.each
        }
        if len(shots) == 1 and own:
            return own[0]
        return replace(
            own.get(0, self),
            panels=own[0].panels if 0 in own else tuple(self.panels[i] for i in panels),
            start_deg=self.start_deg[list(shots)],
            crystals_A=self.crystals_A[list(shots)],
            each=own,
        )


def imgcif_rotation(beam: Array, spindle: Array, fast: Array) -> Array:
    """Return the rotation [3, 3] from any laboratory frame to that of imgCIF.

    Parameters
    ----------
    beam : [3]
        Unit vector along which the photons travel; becomes −z.
    spindle : [3]
        Rotation axis; what of it is at right angles to the beam becomes +x.
    fast : [3]
        Takes the spindle's place where that is parallel to the beam.
    """
    z = -unit(beam)
    for direction in (spindle, fast, *np.eye(3)):
        across = direction - (direction @ z) * z
        if np.linalg.norm(across) > 1e-6:
            x = unit(across)
            return np.stack([x, np.cross(z, x), z])
    raise ExperimentError("the beam has no direction")


def as_series(
    spindle: Array, crystals_A: Array, start_deg: float, width_deg: float
) -> tuple[Array, Array]:
    """Describe shots as one crystal and angles of the spindle, where they are that.

    Shots may be given as orientations of their own.  Where the orientation of every one is that of
    the first turned about the spindle, by one shot's width more each, they are a rotation series.

    Parameters
    ----------
    spindle : [3]
        Unit vector.
    crystals_A : [shots, 3, 3]
        Direct vectors as rows, before the spindle turns them.
    start_deg, width_deg : float
        Where the spindle starts in every shot, and how far it turns.

    Returns
    -------
    start_deg : [shots]
    crystals_A : [shots, 3, 3]
        The crystal of each shot at spindle angle 0.
    """
    shots = len(crystals_A)
    same = np.full(shots, start_deg)
    if shots == 1 or width_deg <= 0:
        return same, crystals_A
    starts = np.asarray(start_deg + width_deg * np.arange(shots), dtype=np.float64)
    for shot in (1, shots - 1, *range(2, shots - 1)):
        turned = crystals_A[0] @ axis_rotation(spindle, np.radians(width_deg * shot)).T
        if np.abs(turned - crystals_A[shot]).max() > 1e-6 * np.abs(turned).max():
            return same, crystals_A
    return starts, np.repeat(crystals_A[:1], shots, axis=0)
