"""What the compiled kernels take of a scene, and where they keep what they know of some pixels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

SQUARE, ROUND, GAUSS, TOPHAT = range(4)
OWN, FIRST, RUNNING = range(3)

LANES = 64
"""Pixels along the fast axis that are computed together: a block."""

(
    DX, DY, DZ, OMEGA, CAPTURE, POLAR, KEPT, OWN_BASE, RUNNING_BASE, OWN_FACTOR, RUNNING_FACTOR,
    QX, QY, QZ, H, K, L, DELTA_H, DELTA_K, DELTA_L, LATT, AT, F, BUNCH, TOTAL, DROP,
    ALL_THICK, ALL_POLAR, ALL_OMEGA, CORNER, POWER, *_WEIGHTS,
) = (LANES * row for row in range(43))  # fmt: skip
WEIGHT_H, WEIGHT_K, WEIGHT_L = _WEIGHTS[0], _WEIGHTS[4], _WEIGHTS[8]
BLOCK = LANES * 43
"""Places of what is known of a block in one array of floats, LANES of each: unit vector to the
pixel; solid angle, capture, polarization, whether the resolution cut keeps it; the factors that
each term has, and those of the running product, without the source's and with it; scattering vector
[1/m], or where several wavelengths share it, that times the wavelength; its components along the
cell's edges; their distances from the nearest reflection; F_latt², the flat index of the
reflection in the table (a whole number kept as a float, because that converts in vector code on
any machine); F or F²; sums over orientations, over everything, of the water; factors of the whole
pixel; the corner of the interpolation's neighbourhood; powers of two; and four weights of each
index.

One array, because of several the compiler could not tell that they do not overlap.
"""


class Parameters(NamedTuple):
    """One panel of one shot of a scene, as the compiled kernel takes it.  SI units."""

    origin: Array
    fast: Array
    slow: Array
    normal: Array
    beam: Array
    pixel_size: float
    close_distance: float
    distance: float
    curved: bool
    point_pixel: bool
    oversample: int
    layers: int
    layer_step: float
    attenuation: float
    absorbing: bool
    radial_sensor: bool
    incident: Array
    inverse_wavelength: Array
    weight: Array
    bundles: Index
    """Where sources that share a direction begin, those in a row, and the end of the last [B + 1];
    each by itself where a term's factors depend on the terms before it."""
    polarized: bool
    polarization: float
    vertical: Array
    """Unit vectors B of the polarization formula [S, 3]."""
    horizontal: Array
    """Unit vectors E of the polarization formula [S, 3]."""
    orientations: Array
    """Direct vectors [M, 3, 3]."""
    metric: Array
    """G of w = |δ·G|² for `gauss` and `tophat` [3, 3]."""
    cell_counts: Array
    shape: int
    fudge: float
    vanishes_below: float
    """Square of the argument below which sinc3 of `round` is 0, but for 0 itself."""
    F: Array
    """Bordered table, flat."""
    low: Array
    """Reflection of the table's element 0, border included."""
    size: Array
    """Extent of the table, border included."""
    F_complex: Array
    """Real and imaginary parts of the complex tables, an element of F after the other, flat."""
    dispersion: Array
    """f′ and f″ of E elements for each source [S, 2E]; E = 0 where F does not depend on it."""
    uniform_F: bool
    default_F: float
    interpolate: bool
    dmin: float
    thick: int
    polar: int
    omega: int
    water_start: float
    water_own: float
    """Squared scattering of the water, times the orientations; 0 where the quirk has it instead."""
    skip_dark: bool
    """Whether a step with F_latt = 0 leaves the running product alone."""
    scale: float
