"""The numbers that nanoBragg's report and its SMV headers print about beam and detector, in SI."""

import math
from dataclasses import dataclass

import numpy as np

from tiledsim.experiment import Experiment
from tiledsim.experiment.sections.part import Convention
from tiledsim.scene.crystal.lattice import phi_steps
from tiledsim.scene.detector.conventions import given_beam, middle
from tiledsim.scene.detector.geometry import Geometry, geometry_of
from tiledsim.units import ANGSTROM, MM
from tiledsim.vectors import Array


@dataclass(frozen=True)
class Camera:
    """Beam and detector as nanoBragg names them; lengths in m, angles in rad."""

    convention: Convention
    geometry: Geometry
    pixels: tuple[int, int]
    """fast, slow."""
    pixel_size: float
    sides: tuple[float, float]
    """detsize_f, detsize_s."""
    wavelength: float
    distance: float
    close_distance: float
    beam: tuple[float, float]
    """Xbeam, Ybeam: as given, or the convention's default."""
    close: tuple[float, float]
    """Xclose, Yclose: as given, or their default."""
    beam_fs: tuple[float, float]
    """Fbeam, Sbeam: where the direct beam meets the detector."""
    close_fs: tuple[float, float]
    """Fclose, Sclose: the point nearest to the sample."""
    phi: float
    osc: float
    two_theta: float

    @property
    def org(self) -> tuple[float, float]:
        """ORGX, ORGY [px]."""
        return (
            self.close_fs[0] / self.pixel_size + 0.5,
            self.close_fs[1] / self.pixel_size + 0.5,
        )

    @property
    def dials_origin(self) -> tuple[float, float, float]:
        """The corner of pixel 0,0 in the frame of DIALS [mm]."""
        corner = self.geometry.origin[0]
        z, y, x = (
            1000.0 * dot(corner, np.array(axis, dtype=np.float64))
            for axis in ((0, 0, 1), (0, 1, 0), (-1, 0, 0))
        )
        return z, y, x


def dot(u: Array, v: Array) -> float:
    """Return u·v, summed in nanoBragg's order."""
    return float(u[0] * v[0] + u[1] * v[1] + u[2] * v[2])


def camera_of(experiment: Experiment, sides_mm: tuple[float, float] | None = None) -> Camera:
    """Return what nanoBragg would print of an experiment with one panel.

    ``sides_mm`` are the detector's sides where they were given as lengths.  With the quirk
    ``signed_distance`` the distance along the beam leaves the two-theta swing out, as nanoBragg's
    report does; without it the beam centre is that of the panel as it stands.
    """
    detector, beam = experiment.detector, experiment.beam
    geometry = geometry_of(experiment)
    p = detector.pixel_mm / MM
    fast, slow = detector.size_px
    sides = (p * fast, p * slow) if sides_mm is None else (sides_mm[0] / MM, sides_mm[1] / MM)
    two_theta = math.radians(detector.two_theta_deg)
    origin, f, s = geometry.origin[0], geometry.fast[0], geometry.slow[0]
    close_distance = dot(origin, geometry.normal[0])
    as_nanobragg = "signed_distance" in experiment.active_quirks
    distance = float((geometry.distance if as_nanobragg else geometry.beam_distance)[0])
    q = distance * geometry.beam - origin
    x_close, y_close = middle(detector)
    if detector.near_x_mm is not None:
        x_close = detector.near_x_mm / MM
    if detector.near_y_mm is not None:
        y_close = detector.near_y_mm / MM
    return Camera(
        convention=detector.convention,
        geometry=geometry,
        pixels=(fast, slow),
        pixel_size=p,
        sides=sides,
        wavelength=beam.central_wavelength_A / ANGSTROM,
        distance=distance,
        close_distance=close_distance,
        beam=given_beam(detector),
        close=(x_close, y_close),
        beam_fs=(dot(f, q), dot(s, q)),
        close_fs=(-dot(origin, f), -dot(origin, s)),
        phi=math.radians(experiment.rotation.start_deg),
        osc=phi_steps(experiment.rotation).extent,
        two_theta=two_theta,
    )
