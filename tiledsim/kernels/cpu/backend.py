"""The CPU backend: the compiled kernel, and the reference for the pixels that need it."""

import platform

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import alone
from tiledsim.kernels.cpu.culled import choice_of, render_listed
from tiledsim.kernels.cpu.kernel import render
from tiledsim.kernels.cpu.parameters import (
    FIRST,
    GAUSS,
    OWN,
    ROUND,
    RUNNING,
    SQUARE,
    TOPHAT,
    Index,
    Parameters,
)
from tiledsim.kernels.cpu.raster_order import render_in_raster_order
from tiledsim.kernels.derived import polarization_axes, sinc3_vanishes_below, water
from tiledsim.kernels.rendered import OnHost, Pending
from tiledsim.scene import Scene
from tiledsim.scene.pixels import area_distance, pixel_axes
from tiledsim.tile import Tile

_SHAPES = {"square": SQUARE, "round": ROUND, "gauss": GAUSS, "tophat": TOPHAT}
_CORRECTIONS = {"own": OWN, "first": FIRST, "running": RUNNING}


_NOTHING = np.zeros(0)
_NOTHING.setflags(write=False)  # as a scene's tables: another type would be compiled anew


def parameters(scene: Scene, shot: int, panel: int, *, interpolate: bool) -> Parameters:
    """Take one panel of one shot out of a scene."""
    axes, drop = polarization_axes(scene), water(scene)
    fast, slow = pixel_axes(scene, panel)
    return Parameters(
        origin=np.array(scene.origin[panel]),
        fast=np.array(fast),
        slow=np.array(slow),
        normal=np.array(scene.normal[panel]),
        beam=np.array(scene.beam),
        pixel_size=scene.pixel_size,
        close_distance=area_distance(scene, panel),
        distance=float(scene.distance[panel]),
        curved=scene.curved,
        point_pixel=scene.point_pixel,
        oversample=scene.oversample,
        layers=scene.layers,
        layer_step=scene.layer_step,
        attenuation=scene.attenuation,
        absorbing=scene.absorbing,
        radial_sensor=scene.radial_sensor,
        incident=np.array(scene.incident),
        inverse_wavelength=1.0 / np.array(scene.wavelength),
        weight=np.array(scene.weight),
        bundles=_bundles(scene),
        polarized=scene.polarized,
        polarization=scene.polarization,
        vertical=axes.vertical,
        horizontal=axes.horizontal,
        orientations=scene.orientation_table(shot),
        metric=scene.offset_metric(shot),
        cell_counts=_cell_counts(scene),
        shape=_SHAPES[scene.crystal_shape],
        fudge=scene.fudge,
        vanishes_below=sinc3_vanishes_below(scene),
        F=_flat(scene.F_table),
        low=np.array(scene.hkl_lowest, dtype=np.float64) - 1.0,
        size=np.array(scene.F_table.shape, dtype=np.float64),
        F_complex=_NOTHING if scene.F_complex is None else _flat(_as_pairs(scene.F_complex)),
        dispersion=_as_pairs(scene.dispersion)
        if scene.dispersion is not None
        else np.zeros((scene.sources, 0)),
        uniform_F=scene.uniform_F,
        default_F=scene.default_F,
        interpolate=interpolate,
        dmin=scene.dmin,
        thick=_CORRECTIONS[scene.thick_correction],
        polar=_CORRECTIONS[scene.polar_correction],
        omega=_CORRECTIONS[scene.omega_correction],
        water_start=drop.start,
        water_own=drop.own,
        skip_dark=scene.water == 0.0,
        scale=scene.scale,
    )


def _bundles(scene: Scene) -> Index:
    """Where sources in a row begin that may be projected together."""
    corrections = (scene.thick_correction, scene.polar_correction, scene.omega_correction)
    if "running" in corrections or scene.polar_correction == "first":
        return np.arange(scene.sources + 1)
    turns = (scene.incident[1:] != scene.incident[:-1]).any(axis=1)
    return np.concatenate([[0], np.flatnonzero(turns) + 1, [scene.sources]])


def _cell_counts(scene: Scene) -> NDArray[np.float64]:
    """Cells along a, b, c; of an oblique block, which is `gauss`, the product alone counts."""
    counts = (scene.cells_in_block, 1, 1) if any(scene.cross_counts) else scene.cell_counts
    return np.array(counts, dtype=np.float64)


def _as_pairs(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Real and imaginary parts one after the other along the last axis."""
    return np.ascontiguousarray(values).view(np.float64)


def _flat(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the table flat.  It stays the read-only memory that it is, file-mapped or not."""
    return np.asarray(table).reshape(-1)


class CpuBackend:
    """Renders tiles with the compiled CPU kernel in float64, in the calling thread."""

    name = "cpu"
    dtype = "float64"
    ahead = 0

    def render(self, scene: Scene, tile: Tile) -> NDArray[np.float64]:
        """Render a tile [rows, cols] in photons; pixels that are not rendered are 0."""
        return self.render_bounded(scene, tile)[0]

    def render_bounded(self, scene: Scene, tile: Tile) -> tuple[NDArray[np.float64], float]:
        """Render a tile, and say by how many photons a pixel may be too small at most."""
        scene, tile = alone(scene, tile)
        if choice_of(scene).method == "events":
            p, rendered = self._parameters(scene, tile, interpolate=False)
            image = np.empty((tile.rows, tile.cols))
            return image, render_listed(scene, tile, p, rendered, image)
        return render_in_raster_order(scene, tile, self._render), 0.0

    def start(self, scene: Scene, tile: Tile) -> Pending:
        """Put off rendering a tile until its result is fetched; there is no one else to do it."""
        return OnHost(self, scene, tile)

    def _parameters(
        self, scene: Scene, tile: Tile, *, interpolate: bool
    ) -> tuple[Parameters, NDArray[np.bool_]]:
        rendered = scene.rendered_mask(tile)
        if rendered is None:
            rendered = np.ones((tile.rows, tile.cols), dtype=np.bool_)
        return parameters(scene, tile.shot, tile.panel, interpolate=interpolate), rendered

    def _render(self, scene: Scene, tile: Tile, interpolate: bool) -> NDArray[np.float64]:
        image = np.empty((tile.rows, tile.cols))
        p, rendered = self._parameters(scene, tile, interpolate=interpolate)
        render(p, tile.slow_start, tile.fast_start, rendered, image)
        return image

    def release(self) -> None:
        """Hold nothing."""

    def describe(self) -> dict[str, str]:
        """Return what computes, for the record."""
        import numba

        return {
            "device": platform.processor() or platform.machine(),
            "numba": numba.__version__,
            "numpy": np.__version__,
        }
