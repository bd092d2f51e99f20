"""From a cell or a MOSFLM matrix to the crystal's vectors, its rotations and its size in cells."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Crystal, Mosaic, Rotation
from tiledsim.experiment.sections.rotation import FRAME_STEPS
from tiledsim.io.arrays import read_npy
from tiledsim.io.numbers import plain_float
from tiledsim.io.text import read_text
from tiledsim.quirks import Quirk
from tiledsim.scene.crystal import nanobragg_cell
from tiledsim.scene.crystal.random import ParkMiller, draw_rotation, uniform_rotations
from tiledsim.scene.sweeps import Steps, complete
from tiledsim.units import MM
from tiledsim.vectors import Array, axis_rotation, xyz_rotation

LARGEST_PHI_STEPS: Final = 1_000_000
LARGEST_ORIENTATIONS: Final = 10_000_000
"""φ steps times mosaic domains; each takes 72 bytes in every worker."""

Cell = tuple[float, float, float, float, float, float]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Lattice:
    """A crystal at rest.  Rows are the vectors a, b, c (or a*, b*, c*), in the laboratory."""

    direct: Array
    """Direct vectors [3, 3] in Å."""
    reciprocal: Array
    """Reciprocal vectors [3, 3] in Å⁻¹."""
    misset_deg: tuple[float, float, float] | None
    """The misset angles, drawn ones too where they are angles."""

    @property
    def volume_A3(self) -> float:
        """Volume of the unit cell."""
        return float(abs(np.linalg.det(self.direct)))

    @property
    def cell(self) -> Cell:
        """Lengths [Å] and angles [deg] of the direct vectors."""
        return cell_of(self.direct)


def cell_of(vectors: Array) -> Cell:
    """Lengths and angles [deg] of three vectors, the rows of [3, 3]."""
    lengths = np.sqrt((vectors**2).sum(1))
    angles = []
    for i, j in ((1, 2), (0, 2), (0, 1)):
        sine = np.linalg.norm(np.cross(vectors[i], vectors[j]))
        angles.append(math.degrees(math.atan2(float(sine), float(vectors[i] @ vectors[j]))))
    a, b, c = (float(length) for length in lengths)
    alpha, beta, gamma = angles
    return a, b, c, alpha, beta, gamma


def dual(vectors: Array) -> Array:
    """Return the reciprocal of three vectors, rows of [3, 3]: b×c/V and so on."""
    cross = np.stack([np.cross(vectors[(i + 1) % 3], vectors[(i + 2) % 3]) for i in range(3)])
    return np.asarray(cross / (vectors[0] @ cross[0]))


def cell_volume(cell: Cell) -> float:
    """Volume [Å³] of a cell; ExperimentError for angles that close none."""
    a, b, c, *angles = cell
    alpha, beta, gamma = (math.radians(angle) for angle in angles)
    sigma = (alpha + beta + gamma) / 2
    skew = (
        math.sin(sigma) * math.sin(sigma - alpha) * math.sin(sigma - beta) * math.sin(sigma - gamma)
    )
    if max(angles) >= 180 or skew <= 1e-12:
        raise ExperimentError(
            f"crystal.cell_A_deg: angles {', '.join(f'{x:g}' for x in angles)} close no volume; "
            "each must be below the sum of the other two, and their sum below 360"
        )
    return 2 * a * b * c * math.sqrt(skew)


def standard_reciprocal(cell: Cell) -> Array:
    """Reciprocal vectors [3, 3] in Å⁻¹ of a cell in the default setting: a* along x, b* in xy."""
    a, b, c, *angles = cell
    volume = cell_volume(cell)
    alpha, beta, gamma = (math.radians(angle) for angle in angles)
    ca, cb, cg = math.cos(alpha), math.cos(beta), math.cos(gamma)
    sa, sb, sg = math.sin(alpha), math.sin(beta), math.sin(gamma)
    a_star, b_star, c_star = b * c * sa / volume, c * a * sb / volume, a * b * sg / volume
    cos_alpha = (cb * cg - ca) / (sb * sg)
    cos_beta = (cg * ca - cb) / (sg * sa)
    cos_gamma = (ca * cb - cg) / (sa * sb)
    sin_gamma = math.sqrt(1.0 - cos_gamma**2)
    return np.array(
        [
            [a_star, 0.0, 0.0],
            [b_star * cos_gamma, b_star * sin_gamma, 0.0],
            [c_star * cos_beta, c_star * (cos_alpha - cos_beta * cos_gamma) / sin_gamma, 1.0 / c],
        ]
    )


def read_mosflm_matrix(path: Path) -> Array:
    """Read the first nine numbers of a MOSFLM matrix file: rows x, y, z; columns a*, b*, c*.

    Returns [3, 3] with a*, b*, c* as rows, still multiplied by the wavelength in Å.
    """
    words = read_text(path, "MOSFLM matrix").split()[:9]
    try:
        numbers = [plain_float(word) for word in words]
    except ValueError as error:
        raise InputFileError(f"{path}: a MOSFLM matrix starts with nine numbers: {error}") from None
    if len(numbers) < 9:
        raise InputFileError(
            f"{path}: a MOSFLM matrix has nine numbers, this file has {len(numbers)}"
        )
    matrix = np.array(numbers).reshape(3, 3).T
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-30:
        raise InputFileError(f"{path}: the three reciprocal vectors span no volume")
    return matrix


def build_lattice(crystal: Crystal, wavelength_A: float, quirks: frozenset[Quirk]) -> Lattice:
    """Compute the vectors of the unrotated crystal, misset included.

    Raises ExperimentError for a cell without volume and InputFileError for a bad matrix file.
    """
    cell, matrix_file = crystal.cell_A_deg, crystal.mosflm_matrix_file
    forced = "cell_cstar" in quirks
    if matrix_file is not None:
        if cell is not None and not forced:
            raise ExperimentError(
                "crystal.cell_A_deg and crystal.mosflm_matrix_file are both given; give one"
            )
        matrix = read_mosflm_matrix(matrix_file)
        reciprocal = (
            nanobragg_cell.without_wavelength(matrix, wavelength_A)
            if forced
            else (matrix / wavelength_A)
        )
    elif crystal.vectors_A is not None:
        reciprocal = dual(np.array(crystal.vectors_A))
    else:
        assert cell is not None  # by tiledsim.scene.single.with_cell
        reciprocal = (nanobragg_cell.default_setting if forced else standard_reciprocal)(cell)
    misset = _misset(crystal, quirks)
    if forced and misset.angles is not None:
        reciprocal = nanobragg_cell.turned(reciprocal, misset.angles)
    else:
        reciprocal = reciprocal @ misset.rotation.T
    if not forced:
        return Lattice(dual(reciprocal), reciprocal, misset.degrees)
    if cell is None:
        direct, reciprocal = nanobragg_cell.free_lengths(reciprocal)
    else:  # the angles suffer
        direct, reciprocal = nanobragg_cell.forced_lengths(reciprocal, cell)
    if not np.isfinite([direct, reciprocal]).all():
        raise ExperimentError("crystal.cell_A_deg and the matrix close no volume")
    return Lattice(direct, reciprocal, misset.degrees)


class _Misset(NamedTuple):
    rotation: Array
    angles: Triple | None
    """About x, y, z [rad], where they are known."""
    degrees: Triple | None


def _misset(crystal: Crystal, quirks: frozenset[Quirk]) -> _Misset:
    if crystal.misset_deg is None:
        return _Misset(np.eye(3), (0.0, 0.0, 0.0), None)
    if crystal.misset_deg != "random":
        x, y, z = (nanobragg_cell.radians(angle) for angle in crystal.misset_deg)
        return _Misset(xyz_rotation((x, y, z)), (x, y, z), crystal.misset_deg)
    if "misset_radians" not in quirks:
        return _Misset(uniform_rotations(crystal.misset_seed, 1)[0], None, None)
    u = draw_rotation(
        ParkMiller(crystal.misset_seed), 90.0, float32_spread="float32_spread" in quirks
    )
    x = math.atan2(u[2, 1], u[2, 2])
    y = math.atan2(-u[2, 0], math.hypot(u[2, 1], u[2, 2]))
    z = math.atan2(u[1, 0], u[0, 0])
    degrees = (math.degrees(x), math.degrees(y), math.degrees(z))
    return _Misset(xyz_rotation((x, y, z)), (x, y, z), degrees)


def phi_steps(rotation: Rotation) -> Steps:
    """Resolve the φ steps of an exposure, or of one frame of a series; range and step in rad.

    Raises ExperimentError where they are none: a range of 0 in steps above 0.
    """

    def radians(angle: float | None) -> float | None:
        return None if angle is None else math.radians(angle)

    if rotation.frames is not None:
        width, points = math.radians(rotation.step_deg or 0.0), rotation.steps or FRAME_STEPS
        return Steps(points, width, width / points)
    steps = complete(
        rotation.steps, radians(rotation.range_deg), radians(rotation.step_deg), kind="phi"
    )
    if steps.points < 1:
        raise ExperimentError(
            f"rotation.range_deg (-osc) = 0 in steps of rotation.step_deg (-phistep) = "
            f"{rotation.step_deg:g} leaves no exposure; give a range above 0, or no step"
        )
    if steps.points > LARGEST_PHI_STEPS:
        raise ExperimentError(
            f"rotation.steps (-phisteps) = {steps.points:,}, given or of range and step: at most "
            f"{LARGEST_PHI_STEPS:,} are computed"
        )
    return steps


def phi_angles(rotation: Rotation) -> Array:
    """Angles [rad] of the φ steps of an exposure, the first of a series: φ₀ + k·step."""
    steps = phi_steps(rotation)
    return math.radians(rotation.start_deg) + steps.step * np.arange(float(steps.points))


def mosaic_rotations(mosaic: Mosaic, quirks: frozenset[Quirk]) -> Array:
    """Rotations [D, 3, 3] of the mosaic domains; the first drawn one is replaced by the identity.

    Raises InputFileError where a matrices file does not hold rotations.
    """
    if mosaic.matrices_file is not None:
        return read_rotations(mosaic.matrices_file)
    if mosaic.spread_deg == 0.0:
        return np.eye(3)[None]
    generator = ParkMiller(mosaic.seed)
    float32_spread = "float32_spread" in quirks
    domains = [
        draw_rotation(generator, math.radians(mosaic.spread_deg), float32_spread=float32_spread)
        for _ in range(10 if mosaic.domains is None else mosaic.domains)
    ]
    domains[0] = np.eye(3)
    return np.array(domains)


def read_rotations(path: Path) -> Array:
    """Read rotation matrices [D, 3, 3] from a .npy file; each must be one, to 1e-6."""
    matrices = read_npy(path, "rotations")
    if matrices.ndim != 3 or matrices.shape[1:] != (3, 3):
        raise InputFileError(f"{path}: rotations must have the shape (domains, 3, 3)")
    if len(matrices) == 0 or matrices.dtype.kind not in "fiu":
        raise InputFileError(f"{path}: rotations must be at least one, and real numbers")
    rotations = matrices.astype(np.float64)
    error_size = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = ~(error_size < 1e-6) | ~(np.linalg.det(rotations) > 0)
    if wrong.any():
        raise InputFileError(f"{path}: matrix {int(wrong.argmax())} is not a rotation")
    return rotations


@dataclass(frozen=True)
class Rotations:
    """Rotations of the crystal during an exposure, φ outermost, then mosaic domains."""

    steady: Array
    """[M, 3, 3] for every evaluation but, perhaps, the first of an image."""
    first: Array | None
    """[M, 3, 3] for the first evaluation of an image, where it differs (quirk phi_carryover)."""


def orientation_rotations(
    phis: Array, spindle: Array, domains: Array, quirks: frozenset[Quirk]
) -> Rotations:
    """Combine φ steps [K] and mosaic domains [D, 3, 3] into M = K·D rotations.

    With the quirk ``phi_carryover`` a step at φ = 0 keeps the rotation of the step before it, the
    first step that of the last one; only the first evaluation of an image starts unrotated.
    Raises ExperimentError for more rotations than are computed.
    """
    if len(phis) * len(domains) > LARGEST_ORIENTATIONS:
        raise ExperimentError(
            f"{len(phis):,} phi steps of {len(domains):,} mosaic domains each: at most "
            f"{LARGEST_ORIENTATIONS:,} orientations are computed; give fewer rotation.steps "
            "(-phisteps) or crystal.mosaic.domains (-mosaic_domains)"
        )
    spins = np.stack([axis_rotation(spindle, float(phi)) for phi in phis])
    first = spins
    if "phi_carryover" in quirks and (phis == 0.0).any():
        first, spins = _carried(spins, phis, np.eye(3)), _carried(spins, phis, None)
    combined = [np.einsum("dij,kjl->kdil", domains, s).reshape(-1, 3, 3) for s in (spins, first)]
    if np.array_equal(combined[0], combined[1]):
        return Rotations(combined[0], None)
    return Rotations(combined[0], combined[1])


def _carried(spins: Array, phis: Array, start: Array | None) -> Array:
    moving = np.flatnonzero(phis != 0.0)
    if start is None:  # what the evaluation before left behind
        start = spins[moving[-1]] if moving.size else np.eye(3)
    carried, current = spins.copy(), start
    for k, phi in enumerate(phis):
        current = carried[k] if phi != 0.0 else current
        carried[k] = current
    return carried


def size_in_cells(
    crystal: Crystal, direct: Array, beamsize_mm: float, quirks: frozenset[Quirk]
) -> tuple[int, int, int]:
    """Number of cells along a, b, c: as given, or the size of the sample over the cell's length.

    The beam clips the sample along y and z.  A whole number of cells is that number, to rounding;
    with the quirk ``cell_cstar`` it may be one more, by the last bit of nanoBragg's length.
    """
    slack = 0.0 if "cell_cstar" in quirks else 1e-12
    cells = []
    lengths = nanobragg_cell.lengths_in_metres(direct)
    for axis, (size, count) in enumerate(zip(crystal.size_mm, crystal.cells, strict=True)):
        clipped = size if axis == 0 else min(size, beamsize_mm)
        whole = math.ceil(clipped / MM / lengths[axis] * (1.0 - slack))
        cells.append(max(whole, 1) if size > 0 else count)
    return cells[0], cells[1], cells[2]
