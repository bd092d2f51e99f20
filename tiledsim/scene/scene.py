"""All that a kernel needs to know, as plain arrays and numbers.

A scene is made once from an experiment, is the same on every worker and is named by the hash of
its contents.  Modes and quirks act here wherever that is possible, so that kernels stay small.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.lattice_model import LatticeModel
from tiledsim.campaign.sase_model import SaseModel
from tiledsim.detector_model.model import CountModel
from tiledsim.scene.crystal.absorption import CrystalAbsorption
from tiledsim.scene.crystal.block import cells_in_block, size_tensor
from tiledsim.tile import Tile
from tiledsim.units import AVOGADRO, THOMSON_RADIUS_SQUARED_M2
from tiledsim.vectors import Array

Correction = Literal["own", "first", "running"]
"""How a correction reaches a pixel: with each term its own, one value for all (the first), or by
multiplying the running sum after every addition."""

WATER_F: float = 2.57
"""Forward structure factor per water molecule [electrons], the value of nanoBragg."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """Frozen description of the images of a run.

    Dimensions: P panels, S sources, M orientations, shots; vectors in the laboratory, SI units
    unless a name says otherwise.  Arrays are read-only.
    """

    shape: tuple[int, int, int, int]
    """(shots, panels, slow, fast)."""
    mode: str
    quirks: tuple[str, ...]

    origin: Array
    """Outer corner of pixel 0,0 of each panel [P, 3]."""
    fast: Array
    slow: Array
    normal: Array
    """Unit vectors [P, 3]."""
    close_distance: Array
    """[P]; enters the solid angle."""
    distance: Array
    """[P]; the radius of a curved detector."""
    beam: Array
    """Unit vector [3]; where a curved detector is centred."""
    pixel_size: float
    """Side of a pixel, or what ``pixel_sides`` are in units of."""
    curved: bool
    point_pixel: bool

    layers: int
    layer_step: float
    attenuation: float
    """μ [1/m]."""
    absorbing: bool
    """Whether the sensor model is on; without it a pixel captures everything."""
    radial_sensor: bool = False
    """Whether every ray meets the sensor at right angles, as on a curved detector."""

    incident: Array
    """Unit vectors of the rays [S, 3]."""
    wavelength: Array
    """[S]."""
    weight: Array
    """Relative weights [S], of mean 1."""

    cells: Array
    """Direct vectors a, b, c as rows, of each shot before rotation [shots, 3, 3]; of a campaign
    [1, 3, 3]."""
    reciprocal_A: Array
    """Reciprocal vectors a*, b*, c* as rows [shots, 3, 3] in Å⁻¹."""
    rotations: Array
    """Rotations of φ steps (outermost) and mosaic domains [M, 3, 3]."""
    phi: Array
    """Angles of the φ steps [K]; M is a multiple of K."""
    first_rotations: Array | None
    """[M, 3, 3] for the first evaluation of an image, where it differs."""
    first_evaluation: NDArray[np.int64] | None
    """Slow, fast and step (over layers, subpixels, sources) of the first evaluation of each panel
    [P, 3]; −1 where a panel has none."""

    domain_mix: Array | None = None
    """[M, 3, 3], what takes a, b, c to those of a domain before they are rotated; None: nothing."""
    blocks: float = 1.0
    """Mosaic blocks in the beam, each as large as ``cell_counts`` says."""
    cell_counts: tuple[int, int, int]
    crystal_shape: Literal["square", "round", "gauss", "tophat"]
    fudge: float
    F_table: Array
    """F [H+2, K+2, L+2] with a border of ``default_F``."""
    hkl_lowest: tuple[int, int, int]
    """The reflection of element (1, 1, 1)."""
    default_F: float
    uniform_F: bool
    """Whether every reflection is ``default_F``."""
    interpolate: bool
    interpolation_stop: NDArray[np.int64] | None
    """Linear pixel (slow·fast pixels + fast) and step (over layers, subpixels, sources,
    orientations) from which on an image is not interpolated [shots, P, 2]; −1: never."""

    polarization: float
    polarization_axis: Array
    """Unit vector [3]."""
    polarized: bool
    """Whether the polarization correction is on."""
    fluence: float
    water: float
    """Edge of the drop of water [m]."""
    water_twice: bool
    dmin: float
    """[m]; 0: no cut."""
    oversample: int
    thick_correction: Correction
    polar_correction: Correction
    omega_correction: Correction

    F_complex: NDArray[np.complex128] | None = None
    """Structure factors that depend on the wavelength [H+2, K+2, L+2, 1+E], with the box and the
    border of ``F_table``: the part that doesn't, then the sums of E elements."""
    dispersion: NDArray[np.complex128] | None = None
    """f′ + i f″ of these elements for each source [S, E]."""
    tolerance_photons: float = 0.0
    """Bound of the error of every pixel [photons]; 0: every step is evaluated."""
    tolerance: float = 0.0
    """F²·F_latt² of steps that may be left out, over that of the strongest reflection."""

    roi: tuple[int, int, int, int]
    """fast_min, fast_max, slow_min, slow_max, inclusive."""
    mask: NDArray[np.bool_] | None
    """True where a pixel is rendered: [slow, fast], or [P, slow, fast]."""

    amorphous_table: Array | None = None
    """sin θ/λ [1/Å], F [electrons] and its slope [K, 3]: amorphous layers one after the other."""
    amorphous_parts: NDArray[np.int64] | None = None
    """Where in the table a layer begins, and the end of the last [L+1]."""
    amorphous_photons: Array | None = None
    """Photons a steradian for F = 1 of each layer [L]; steps and blocks have no part in it."""
    amorphous_depth: Array | None = None
    """μ·thickness of each layer for each source [L, S]."""

    noise: CountModel | None = None
    """What makes counts of photons; None: photons are what is kept."""
    pixel_state: NDArray[np.uint8] | None = None
    """GOOD, GAP, DEAD or HOT: [slow, fast], or [P, slow, fast]; None: all are good."""
    spread: Array | None = None
    """The weights of the point spread [2r+1, 2r+1], of sum 1, in steps of 2^-40."""

    shot_names: tuple[str, ...] = ()
    """Columns of a campaign's table (:mod:`tiledsim.campaign.columns`)."""
    shot_values: Array | None = None
    """The table [shots, columns]; ``cells`` and all else are then of a shot without columns, and
    have one row.  None: shots differ in ``cells`` alone."""
    spectra: Array | None = None
    """Spectra of a file [rows, wavelengths], of mean 1."""
    sase: SaseModel | None = None
    """What the spectrum of a shot is drawn from."""
    mosaic_vectors: Array | None = None
    """Rotation vectors of the domains for a spread of 1 rad [D, 3], where the spread varies."""
    absent_F: NDArray[np.bool_] | None = None
    """Where ``F_table`` holds no reflection [H+2, K+2, L+2]; given where the B factor varies, and
    ``F_table`` is then of B = 0."""
    lattices: LatticeModel | None = None
    """What the orientations of further crystals in a shot are drawn from."""
    amorphous_materials: tuple[str, ...] = ()
    """Whose absorption each layer has, where wavelengths vary; empty for none."""
    amorphous_thickness: Array | None = None
    """[m] [L] of the layers, where that varies."""
    pixel_sides: Array | None = None
    """Sides of the pixels of each panel along fast and slow over ``pixel_size`` [P, 2]; None: all
    are squares of that size."""
    cross_counts: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Elements ab, bc and ac of a gauss block's size tensor, whose diagonal is ``cell_counts``."""
    absorption: CrystalAbsorption | None = None
    """How the crystal absorbs what it scatters; no part of what kernels render."""
    base_distance: float = 0.0
    """Distance of the detector [m] that ``distance_mm`` of a table replaces."""
    central_wavelength: float = 0.0
    """Mean wavelength [m] that ``wavelength_A`` of a table replaces."""
    auto_oversample: bool = False
    """Whether each shot is sampled as finely as its own crystal needs."""

    def __post_init__(self) -> None:
        for _, value in self.arrays():
            value.setflags(write=False)

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield the fields that are arrays, by name."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                yield field.name, value

    # -- counts -------------------------------------------------------------------------------

    @property
    def orientations(self) -> int:
        """Number of φ steps times mosaic domains, M."""
        return len(self.rotations)

    @property
    def sources(self) -> int:
        """Number of sources, S."""
        return len(self.incident)

    @property
    def steps(self) -> int:
        """What a pixel's sum is divided by: subpixels × sources × orientations (not layers)."""
        return self.oversample**2 * self.sources * self.orientations

    @property
    def steps_per_pixel(self) -> int:
        """Evaluations a pixel costs: layers × subpixels × sources × orientations."""
        return self.layers * self.steps

    @property
    def table_bytes(self) -> int:
        """Memory that the arrays of the scene take."""
        return sum(array.nbytes for _, array in self.arrays())

    @cached_property
    def rendered_pixels(self) -> int:
        """Pixels inside the region of interest and not masked, over all shots and panels."""
        shots, panels, slow, fast = self.shape
        whole = (Tile(0, panel, 0, slow, 0, fast) for panel in range(panels))
        return shots * sum(self.count_rendered(tile) for tile in whole)

    @cached_property
    def strongest_F(self) -> float:
        """The largest \\|F\\| of the table."""
        return float(max(self.F_table.max(), -self.F_table.min()))

    @property
    def halo(self) -> int:
        """Pixels around a tile whose photons its counts depend on."""
        return 0 if self.spread is None else len(self.spread) // 2

    @property
    def stored_dtype(self) -> str:
        """Type of the pixels that are kept."""
        return "float32" if self.noise is None else self.noise.dtype

    # -- which pixels are rendered --------------------------------------------------------------

    def rendered_mask(self, tile: Tile) -> NDArray[np.bool_] | None:
        """Return which pixels of a tile are rendered [rows, cols], or None where all are."""
        fast_min, fast_max, slow_min, slow_max = self.roi
        inside = (
            fast_min <= tile.fast_start
            and tile.fast_stop <= fast_max + 1
            and slow_min <= tile.slow_start
            and tile.slow_stop <= slow_max + 1
        )
        if inside and self.mask is None:
            return None
        rows = slice(tile.slow_start, tile.slow_stop)
        cols = slice(tile.fast_start, tile.fast_stop)
        if self.mask is None:
            rendered = np.ones((tile.rows, tile.cols), dtype=np.bool_)
        else:
            plane = self.mask if self.mask.ndim == 2 else self.mask[tile.panel]
            rendered = np.array(plane[rows, cols], dtype=np.bool_)
        if not inside:
            slow = np.arange(tile.slow_start, tile.slow_stop)
            fast = np.arange(tile.fast_start, tile.fast_stop)
            rendered &= ((slow >= slow_min) & (slow <= slow_max))[:, None]
            rendered &= (fast >= fast_min) & (fast <= fast_max)
        return None if rendered.all() else rendered

    def count_rendered(self, tile: Tile) -> int:
        """Count the pixels of a tile that are rendered, without a mask of the whole tile's size."""
        fast_min, fast_max, slow_min, slow_max = self.roi
        slow_start, slow_stop = max(tile.slow_start, slow_min), min(tile.slow_stop, slow_max + 1)
        fast_start, fast_stop = max(tile.fast_start, fast_min), min(tile.fast_stop, fast_max + 1)
        if slow_start >= slow_stop or fast_start >= fast_stop:
            return 0
        if self.mask is None:
            return (slow_stop - slow_start) * (fast_stop - fast_start)
        plane = self.mask if self.mask.ndim == 2 else self.mask[tile.panel]
        return int(np.count_nonzero(plane[slow_start:slow_stop, fast_start:fast_stop]))

    # -- scale ----------------------------------------------------------------------------------

    @property
    def scale(self) -> float:
        """Photons per unit of a pixel's sum: r_e²·Φ·blocks/steps."""
        return THOMSON_RADIUS_SQUARED_M2 * self.fluence / self.steps * self.blocks

    @property
    def water_molecules(self) -> float:
        """Squared forward scattering of the drop: 2.57²·x³·1e6·N_A/18 [electrons²].

        It is that for each mosaic block in the beam, as the scale multiplies it by their number.
        """
        return WATER_F**2 * self.water**3 * 1e6 * AVOGADRO / 18.0 / self.blocks

    def scale_factors(self) -> dict[str, float | int]:
        """Return the factors between a pixel's sum and photons, for the summary."""
        return {
            "r_e_sqr_m2": THOMSON_RADIUS_SQUARED_M2,
            "fluence_photons_per_m2": self.fluence,
            "steps": self.steps,
            "layers": self.layers,
            "oversample": self.oversample,
            "sources": self.sources,
            "orientations": self.orientations,
            **({"mosaic_blocks": self.blocks} if self.blocks != 1.0 else {}),
        }

    def offset_metric(self, shot: int) -> Array:
        """Matrix G [3, 3] with which the distance of `gauss` and `tophat` is w = |δ·G|².

        δ [3] is the offset from the nearest reflection.  In Miller indices G is diag(N); with the
        quirk ``gauss_width`` its rows are a*, b*, c* in Å⁻¹, times the number of cells.
        """
        if "gauss_width" in self.quirks:
            return np.asarray(self.reciprocal_A[shot] * self.cells_in_block)
        return size_tensor(self.cell_counts, self.cross_counts)

    @property
    def cells_in_block(self) -> float:
        """Number of cells in a block."""
        return cells_in_block(self.cell_counts, self.cross_counts)

    def orientation_table(self, shot: int, *, first: bool = False) -> Array:
        """Direct vectors of every orientation of a shot [M, 3 (a, b, c), 3] in metres."""
        rotations = (
            self.first_rotations if first and self.first_rotations is not None else self.rotations
        )
        table: Array
        if self.domain_mix is None:
            table = np.einsum("mij,vj->mvi", rotations, self.cells[shot])
        else:
            table = np.einsum("mij,mvj->mvi", rotations, self.domain_mix @ self.cells[shot])
        return table

    # -- identity -------------------------------------------------------------------------------

    def scalars(self) -> dict[str, Any]:
        """Return the other fields, by name."""
        return {
            field.name: value
            for field in fields(self)
            if not isinstance(value := getattr(self, field.name), np.ndarray)
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything that determines the pixels."""
        digest = hashlib.sha256(json.dumps(self.scalars(), sort_keys=True).encode())
        for name, array in self.arrays():
            digest.update(f"{name}{array.shape}{array.dtype.str}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
