"""Where pixels are and which reflection is nearest, by the formulas of the trace, for many at once.

A spectrum is its mean wavelength here, a sweep its middle and a mosaic its first domain; sensors
are met at their surface.  The trace of a pixel tells every step apart.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from tiledsim.reference.model import pixel_rays
from tiledsim.scene import Scene
from tiledsim.units import ANGSTROM, MM
from tiledsim.vectors import Array, unit


@dataclass(frozen=True)
class PixelFacts:
    """Facts about the centres of pixels [n]."""

    position_mm: Array
    """In the laboratory, the sample at the origin [n, 3]."""
    two_theta_deg: Array
    """[n]."""
    resolution_A: Array
    """d-spacing [n]; infinite straight ahead."""
    hkl: Array
    """Fractional Miller indices [n, 3]."""


def one_ray(scene: Scene) -> Scene:
    """Return a scene of one source, one subpixel, one layer: the mean of what it has."""
    weight = scene.weight / scene.weight.sum()
    return replace(
        scene,
        oversample=1,
        layers=1,
        incident=unit(weight @ scene.incident)[None],
        wavelength=np.array([weight @ scene.wavelength]),
        weight=np.ones(1),
    )


def pixel_facts(
    scene: Scene, shot: int, panel: int, slow: ArrayLike, fast: ArrayLike
) -> PixelFacts:
    """Return facts about pixels [n] of a panel of a shot; fractions of pixels are allowed.

    ``scene`` may be what :func:`one_ray` made of another, which saves making it here each time.
    """
    simple = scene if scene.sources == 1 == scene.steps_per_pixel else one_ray(scene)
    rays = pixel_rays(simple, panel, slow, fast)
    q = rays.scattering[:, 0, 0, 0]
    length = np.sqrt((q**2).sum(axis=1))
    domains = scene.orientations // len(scene.phi)
    vectors = direct_vectors(scene, shot, len(scene.phi) // 2 * domains)
    with np.errstate(divide="ignore"):
        resolution = ANGSTROM / length
    sine = np.minimum(0.5 * length * simple.wavelength[0], 1.0)
    return PixelFacts(
        position_mm=rays.position[:, 0, 0] * MM,
        two_theta_deg=np.degrees(2.0 * np.arcsin(sine)),
        resolution_A=resolution,
        hkl=q @ vectors.T,
    )


def direct_vectors(scene: Scene, shot: int, orientation: int) -> Array:
    """Return a, b, c [3, 3] in metres of one orientation, without those of all others."""
    cell = scene.cells[shot]
    if scene.domain_mix is not None:
        cell = scene.domain_mix[orientation] @ cell
    return np.asarray(cell @ scene.rotations[orientation].T)
