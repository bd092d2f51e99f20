"""The CPU kernel: rows of a tile in blocks of pixels, orientations outside the block.

Every block has the same length, the last of a row reaching past the tile's edge, and a pixel's
terms are added in one order: its value does not depend on which tile or block it is in.

``w`` is what is known of the block, :data:`~tiledsim.kernels.cpu.parameters.BLOCK`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import entry, piece, wide_vectors
from tiledsim.kernels.cpu.lattice import lattice_squared, project
from tiledsim.kernels.cpu.parameters import (
    ALL_OMEGA,
    ALL_POLAR,
    ALL_THICK,
    BLOCK,
    BUNCH,
    CAPTURE,
    DROP,
    FIRST,
    KEPT,
    LANES,
    LATT,
    OMEGA,
    OWN,
    OWN_BASE,
    OWN_FACTOR,
    POLAR,
    RUNNING,
    RUNNING_BASE,
    RUNNING_FACTOR,
    TOTAL,
    Array,
    F,
    Index,
    Parameters,
)
from tiledsim.kernels.cpu.rays import aim, cut, look, polarize
from tiledsim.kernels.cpu.structure_factor import interpolate, take, take_and_add, take_dispersive

Bool = NDArray[np.bool_]


def render(p: Parameters, slow_start: int, fast_start: int, rendered: Bool, image: Array) -> None:
    """Render ``image`` [rows, cols] in photons where ``rendered`` [rows, cols]; 0 elsewhere."""
    workspace = np.empty(BLOCK)
    render_rows(
        p, slow_start, fast_start, rendered, workspace, workspace.view(np.int64), image
    )  # fmt: skip


@entry
def render_rows(
    p: Parameters, slow_start: int, fast_start: int, rendered: Bool, w: Array, bits: Index,
    image: Array,
) -> None:  # fmt: skip
    """Do what :func:`render` says; ``bits`` is the memory of ``w`` as whole numbers."""
    wide_vectors()
    rows, cols = image.shape
    step = p.pixel_size / p.oversample
    for row in range(rows):
        for col in range(0, cols, LANES):
            width = min(LANES, cols - col)
            if not _any(rendered, row, col, width):
                for j in range(width):
                    image[row, col + j] = 0.0
                continue
            waiting = _begin(p, w)
            for layer in range(p.layers):
                for sub in range(p.oversample * p.oversample):
                    sub_s, sub_f = sub // p.oversample, sub % p.oversample
                    sdet = step * float((slow_start + row) * p.oversample + sub_s) + step / 2.0
                    look(p, sdet, fast_start + col, sub_f, layer, w)
                    _take_factors(p, layer, sub, w)
                    for b in range(len(p.bundles) - 1):
                        waiting = _add_sources(p, p.bundles[b], p.bundles[b + 1], waiting, w, bits)
            for j in range(width):
                factor = w[ALL_THICK + j] * w[ALL_POLAR + j] * w[ALL_OMEGA + j]
                value = p.scale * (w[TOTAL + j] + w[DROP + j]) * factor
                image[row, col + j] = value if rendered[row, col + j] else 0.0


@piece
def _any(rendered: Bool, row: int, col: int, width: int) -> bool:
    found = False
    for j in range(width):
        found |= rendered[row, col + j]
    return found


@piece
def _begin(p: Parameters, w: Array) -> bool:
    """Begin a block; return whether the polarization of all of its terms is not known yet."""
    waiting = p.polarized and p.polar == FIRST
    for j in range(LANES):
        w[TOTAL + j] = p.water_start
        w[DROP + j] = 0.0
        w[POLAR + j] = w[KEPT + j] = w[RUNNING_FACTOR + j] = 1.0
        w[ALL_THICK + j] = w[ALL_OMEGA + j] = 1.0
        w[ALL_POLAR + j] = 0.0 if waiting else 1.0
    return waiting


@piece
def _take_factors(p: Parameters, layer: int, sub: int, w: Array) -> None:
    """Sort what every source has in common into factors of terms, of products, of the pixel."""
    if p.omega == FIRST and layer == 0 and sub == 0:
        for j in range(LANES):
            w[ALL_OMEGA + j] = w[OMEGA + j]
    if p.thick == FIRST and sub == 0:
        for j in range(LANES):
            w[ALL_THICK + j] = w[CAPTURE + j]
    for j in range(LANES):
        thick = w[CAPTURE + j] if p.thick == OWN else 1.0
        omega = w[OMEGA + j] if p.omega == OWN else 1.0
        w[OWN_BASE + j] = thick * omega
        thick = w[CAPTURE + j] if p.thick == RUNNING else 1.0
        omega = w[OMEGA + j] if p.omega == RUNNING else 1.0
        w[RUNNING_BASE + j] = thick * omega


@piece
def _wait(w: Array) -> bool:
    """Take the polarization of the first source that the resolution cut keeps, a pixel each."""
    waiting = False
    for j in range(LANES):
        if w[ALL_POLAR + j] == 0.0 and w[KEPT + j] != 0.0:
            w[ALL_POLAR + j] = w[POLAR + j]
        waiting = waiting or w[ALL_POLAR + j] == 0.0
    return waiting


@piece
def _add_sources(
    p: Parameters, first: int, end: int, waiting: bool, w: Array, bits: Index
) -> bool:  # fmt: skip
    """Add what all orientations scatter of sources that share a direction.

    ``waiting`` is whether the polarization of all terms is not known yet, and so is what returns.
    """
    products = p.thick == RUNNING or p.polar == RUNNING or p.omega == RUNNING
    alone = end - first == 1
    aim(p.incident, first, p.inverse_wavelength[first] if alone else 1.0, w)
    if alone and p.dmin > 0.0:
        cut(p.dmin, 1.0, w)
    if p.polarized and (p.polar != FIRST or waiting):
        polarize(p, first, w)
    if waiting:
        waiting = _wait(w)
    weight = p.weight[first] if alone else 1.0
    _weigh(p, first, end, weight, products, w)
    if alone and p.dmin > 0.0:
        for j in range(LANES):
            w[OWN_FACTOR + j] *= w[KEPT + j]
    for j in range(LANES):
        w[BUNCH + j] = 0.0
    for m in range(len(p.orientations)):
        project(p.orientations[m], w)
        for s in range(first, end):
            per_wavelength = 1.0 if alone else p.inverse_wavelength[s]
            lattice_squared(p, per_wavelength, w, bits)
            if not alone:
                _weaken(p, s, w)
            if products:
                _multiply_on(p, s, per_wavelength, w)
            else:
                _add_up(p, s, per_wavelength, w)
    if not products:
        for j in range(LANES):
            w[TOTAL + j] += w[OWN_FACTOR + j] * w[BUNCH + j]
    return waiting


@piece
def _weigh(p: Parameters, first: int, end: int, weight: float, products: bool, w: Array) -> None:
    """Factors of each term and of the running product, and what the water adds of the sources."""
    for j in range(LANES):
        polar = w[POLAR + j] if p.polar == OWN else 1.0
        w[OWN_FACTOR + j] = weight * w[OWN_BASE + j] * polar
    if products:
        for j in range(LANES):
            turn = w[POLAR + j] if p.polar == RUNNING else 1.0
            w[RUNNING_FACTOR + j] = w[RUNNING_BASE + j] * turn
    if p.water_own != 0.0:
        together = p.water_own
        if end - first > 1:
            together *= p.weight[first:end].sum()
        for j in range(LANES):
            turn = w[RUNNING_FACTOR + j] if products else 1.0
            w[DROP + j] += w[OWN_FACTOR + j] * turn * together


@piece
def _weaken(p: Parameters, s: int, w: Array) -> None:
    """Multiply F_latt² with the weight of one of several sources; 0 beyond the resolution cut."""
    weight = p.weight[s]
    for j in range(LANES):
        w[LATT + j] *= weight
    if p.dmin > 0.0:
        cut(p.dmin, p.inverse_wavelength[s], w)
        for j in range(LANES):
            w[LATT + j] *= w[KEPT + j]


@piece
def _add_up(p: Parameters, s: int, per_wavelength: float, w: Array) -> None:
    """Add F²·F_latt² to the sum over orientations."""
    if p.uniform_F:
        constant = p.default_F * p.default_F
        for j in range(LANES):
            w[BUNCH + j] += constant * w[LATT + j]
    elif p.dispersion.shape[1] > 0:
        take_dispersive(p.F_complex, p.dispersion, s, w)
        for j in range(LANES):
            w[BUNCH + j] += w[F + j] * w[LATT + j]
    elif p.interpolate:
        interpolate(p, per_wavelength, w)
        for j in range(LANES):
            w[BUNCH + j] += w[F + j] * w[F + j] * w[LATT + j]
    else:
        take_and_add(p.F, w)


@piece
def _multiply_on(p: Parameters, s: int, per_wavelength: float, w: Array) -> None:
    """Add F²·F_latt² to the whole sum, and multiply all of it (quirk running_products)."""
    if p.dispersion.shape[1] > 0:
        take_dispersive(p.F_complex, p.dispersion, s, w)
        for j in range(LANES):
            w[F + j] = math.sqrt(w[F + j])
    elif p.interpolate:
        interpolate(p, per_wavelength, w)
    else:
        take(p.F, w)
    for j in range(LANES):
        if w[KEPT + j] != 0.0 and not (p.skip_dark and w[LATT + j] == 0.0):
            term = w[F + j] * w[F + j] * w[LATT + j] * w[OWN_FACTOR + j]
            w[TOTAL + j] = (w[TOTAL + j] + term) * w[RUNNING_FACTOR + j]
