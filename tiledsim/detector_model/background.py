"""The background of a tile, which is smooth: polynomials in blocks of the panel, checked.

Blocks are cut from the corner of the panel, whatever the tiles are, so that a pixel has the same
bits in any tile.  In a block a polynomial of degree 11 each way goes through the values at 12 x
12 Chebyshev points; it is taken where it meets direct values at 5 x 5 other points, the corners and
edges among them, to TOLERANCE of each; else the block is cut in four.  Where a table has bends,
such a polynomial, checked likewise, stands for all but F, which is looked up for each pixel.  A
small block is computed pixel by pixel.
"""

from functools import lru_cache
from typing import Final

import numpy as np

from tiledsim.detector_model.amorphous import (
    GAUSS,
    Panel,
    add_with_F,
    at_points,
    without_F,
)
from tiledsim.jit import exact_jit
from tiledsim.scene import Scene
from tiledsim.tile import Tile
from tiledsim.vectors import Array

BLOCK: Final = 256
NODES: Final = 12
CHECKS: Final = 5
TOLERANCE: Final = 1e-10
"""Relative, at the points where a polynomial is checked; elsewhere tests find at most 1e-9."""
BENT: Final = 128**2
"""Pixels of a block from which on a table that resists has bends, most likely."""
SMALLEST: Final = 600
"""Pixels of a block up to which a polynomial is not worth its points."""


def compute(scene: Scene, tile: Tile, panel: Panel) -> Array:
    """Return the photons that amorphous layers scatter into a tile [rows, cols], not yet counted.

    ``panel`` is the tile's, of a scene of one shot, as :func:`panel_of` makes it or with other
    sources.  Pixels that are not rendered are 0.
    """
    out = np.empty((tile.rows, tile.cols))
    _, _, slow, fast = scene.shape
    for row in range(tile.slow_start // BLOCK * BLOCK, tile.slow_stop, BLOCK):
        for col in range(tile.fast_start // BLOCK * BLOCK, tile.fast_stop, BLOCK):
            block = (row, min(row + BLOCK, slow), col, min(col + BLOCK, fast))
            _fill(panel, block, tile, out)
    rendered = scene.rendered_mask(tile)
    if rendered is not None:
        out[~rendered] = 0.0
    return out


def _fill(panel: Panel, block: tuple[int, int, int, int], tile: Tile, out: Array) -> None:
    """Fill the part of a tile that lies in a block (slow start and stop, fast start and stop)."""
    r0, r1, c0, c1 = block
    top, bottom = max(r0, tile.slow_start), min(r1, tile.slow_stop)
    left, right = max(c0, tile.fast_start), min(c1, tile.fast_stop)
    if top >= bottom or left >= right:
        return
    rows = slice(top - tile.slow_start, bottom - tile.slow_start)
    cols = slice(left - tile.fast_start, right - tile.fast_start)
    if (r1 - r0) * (c1 - c0) <= SMALLEST:
        out[rows, cols] = at_points(panel, _centres(top, bottom), _centres(left, right))
        return
    down, across = _basis(r1 - r0), _basis(c1 - c0)
    values = at_points(panel, r0 + down.nodes, c0 + across.nodes)
    direct = at_points(panel, r0 + down.checks, c0 + across.checks)
    guessed = down.at_checks @ values @ across.at_checks.T
    if (np.abs(guessed - direct) <= TOLERANCE * direct).all():
        along = np.zeros((NODES, right - left))
        _combine(values, np.ascontiguousarray(across.at_pixels[left - c0 : right - c0].T), along)
        _combine(down.at_pixels[top - r0 : bottom - r0], along, out[rows, cols])
        return
    bent = (r1 - r0) * (c1 - c0) <= BENT and not panel.curved
    if bent and _fill_bent(panel, block, (top, bottom, left, right), out[rows, cols]):
        return
    middle = ((r0 + r1) // 2, (c0 + c1) // 2)
    for lower, upper in ((r0, middle[0]), (middle[0], r1)):
        for first, last in ((c0, middle[1]), (middle[1], c1)):
            _fill(panel, (lower, upper, first, last), tile, out)


def _fill_bent(
    panel: Panel, block: tuple[int, int, int, int], part: tuple[int, int, int, int], out: Array
) -> bool:
    """Fill a part of a block of a flat panel, F of each pixel by itself; tell whether it holds."""
    r0, r1, c0, c1 = block
    top, bottom, left, right = part
    down, across = _basis(r1 - r0), _basis(c1 - c0)
    at_rows = np.ascontiguousarray(down.at_gauss[:, top - r0 : bottom - r0])
    at_cols = np.ascontiguousarray(across.at_gauss[:, left - c0 : right - c0].transpose(0, 2, 1))
    out[...] = 0.0
    for layer in range(panel.sensor_layers):
        for source in range(len(panel.sources)):
            for material in range(len(panel.photons)):
                one = (panel, layer, source, material)
                values = without_F(*one, r0 + down.nodes, c0 + across.nodes)
                direct = without_F(*one, r0 + down.checks, c0 + across.checks)
                guessed = down.at_checks @ values @ across.at_checks.T
                if not (np.abs(guessed - direct) <= TOLERANCE * direct).all():
                    return False
                add_with_F(*one, values, at_rows, at_cols, top, left, out)
    return True


def _centres(start: int, stop: int) -> Array:
    return np.arange(start, stop, dtype=np.float64) + 0.5


def chebyshev_points(count: int) -> Array:
    """Return the Chebyshev points between -1 and 1 [count]."""
    return np.asarray(-np.cos(_angles(count)), dtype=np.float64)


def lagrange(count: int, x: Array) -> Array:
    """Return Lagrange's polynomials through the Chebyshev points, at x [n]: [n, count].

    In barycentric form (Berrut & Trefethen, SIAM Review 46, 501, 2004).
    """
    weights = (-1.0) ** np.arange(count) * np.sin(_angles(count))
    apart = x[:, None] - chebyshev_points(count)
    exact = apart == 0.0
    terms = weights / np.where(exact, 1.0, apart)
    made = terms / terms.sum(axis=1, keepdims=True)
    hit = exact.any(axis=1, keepdims=True)
    return np.asarray(np.where(hit, exact.astype(np.float64), made), dtype=np.float64)


def _angles(count: int) -> Array:
    return (2 * np.arange(count) + 1) * np.pi / (2 * count)


class _Basis:
    """Lagrange's polynomials through the Chebyshev points of some pixels."""

    def __init__(self, pixels: int) -> None:
        first, last = 0.5, pixels - 0.5
        ends = -np.cos(np.arange(CHECKS) * np.pi / (CHECKS - 1))
        ends[1:-1] += 0.037  # off the middle, where symmetry could hide something
        self.nodes = pixels / 2.0 + chebyshev_points(NODES) * pixels / 2.0
        self.checks = pixels / 2.0 + ends * (last - first) / 2.0
        self.at_pixels = lagrange(NODES, (np.arange(pixels) + 0.5) * 2.0 / pixels - 1.0)
        self.at_checks = lagrange(NODES, self.checks * 2.0 / pixels - 1.0)
        centres = np.arange(pixels) + 0.5
        points = [lagrange(NODES, (centres + off) * 2.0 / pixels - 1.0) for off in (-GAUSS, GAUSS)]
        self.at_gauss = np.stack(points)


@lru_cache(maxsize=64)
def _basis(pixels: int) -> _Basis:
    return _Basis(pixels)


@exact_jit
def _combine(weights: Array, values: Array, out: Array) -> None:
    """out = weights [n, k] · values [k, m], each sum in one order, nothing below 0."""
    for i in range(weights.shape[0]):
        for j in range(values.shape[1]):
            out[i, j] = weights[i, 0] * values[0, j]
        for k in range(1, weights.shape[1]):
            weight = weights[i, k]
            for j in range(values.shape[1]):
                out[i, j] += weight * values[k, j]
        for j in range(values.shape[1]):
            out[i, j] = max(out[i, j], 0.0)
