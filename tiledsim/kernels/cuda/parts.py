"""The steps of one launch: a band's pixels may have more than a launch has time for."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.kernels.cuda.source import Specialisation
from tiledsim.kernels.derived import direction_starts
from tiledsim.scene import Scene

BATCH: Final = 32
"""Orientations whose sum is formed together, as in bragg.cu: a launch has whole ones of them, so
that a pixel's bytes do not depend on how its steps were divided."""


class Part(NamedTuple):
    """Some of the steps of every pixel, in their order.

    A ray is one direction of the beam, to one subpixel, at one layer of the sensor.
    """

    first_ray: int
    last_ray: int
    first_orientation: int
    """In the first ray; the others begin with 0."""
    stop_orientation: int
    """In the last ray; the others have all."""


def directions(scene: Scene, special: Specialisation) -> NDArray[np.int64]:
    """First source of every direction, and the number of sources."""
    return direction_starts(scene) if special.spectrum else np.arange(scene.sources + 1)


def parts_of(scene: Scene, special: Specialisation, steps: float) -> list[Part]:
    """Divide the steps of a pixel into launches of about ``steps`` each, and a batch at least.

    What a launch would have to remember besides the sum is not divided: the first polarization
    that a resolution cut let through, and water beside running products.
    """
    first = directions(scene, special)
    rays = scene.layers * scene.oversample**2 * (len(first) - 1)
    count = scene.orientations
    whole = (special.cut and special.polar == "FIRST") or (special.products and special.water)
    if whole or steps >= scene.steps_per_pixel:
        return [Part(0, rays - 1, 0, count)]
    wavelengths = int(np.diff(first).max())
    together = int(steps / wavelengths)  # orientations
    if together >= count:
        many = together // count
        return [Part(ray, min(ray + many, rays) - 1, 0, count) for ray in range(0, rays, many)]
    together = max(together // BATCH * BATCH, BATCH)
    return [
        Part(ray, ray, m, min(m + together, count))
        for ray in range(rays)
        for m in range(0, count, together)
    ]
