"""What nanoBragg prints of a pixel under -printout: the last step that it evaluated there."""

import math
from collections.abc import Iterator

import numpy as np

from tiledsim.nanobragg.report import matrix_lines
from tiledsim.reference.model import evaluate
from tiledsim.scene import Scene
from tiledsim.tile import Tile
from tiledsim.units import ANGSTROM


def printout(scene: Scene, wavelength: float, pixel: tuple[int, int] | None) -> Iterator[str]:
    """Give the lines of one pixel (fast, slow), or of every rendered pixel in raster order.

    ``wavelength`` is the central one [m].
    """
    _, _, slow, fast = scene.shape
    for row in range(slow) if pixel is None else [pixel[1]]:
        rendered = scene.rendered_mask(Tile(0, 0, row, row + 1, 0, fast))
        for column in range(fast) if pixel is None else [pixel[0]]:
            if rendered is None or rendered[0, column]:
                yield from _pixel(scene, wavelength, row, column)


def _pixel(scene: Scene, wavelength: float, slow: int, fast: int) -> Iterator[str]:
    found = evaluate(scene, 0, 0, [slow], [fast])
    rays, steps = found.rays, found.steps
    position = rays.position[0, -1, -1]
    stol = 0.5 * float(np.sqrt((rays.scattering[0, -1, -1, -1] ** 2).sum()))
    two_theta = math.atan2(math.hypot(position[1], position[2]), position[0])
    hkl, nearest = steps.hkl[0, -1, -1, -1, -1], steps.nearest[0, -1, -1, -1, -1]
    last = (
        ("polar", float(found.polarization[0] if scene.polar_correction == "first" else
                        rays.polarization[0, -1, -1, -1])),
        ("omega", float(rays.omega[0, 0, 0] if scene.omega_correction == "first" else
                        rays.omega[0, -1, -1])),
        ("capfrac", float(rays.capture[0, -1, 0] if scene.thick_correction == "first" else
                          rays.capture[0, -1, -1])),
        ("pixel", float(np.float32(found.pixels[0]))),
    )  # fmt: skip
    yield (
        f"{fast:4d} {slow:4d} : stol = {stol:.6g} or "
        f"{math.sin(two_theta / 2.0) / (wavelength * ANGSTROM):.6g}"
    )
    yield f"at {position[0]:.6g} {position[1]:.6g} {position[2]:.6g}"
    shown = " ".join(f"{value:.6f}" for value in hkl)
    yield f"hkl= {shown}  hkl0= {' '.join(str(int(value)) for value in nearest)}"
    F_cell, F_latt = float(steps.F_cell[0].flat[-1]), float(steps.F_latt[0].flat[-1])
    yield f" F_cell={F_cell:.6g}  F_latt={F_latt:.6g}   I = {float(found.intensity[0]):.6g}"
    yield f"I/steps {float(found.intensity[0]) / scene.steps:15.10g}"
    for name, value in last:
        yield f"{name:<7} {value:15.10g}"
    yield "real-space cell vectors (Angstrom):"
    yield from matrix_lines(steps.orientation[-1] * ANGSTROM, ("a", "b", "c"))
