"""The model in NumPy float64, vectorised over steps, for a list of pixels, every intermediate kept.

This is docs/physics.md written down once more, apart from the kernels: they are tested against it,
single pixels are traced with it, and it renders the few pixels that depend on the raster order.
Shapes: n pixels, T layers, U subpixels (slow outermost), S sources, M orientations.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiledsim.campaign.one_shot import alone
from tiledsim.kernels.derived import sinc3_vanishes_below
from tiledsim.kernels.polynomials import EXP_UNDERFLOW
from tiledsim.reference.interpolation import gather_nearest, interpolate_tricubic
from tiledsim.scene import Correction, Scene
from tiledsim.scene.pixels import area_distance, pixel_axes
from tiledsim.tile import Tile
from tiledsim.vectors import Array, unit

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]

_STEPS_AT_ONCE = 400_000


@dataclass(frozen=True)
class Rays:
    """What depends on a pixel and a source, before the crystal comes in."""

    position: Array
    """Subpixel centres [n, T, U, 3] in metres."""
    airpath: Array
    """Distances from the sample R [n, T, U]."""
    diffracted: Array
    """Unit vectors **d** [n, T, U, 3]."""
    omega: Array
    """Solid angles [n, T, U] in sr (1/R² for point pixels)."""
    capture: Array
    """Fractions absorbed by each layer [n, T, U]."""
    scattering: Array
    """Scattering vectors **q** [n, T, U, S, 3] in 1/m."""
    kept: Bool
    """Whether the resolution cut keeps the evaluation [n, T, U, S]."""
    polarization: Array
    """Polarization factors [n, T, U, S]."""


@dataclass(frozen=True)
class Steps:
    """What depends on the orientation too."""

    orientation: Array
    """Direct vectors [M, 3, 3] in metres."""
    hkl: Array
    """Fractional Miller indices [n, T, U, S, M, 3]."""
    nearest: Array
    """The nearest reflection, whole numbers [n, T, U, S, M, 3]."""
    lattice_factors: Array | None
    """Factors along a, b, c of `square` crystals [n, T, U, S, M, 3]; None for other shapes."""
    F_latt: Array
    F_cell: Array
    """Lattice and structure factors [n, T, U, S, M]."""


@dataclass(frozen=True)
class Evaluation:
    """Pixels with every intermediate."""

    rays: Rays
    steps: Steps
    intensity: Array
    """Accumulated sums [n]: what nanoBragg calls I before scaling."""
    capture: Array
    polarization: Array
    omega: Array
    """The factors [n] that multiply the sum as a whole; 1 where each term had its own."""
    pixels: Array
    """Photons per pixel [n]."""


def pixel_rays(scene: Scene, panel: int, slow: ArrayLike, fast: ArrayLike) -> Rays:
    """Compute positions, solid angles, scattering vectors and polarization of pixels [n]."""
    n, p = scene.oversample, scene.pixel_size / scene.oversample
    sub = np.arange(n)
    fdet = p * (np.asarray(fast)[:, None] * n + sub) + p / 2.0
    sdet = p * (np.asarray(slow)[:, None] * n + sub) + p / 2.0
    count = len(fdet)
    fdet = np.broadcast_to(fdet[:, None, :], (count, n, n)).reshape(count, 1, n * n, 1)
    sdet = np.broadcast_to(sdet[:, :, None], (count, n, n)).reshape(count, 1, n * n, 1)
    odet = (np.arange(scene.layers) * scene.layer_step)[None, :, None, None]
    along_fast, along_slow = pixel_axes(scene, panel)
    # In nanoBragg's order: straight ahead, rounding decides what a scattering vector of 0 becomes.
    position = (
        fdet * along_fast + sdet * along_slow + odet * scene.normal[panel] + scene.origin[panel]
    )
    if scene.curved:
        position = _on_the_curve(scene, panel, position)
    airpath = np.sqrt((position**2).sum(-1))
    diffracted = position / airpath[..., None]
    if scene.point_pixel:
        omega = 1.0 / airpath**2
    else:
        omega = scene.pixel_size**2 / airpath**2 * area_distance(scene, panel) / airpath
    q = (diffracted[..., None, :] - scene.incident) / scene.wavelength[:, None]
    kept = np.ones(q.shape[:-1], dtype=np.bool_)
    if scene.dmin > 0.0:
        stol = 0.5 * np.sqrt((q**2).sum(-1))
        with np.errstate(divide="ignore"):
            kept = (stol <= 0.0) | (scene.dmin <= 0.5 / stol)
    return Rays(
        position=position,
        airpath=airpath,
        diffracted=diffracted,
        omega=omega,
        capture=_capture(scene, panel, diffracted),
        scattering=q,
        kept=kept,
        polarization=_polarization(scene, diffracted),
    )


def _rotate(vectors: Array, axis: Array, angle: Array) -> Array:
    """Rotate vectors [..., 3] about one axis by angles [...]."""
    c, s = np.cos(angle)[..., None], np.sin(angle)[..., None]
    along = (vectors @ axis)[..., None] * axis
    return np.asarray(along * (1 - c) + vectors * c + np.cross(axis, vectors) * s)


def _on_the_curve(scene: Scene, panel: int, position: Array) -> Array:
    distance = scene.distance[panel]
    straight = np.broadcast_to(distance * scene.beam, position.shape)
    turned = _rotate(straight, scene.slow[panel], position[..., 1] / distance)
    return _rotate(turned, scene.fast[panel], position[..., 2] / distance)


def _capture(scene: Scene, panel: int, diffracted: Array) -> Array:
    if not scene.absorbing:
        return np.ones(diffracted.shape[:-1])
    cosine = 1.0 if scene.radial_sensor else diffracted @ scene.normal[panel]
    depth = np.broadcast_to(scene.layer_step * scene.attenuation / cosine, diffracted.shape[:-1])
    t = np.arange(scene.layers)[None, :, None]
    return np.asarray(np.exp(-t * depth) - np.exp(-(t + 1) * depth))


def _polarization(scene: Scene, diffracted: Array) -> Array:
    """Kahn et al., J. Appl. Cryst. 15, 330 (1982), as nanoBragg has it."""
    shape = (*diffracted.shape[:-1], scene.sources)
    if not scene.polarized:
        return np.ones(shape)
    cos_2theta = diffracted @ scene.incident.T
    cos_sqr, sin_sqr = cos_2theta**2, 1.0 - cos_2theta**2
    if scene.polarization == 0.0:
        return np.asarray(0.5 * (1.0 + cos_sqr))
    B = unit(np.cross(scene.polarization_axis, scene.incident))
    E = unit(np.cross(scene.incident, B))
    psi = -np.arctan2(diffracted @ B.T, diffracted @ E.T)
    return np.asarray(0.5 * (1.0 + cos_sqr - scene.polarization * np.cos(2.0 * psi) * sin_sqr))


def crystal_steps(
    scene: Scene, shot: int, panel: int, rays: Rays, raster: Int, first: int
) -> Steps:
    """Compute Miller indices and structure factors of every step.

    ``raster`` [n] is the linear index of each pixel; ``first`` is the position in the list of the
    pixel that holds the image's first evaluation, or −1.
    """
    table = scene.orientation_table(shot)
    hkl = np.einsum("...i,mvi->...mv", rays.scattering, table)
    if first >= 0 and scene.first_rotations is not None and scene.first_evaluation is not None:
        at = np.unravel_index(int(scene.first_evaluation[panel, 2]), rays.kept.shape[1:])
        special = scene.orientation_table(shot, first=True)
        hkl[first, at[0], at[1], at[2]] = special @ rays.scattering[first, at[0], at[1], at[2]]
    nearest = np.ceil(hkl - 0.5)
    along, F_latt = lattice_factor(scene, shot, hkl - nearest)
    return Steps(
        table,
        hkl,
        nearest,
        along,
        F_latt,
        _structure_factor(scene, shot, panel, hkl, nearest, raster),
    )


def lattice_factor(scene: Scene, shot: int, delta: Array) -> tuple[Array | None, Array]:
    """Lattice factors of distances ``delta`` [..., 3] from the nearest reflection."""
    N = np.array(scene.cell_counts, dtype=np.float64)
    total = scene.cells_in_block
    if scene.crystal_shape == "square":
        along = _sincg(delta, N)
        return along, along[..., 0] * along[..., 1] * along[..., 2]
    if scene.crystal_shape == "round":
        x = np.pi * np.sqrt(((delta * N) ** 2).sum(-1) * scene.fudge)
        return None, total * 0.723601254558268 * _sinc3(x, sinc3_vanishes_below(scene))
    w = ((delta @ scene.offset_metric(shot)) ** 2).sum(-1)
    if scene.crystal_shape == "gauss":
        exponent = w / 0.63 * scene.fudge
        return None, total * np.where(exponent > EXP_UNDERFLOW, 0.0, np.exp(-exponent))
    return None, total * (w * scene.fudge < 0.3969)


def _sincg(delta: Array, N: Array) -> Array:
    """sin(πNx)/sin(πx) for x within ½ of a whole number; N where sin πx = 0 and 1 where N ≤ 1."""
    turns = N * delta
    whole = np.rint(turns)
    sign = np.where(whole % 2 == 0, 1.0, -1.0)
    below = np.sin(np.pi * delta)
    ratio = np.divide(
        sign * np.sin(np.pi * (turns - whole)), below, where=below != 0, out=0 * delta + N
    )
    return np.where(N <= 1, 1.0, ratio)


def _sinc3(x: Array, vanishes_below: float) -> Array:
    # The difference sin x/x − cos x loses its digits near 0, where the series does not.
    small = np.abs(x) < 0.05
    safe = np.where(small, 1.0, x)
    series = 1.0 - x**2 / 10.0 + x**4 / 280.0 - x**6 / 15120.0
    value = np.where(small, series, 3.0 * (np.sin(safe) / safe - np.cos(safe)) / safe**2)
    return np.where((x > 0.0) & (x**2 < vanishes_below), 0.0, value)


def _structure_factor(
    scene: Scene, shot: int, panel: int, hkl: Array, nearest: Array, raster: Int
) -> Array:
    if scene.uniform_F:
        return np.full(hkl.shape[:-1], scene.default_F)
    if scene.F_complex is not None and scene.dispersion is not None:
        parts = gather_nearest(scene.F_complex, scene.hkl_lowest, nearest)
        # Steps are [n, T, U, S, M]: the source is the last but one.
        added = (parts[..., 1:] * scene.dispersion[:, None, :]).sum(axis=-1)
        return np.asarray(np.abs(parts[..., 0] + added))
    F = gather_nearest(scene.F_table, scene.hkl_lowest, nearest)
    if not scene.interpolate:
        return F
    smooth, inside = interpolate_tricubic(scene.F_table, scene.hkl_lowest, hkl)
    if scene.interpolation_stop is not None:
        stop_pixel, stop_step = scene.interpolation_stop[shot, panel]
        if stop_pixel >= 0:
            step = np.arange(int(np.prod(inside.shape[1:]))).reshape(inside.shape[1:])
            at = raster.reshape(-1, *(1,) * step.ndim)
            inside = inside & ((at < stop_pixel) | ((at == stop_pixel) & (step < stop_step)))
    return np.where(inside, smooth, F)


def evaluate(scene: Scene, shot: int, panel: int, slow: ArrayLike, fast: ArrayLike) -> Evaluation:
    """Evaluate pixels (slow [n], fast [n]) of one panel of one shot, every intermediate kept.

    Memory is proportional to n times the steps a pixel; :func:`render` works in portions.
    """
    slow, fast = np.asarray(slow, dtype=np.int64), np.asarray(fast, dtype=np.int64)
    rays = pixel_rays(scene, panel, slow, fast)
    first = -1
    if scene.first_evaluation is not None:
        here = (slow == scene.first_evaluation[panel, 0]) & (
            fast == scene.first_evaluation[panel, 1]
        )
        first = int(here.argmax()) if here.any() else -1
    steps = crystal_steps(scene, shot, panel, rays, slow * scene.shape[3] + fast, first)
    corrections: dict[str, tuple[Correction, Array]] = {
        "thick": (scene.thick_correction, rays.capture[..., None]),
        "polar": (scene.polar_correction, rays.polarization),
        "omega": (scene.omega_correction, rays.omega[..., None]),
    }
    own, running = np.ones(rays.kept.shape), np.ones(rays.kept.shape)
    for correction, factor in corrections.values():
        if correction == "own":
            own = own * factor
        elif correction == "running":
            running = running * factor
    terms = (steps.F_cell * steps.F_latt) ** 2 * (own * scene.weight * rays.kept)[..., None]
    if any(correction == "running" for correction, _ in corrections.values()):
        intensity = _running_sum(scene, terms, running, rays.kept, steps.F_latt)
    else:
        intensity = terms.sum(axis=(1, 2, 3, 4))
        if scene.water_twice:
            intensity += _water_start(scene)
    if scene.water and not scene.water_twice:
        drop = scene.water_molecules * scene.orientations
        intensity += drop * (own * running * scene.weight).sum(axis=(1, 2, 3))
    whole = {name: np.ones(len(slow)) for name in corrections}
    if scene.thick_correction == "first":
        whole["thick"] = rays.capture[:, -1, 0]
    if scene.polar_correction == "first":
        whole["polar"] = _first_polarization(scene, rays)
    if scene.omega_correction == "first":
        whole["omega"] = rays.omega[:, 0, 0]
    factor = whole["thick"] * whole["polar"] * whole["omega"]
    pixels = scene.scale * intensity * factor
    return Evaluation(
        rays, steps, intensity, whole["thick"], whole["polar"], whole["omega"], pixels
    )


def _water_start(scene: Scene) -> float:
    """Return what nanoBragg's running sum starts from (quirk water_twice), in photons."""
    return scene.water_molecules * scene.scale * scene.steps


def _running_sum(scene: Scene, terms: Array, factor: Array, kept: Bool, F_latt: Array) -> Array:
    """I ← (I + term)·factor, step after step (quirk running_product)."""
    n = len(terms)
    active = np.broadcast_to(kept[..., None], terms.shape)
    if not scene.water:
        active = active & (F_latt != 0.0)
    factors = np.where(active, np.broadcast_to(factor[..., None], terms.shape), 1.0).reshape(n, -1)
    flat = terms.reshape(n, -1)
    still_to_come = np.cumprod(factors[:, ::-1], axis=1)[:, ::-1]
    start = _water_start(scene) if scene.water_twice else 0.0
    return np.asarray((flat * still_to_come).sum(1) + start * still_to_come[:, 0])


def _first_polarization(scene: Scene, rays: Rays) -> Array:
    if not scene.polarized:
        return np.ones(len(rays.kept))
    kept = rays.kept.reshape(len(rays.kept), -1)
    at = kept.argmax(axis=1)
    rows = np.arange(len(kept))
    return np.where(kept[rows, at], rays.polarization.reshape(len(kept), -1)[rows, at], 0.0)


def render_pixels(scene: Scene, shot: int, panel: int, slow: ArrayLike, fast: ArrayLike) -> Array:
    """Render a list of pixels [n] in photons, in portions of bounded memory."""
    slow, fast = np.asarray(slow, dtype=np.int64), np.asarray(fast, dtype=np.int64)
    portion = max(1, _STEPS_AT_ONCE // scene.steps_per_pixel)
    values = [
        evaluate(scene, shot, panel, slow[i : i + portion], fast[i : i + portion]).pixels
        for i in range(0, len(slow), portion)
    ]
    return np.concatenate(values) if values else np.empty(0)


def render(scene: Scene, tile: Tile) -> Array:
    """Render a tile [rows, cols] in photons; pixels that are not rendered are 0."""
    scene, tile = alone(scene, tile)
    image = np.zeros((tile.rows, tile.cols))
    rendered = scene.rendered_mask(tile)
    rows, cols = np.nonzero(np.ones_like(image) if rendered is None else rendered)
    image[rows, cols] = render_pixels(
        scene, tile.shot, tile.panel, rows + tile.slow_start, cols + tile.fast_start
    )
    return image
