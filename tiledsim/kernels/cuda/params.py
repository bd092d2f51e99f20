"""What the CUDA kernel is given: tables in device memory, and one struct of parameters by value."""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import BackendError
from tiledsim.kernels.cuda.anchors import Anchors, anchors_of
from tiledsim.kernels.cuda.parts import Part, directions
from tiledsim.kernels.cuda.source import Specialisation
from tiledsim.kernels.derived import polarization_axes, water
from tiledsim.pixel_statistics import Roi, columns_inside
from tiledsim.scene import Scene
from tiledsim.scene.pixels import area_distance, pixel_axes
from tiledsim.tile import Tile

Tables = dict[str, NDArray[np.generic]]

PATCH_SLOW: Final = 8
SPHERE: Final = 0.723601254558268
"""nanoBragg's factor that makes a sphere of a box of cells."""
LOG2_E: Final = math.log2(math.e)
LARGEST_SINGLE_CELLS: Final = 1e17
"""Cells in a crystal whose squared number float32 still holds."""
LARGEST_INDEX: Final = {True: 2.0**19, False: 2.0**31}
"""Miller indices that the kernel can place, in ``mixed`` or float64 arithmetic."""

POINTERS: Final = (
    "orientations", "incident", "vertical", "horizontal", "direction_weight", "direction_first",
    "inverse_wavelength", "weight", "factors", "dispersion", "rendered", "image",
)  # fmt: skip
_COUNTS: Final = (
    "orientation_count", "direction_count", "slow_start", "fast_start", "rows", "cols",
    "patch_slow", "patch_fast", "patches", "patches_across",
    "first_ray", "last_ray", "first_orientation", "stop_orientation",
)  # fmt: skip
_VECTORS: Final = ("origin", "fast", "slow", "normal", "straight")
_NUMBERS: Final = (
    "subpixel", "area", "inverse_distance", "layer_step", "layer_attenuation", "dmin",
    "polarization", "amplitude", "water_start", "water_own", "scale", "axis_scale", "step_scale",
    "index_scale",
)  # fmt: skip


@lru_cache(maxsize=2)
def parameter_layout(mixed: bool) -> np.dtype[np.void]:
    """Layout of ``struct Parameters`` in parameters.cu; the compiler holds the two together."""
    real = np.float32 if mixed else np.float64
    return np.dtype(
        [(name, np.uint64) for name in POINTERS]
        + [(name, np.int64) for name in _COUNTS]
        + [(name, np.float64, 3) for name in _VECTORS]
        + [(name, np.float64) for name in _NUMBERS]
        + [("index_half", np.int64), ("counts", np.float64, 3), ("triangle", real, 6)]
        + [(name, np.int32) for name in ("oversample", "layers", "index_shift")]
        + [("cells", np.uint32, 3), ("shift", np.int32, 3), ("size", np.uint32, 3)],
        align=True,
    )


FINISH_LAYOUT: Final = np.dtype(
    [(name, np.uint64) for name in ("image", "stored", "reduced")]
    + [(name, np.int64) for name in ("rows", "cols", "first", "stop")],
    align=True,
)
"""Layout of ``struct Parameters`` in rows.cu."""


class Grid(NamedTuple):
    """The patches of pixels that a launch covers; their grid is the panel's, not the tile's."""

    slow: int
    fast: int
    """First pixel of the first patch."""
    down: int
    across: int
    """Number of patches."""

    @property
    def patches(self) -> int:
        """Number of patches, which is that of warps."""
        return self.down * self.across


def patch_grid(tile: Tile, pixels: int) -> Grid:
    """Cover a tile with patches of ``pixels`` a thread."""
    width = 4 * pixels
    slow = tile.slow_start // PATCH_SLOW * PATCH_SLOW
    fast = tile.fast_start // width * width
    return Grid(slow, fast, -(-(tile.slow_stop - slow) // PATCH_SLOW),
                -(-(tile.fast_stop - fast) // width))  # fmt: skip


class Units(NamedTuple):
    """What numbers are divided by, or multiplied with, on the device."""

    factor: float
    """What F was divided by."""
    anchors: Anchors


class SceneTables(NamedTuple):
    """The tables of a scene that depend neither on a shot nor on structure factors alone."""

    arrays: Tables
    anchors: Anchors


def scene_tables(scene: Scene, special: Specialisation) -> SceneTables:
    """Build the tables of a scene, without its structure factors."""
    first = directions(scene, special)
    axes = polarization_axes(scene)
    weight = np.ascontiguousarray(scene.weight)
    f = np.zeros(0) if scene.dispersion is None else np.ascontiguousarray(scene.dispersion)
    arrays: Tables = {
        "incident": np.ascontiguousarray(scene.incident[first[:-1]]),
        "vertical": np.ascontiguousarray(axes.vertical[first[:-1]]),
        "horizontal": np.ascontiguousarray(axes.horizontal[first[:-1]]),
        "direction_weight": np.add.reduceat(weight, first[:-1]),
        "direction_first": first,
        "inverse_wavelength": 1.0 / np.asarray(scene.wavelength),
        "weight": weight,
        "dispersion": np.ascontiguousarray(f.view(np.float64), dtype=_real(special)),
    }
    anchors = None
    if special.anchored:
        anchors = anchors_of(scene, special.pixels, spectrum=special.spectrum)
    return SceneTables(arrays, anchors or Anchors(0.0, 0.0, 0))


def _real(special: Specialisation) -> type[np.float32] | type[np.float64]:
    return np.float32 if special.mixed else np.float64


def factor_sources(scene: Scene, special: Specialisation) -> tuple[NDArray[np.generic], ...]:
    """Return the arrays that the table of structure factors is made of."""
    if special.factors == "UNIFORM":
        return ()
    return (scene.F_table,) if scene.F_complex is None else (scene.F_table, scene.F_complex)


def factor_table(scene: Scene, special: Specialisation) -> tuple[NDArray[np.generic], float]:
    """Build the table of structure factors; F is squared where it is not interpolated.

    For float32 it is divided by its largest magnitude, so that its square cannot overflow; that
    is returned too, else 1.
    """
    if special.factors == "UNIFORM":
        return np.zeros(0), 1.0
    F = np.asarray(scene.F_table)
    unit = (float(np.abs(F).max()) or 1.0) if special.mixed else 1.0
    if special.factors == "DISPERSIVE":
        assert scene.F_complex is not None  # by specialise
        table = np.ascontiguousarray(scene.F_complex).view(np.float64) / unit
    else:
        table = F / unit if special.mixed else F
        if special.factors == "NEAREST":
            table = table * table
    return np.ascontiguousarray(table, dtype=_real(special)), unit


def table_bytes(scene: Scene, special: Specialisation) -> int:
    """Device memory that the tables of a scene take, with the orientations of one shot."""
    count = len(directions(scene, special)) - 1
    item = 4 if special.mixed else 8
    factors = 1 if special.factors == "UNIFORM" else item * scene.F_table.size
    if special.elements:
        factors *= 2 * (1 + special.elements)
        factors += 2 * item * special.elements * scene.sources
    else:
        factors += 1  # the least that a table takes
    return 8 * (11 * count + 1 + 2 * scene.sources) + factors + 72 * scene.orientations


def pack(
    scene: Scene, special: Specialisation, tile: Tile, part: Part, addresses: dict[str, int],
    units: Units,
) -> NDArray[np.void]:  # fmt: skip
    """Fill the struct [1] for a launch; ``addresses`` are those of ``POINTERS`` in memory."""
    shot, panel = tile.shot, tile.panel
    grid = patch_grid(tile, special.pixels)
    cells = np.array(scene.cell_counts, dtype=np.float64)
    size = scene.F_table.shape
    total = scene.cells_in_block
    drop = water(scene)
    along_fast, along_slow = pixel_axes(scene, panel)
    F_unit = scene.default_F if special.factors == "UNIFORM" else units.factor
    values: dict[str, object] = {
        **addresses,
        "orientation_count": scene.orientations,
        "direction_count": len(directions(scene, special)) - 1,
        "slow_start": tile.slow_start,
        "fast_start": tile.fast_start,
        "rows": tile.rows,
        "cols": tile.cols,
        "patch_slow": grid.slow,
        "patch_fast": grid.fast,
        "patches": grid.patches,
        "patches_across": grid.across,
        **part._asdict(),
        "origin": scene.origin[panel],
        "fast": along_fast,
        "slow": along_slow,
        "normal": scene.normal[panel],
        "straight": scene.beam * scene.distance[panel],
        "subpixel": scene.pixel_size / scene.oversample,
        "area": scene.pixel_size**2 * area_distance(scene, panel),
        "inverse_distance": 1.0 / scene.distance[panel],
        "layer_step": scene.layer_step,
        "layer_attenuation": scene.layer_step * scene.attenuation,
        "dmin": scene.dmin,
        "polarization": scene.polarization,
        "amplitude": _amplitude(scene, total) * F_unit**2,
        "water_start": drop.start,
        "water_own": drop.own,
        "scale": scene.scale,
        "axis_scale": units.anchors.axis_scale,
        "step_scale": units.anchors.step_scale,
        "index_scale": units.anchors.index_scale,
        "index_half": 2**units.anchors.shift >> 1,
        "index_shift": units.anchors.shift,
        "counts": cells * (math.sqrt(scene.fudge) if special.shape == "ROUND" else 1.0),
        "triangle": _triangle(scene, special, shot),
        "oversample": scene.oversample,
        "layers": scene.layers,
        "cells": cells,
        "shift": 1 - np.array(scene.hkl_lowest),
        "size": size,
    }
    struct = np.zeros(1, dtype=parameter_layout(special.mixed))
    for name, value in values.items():
        struct[name] = value
    return struct


def pack_finish(tile: Tile, addresses: dict[str, int], roi: Roi) -> NDArray[np.void]:
    """Fill the struct [1] for reducing a tile; ``addresses``: image, stored and reduced."""
    first, stop = columns_inside(tile, roi)
    struct = np.zeros(1, dtype=FINISH_LAYOUT)
    counts = {"rows": tile.rows, "cols": tile.cols, "first": first, "stop": stop}
    for name, value in (addresses | counts).items():
        struct[name] = value
    return struct


def refuse_what_is_too_large(scene: Scene, special: Specialisation, shot: int) -> None:
    """Raise BackendError for a crystal or a table too large for the kernel's arithmetic."""
    total = scene.cells_in_block
    if special.mixed and total > LARGEST_SINGLE_CELLS:
        raise BackendError(f"{total:.1e} cells are too many for dtype 'mixed'; use float64")
    size = scene.F_table.shape
    if size[0] * size[1] >= 2**32 or max(size) >= 2**31:
        raise BackendError(f"a table of {' x '.join(map(str, size))} reflections is too large")
    longest = float(np.sqrt((np.asarray(scene.cells[shot]) ** 2).sum(axis=1)).max())
    index = 2.0 * longest / float(np.min(scene.wavelength))
    if index >= LARGEST_INDEX[special.mixed]:
        raise BackendError(
            f"Miller indices up to {index:.2g} are too large for the CUDA kernel in "
            f"{'mixed precision; use float64' if special.mixed else 'float64; use --backend cpu'}"
        )


def _amplitude(scene: Scene, total: float) -> float:
    """Squared lattice factor of a reflection itself, where the kernel leaves it out."""
    if scene.crystal_shape == "square":
        return 1.0
    return (total * SPHERE if scene.crystal_shape == "round" else total) ** 2


def _triangle(scene: Scene, special: Specialisation, shot: int) -> NDArray[np.float64]:
    """Upper triangle R, by rows, for which |R·δ|² is what `gauss` and `tophat` need of δ.

    |δ·G|² does not change when the rows of G (:meth:`Scene.offset_metric`) are rotated until the
    first lies along x and the second in the xy plane.
    """
    if special.shape == "GAUSS":
        steepness = 2.0 * scene.fudge / 0.63 * (LOG2_E if special.mixed else 1.0)
    else:
        steepness = scene.fudge
    _, triangle = np.linalg.qr(scene.offset_metric(shot).T)
    return np.asarray(math.sqrt(steepness) * triangle[np.triu_indices(3)])
