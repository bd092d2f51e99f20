"""Every intermediate of one pixel, in the order and under the names of nanoBragg's trace.

Computed by the reference as arrays over layers, subpixels, sources, φ steps and domains, beside
the value that the production kernel gives the same pixel.
"""

import csv
import io
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tiledsim.campaign.one_shot import alone
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment
from tiledsim.kernels import get_backend
from tiledsim.reference.detection import added_entries
from tiledsim.reference.entries import Entry, Value
from tiledsim.reference.model import Evaluation, evaluate
from tiledsim.reference.skipped import Skipped, skipped_steps
from tiledsim.scene import Scene
from tiledsim.scene.build import build_scene
from tiledsim.scene.transmission import tile_transmission
from tiledsim.tile import Tile
from tiledsim.units import ANGSTROM, THOMSON_RADIUS_SQUARED_M2
from tiledsim.vectors import Array


class PhiEntry(NamedTuple):
    """One φ step of the first domain, for the first source at the last subpixel and layer."""

    phi_tic: int
    phi_deg: float
    k_frac: float
    F_latt_b: float
    F_latt: float


@dataclass(frozen=True)
class PixelTrace:
    """The trace of one pixel."""

    shot: int
    panel: int
    slow: int
    fast: int
    entries: tuple[Entry, ...]
    """In nanoBragg's order, then the kernel's value, its distance, what it leaves out, and what the
    image has besides: amorphous layers, and the steps of the noise."""
    phi: tuple[PhiEntry, ...]
    evaluation: Evaluation
    """Every intermediate; see :mod:`tiledsim.reference.model` for the shapes, with n = 1."""
    scene: Scene
    skipped: Skipped | None = None
    """What the kernel leaves out; None where it evaluates every step."""

    def __getitem__(self, key: str) -> Value:
        """Return the value of a line.

        Parameters
        ----------
        key
            Its name, such as ``omega_pixel_sr``.

        Returns
        -------
        float, int, str or tuple of float
            In the unit that :attr:`entries` names.

        Raises
        ------
        KeyError
            For a line that the trace does not have.
        """
        for entry in self.entries:
            if entry.key == key:
                return entry.value
        raise KeyError(key)

    def lines(self) -> list[str]:
        """Return the trace as nanoBragg prints its own.

        Returns
        -------
        list of str
            ``TRACE_PY: key value…``, 15 significant digits.
        """
        lines = [
            f"TRACE_CONFIG: tracing pixel (spixel={self.slow}, fpixel={self.fast})",
            *(f"TRACE_PY: {entry.key} {_digits(entry.value)}" for entry in self.entries),
        ]
        for step in self.phi:
            pairs = " ".join(f"{k}={_digits(v)}" for k, v in step._asdict().items())
            lines.append(f"TRACE_PY_PHI {pairs}")
        return lines

    def table(self) -> str:
        """Return the trace as a table for people.

        Returns
        -------
        str
            A line for each value: its name, digits, unit and meaning.
        """
        rows = [(e.key, _digits(e.value), e.unit, e.meaning) for e in self.entries]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join(
            "  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]).rstrip()
            for row in rows
        )

    def all_steps(self) -> dict[str, Array]:
        """Return every evaluation of the pixel's sum.

        Returns
        -------
        dict of str to numpy.ndarray
            Columns of equal length: numbers of the layer, subpixel, source, φ step and domain,
            then the values of that step; units stand at the ends of the names.
        """
        scene, steps, rays = self.scene, self.evaluation.steps, self.evaluation.rays
        shape = steps.F_latt.shape[1:]
        layer, subpixel, source, orientation = (
            np.broadcast_to(index, shape).ravel() for index in np.ogrid[tuple(map(slice, shape))]
        )
        domains = scene.orientations // len(scene.phi)

        def spread(values: Array, axes: int) -> Array:
            trailing = values[0].reshape(values.shape[1:] + (1,) * axes)
            return np.broadcast_to(trailing, shape).ravel()

        columns = {
            "layer": layer,
            "subpixel": subpixel,
            "source": source,
            "phi_step": orientation // domains,
            "domain": orientation % domains,
            "phi_deg": np.degrees(scene.phi)[orientation // domains],
            "wavelength_A": scene.wavelength[source] * ANGSTROM,
            "capture": spread(rays.capture, 2),
            "omega_sr": spread(rays.omega, 2),
            "polarization": spread(rays.polarization, 1),
            "kept": spread(rays.kept.astype(np.int64), 1),
        }
        for i, name in enumerate("hkl"):
            columns[f"{name}_frac"] = steps.hkl[0, ..., i].ravel()
            columns[f"{name}_rounded"] = steps.nearest[0, ..., i].astype(np.int64).ravel()
        columns["F_latt"] = steps.F_latt[0].ravel()
        columns["F_cell"] = steps.F_cell[0].ravel()
        columns["F_cell2_F_latt2"] = (columns["F_cell"] * columns["F_latt"]) ** 2
        if self.skipped is not None:
            columns["skipped"] = self.skipped.steps.astype(np.int64).ravel()
        return columns

    def all_steps_csv(self) -> str:
        """Write what :meth:`all_steps` returns.

        Returns
        -------
        str
            CSV with a line of names, numbers with all their digits.
        """
        columns = self.all_steps()
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        return out.getvalue()


def _digits(value: Value) -> str:
    if isinstance(value, tuple):
        return " ".join(_digits(v) for v in value)
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def check_pixel(scene: Scene, shot: int, panel: int, slow: int, fast: int) -> None:
    """Raise ExperimentError for a pixel that the run does not render."""
    shots, panels, rows, cols = scene.shape
    for what, value, count in (
        ("shot", shot, shots),
        ("panel", panel, panels),
        ("slow", slow, rows),
        ("fast", fast, cols),
    ):
        if not 0 <= value < count:
            raise ExperimentError(f"{what} {value} does not exist: 0 to {count - 1} do")
    tile = Tile(shot, panel, slow, slow + 1, fast, fast + 1)
    if not scene.count_rendered(tile):
        raise ExperimentError(
            f"pixel (slow {slow}, fast {fast}) is not rendered: it is masked, or outside the "
            f"region of interest {list(scene.roi)} (fast_min, fast_max, slow_min, slow_max)"
        )


def trace(
    experiment: Experiment | Scene, panel: int, slow: int, fast: int, *, shot: int = 0,
    backend: str = "auto", dtype: str = "float64",
) -> PixelTrace:  # fmt: skip
    """Trace one pixel: every intermediate of its value, in nanoBragg's names and order.

    Parameters
    ----------
    experiment
        What is simulated, or the scene that ``build_scene`` made of it.
    panel, slow, fast
        The pixel, counted from 0.
    shot
        The image, counted from 0.
    backend, dtype
        The kernel whose value stands beside the reference's, as :func:`tiledsim.simulate` takes
        them.

    Returns
    -------
    PixelTrace
        The values with units and meanings; ``lines()``, ``table()`` and ``all_steps()`` write them.

    Raises
    ------
    ExperimentError
        For a pixel that is not rendered.
    BackendError
        For a kernel that is not available.
    """
    scene = experiment if isinstance(experiment, Scene) else build_scene(experiment)
    check_pixel(scene, shot, panel, slow, fast)
    whole, asked = scene, Tile(shot, panel, slow, slow + 1, fast, fast + 1)
    scene, tile = alone(whole, asked)
    found = evaluate(scene, tile.shot, panel, [slow], [fast])
    renderer = get_backend(backend, dtype)
    kernel = float(renderer.render(scene, tile)[0, 0])
    skipped = skipped_steps(scene, tile.shot, panel, found) if renderer.name == "cpu" else None
    value = float(found.pixels[0])
    entries = (
        *_geometry(scene, panel, found),
        *_crystal(scene, tile.shot, found),
        *_scaling(scene, found),
        *_leaving(scene, tile),
        Entry("kernel_I_pixel", kernel, "photons", "the production kernel's value of this pixel"),
        Entry(
            "kernel_rel_delta",
            abs(kernel - value) / abs(value) if value else abs(kernel),
            "1",
            "its relative distance from I_pixel_final",
        ),
        *_left_out(skipped),
        *added_entries(renderer, whole, asked),
    )
    phi = _phi_entries(scene, found)
    return PixelTrace(shot, panel, slow, fast, entries, phi, found, scene, skipped)


def _leaving(scene: Scene, tile: Tile) -> list[Entry]:
    """Return what the crystal lets out; the values of the trace are before that."""
    if scene.absorption is None:
        return []
    left = float(tile_transmission(scene, tile)[0, 0])
    meaning = "what leaves the crystal of I_pixel_final, as the image has it"
    return [Entry("crystal_transmission", left, "1", meaning)]


def _vector(values: Array) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _geometry(scene: Scene, panel: int, found: Evaluation) -> list[Entry]:
    rays = found.rays
    airpath = float(rays.airpath[0, -1, -1])
    close = float(scene.close_distance[panel])
    first = scene.omega_correction == "first"
    omega = rays.omega[0, 0, 0] if first else rays.omega[0, -1, -1]
    wavelength = float(scene.wavelength[0])
    at = rays.diffracted[0, -1, -1]
    return [
        Entry("pix0_vector_meters", _vector(scene.origin[panel]), "m", "corner of pixel 0,0"),
        Entry("fdet_vec", _vector(scene.fast[panel]), "1", "fast axis"),
        Entry("sdet_vec", _vector(scene.slow[panel]), "1", "slow axis"),
        Entry("pixel_pos_meters", _vector(rays.position[0, -1, -1]), "m", "last subpixel, layer"),
        Entry("R_distance_meters", airpath, "m", "distance from the sample"),
        Entry("omega_pixel_sr", float(omega), "sr", "solid angle"),
        Entry("close_distance_meters", close, "m", "distance of the detector's plane"),
        Entry("obliquity_factor", close / airpath, "1", "close_distance / R"),
        Entry("diffracted_vec", _vector(at), "1", "direction of the diffracted ray"),
        Entry("incident_vec", _vector(scene.incident[0]), "1", "ray of the first source"),
        Entry("lambda_meters", wavelength, "m", "wavelength of the first source"),
        Entry("lambda_angstroms", wavelength * ANGSTROM, "Å", "the same"),
        Entry(
            "scattering_vec_A_inv", _vector(rays.scattering[0, -1, -1, 0]), "1/m",
            "scattering vector (nanoBragg's label is wrong)",
        ),
    ]  # fmt: skip


def _first_orientation(scene: Scene, shot: int, found: Evaluation) -> Array:
    """Direct vectors of the first orientation, as the last evaluation of source 0 has them."""
    hkl = found.steps.hkl[0, -1, -1, 0, 0]
    steady = scene.orientation_table(shot)[0]
    if scene.first_rotations is None:
        return np.asarray(steady)
    special = scene.orientation_table(shot, first=True)[0]
    q = found.rays.scattering[0, -1, -1, 0]
    distances = [np.abs(table @ q - hkl).max() for table in (steady, special)]
    return np.asarray((steady, special)[int(np.argmin(distances))])


def _crystal(scene: Scene, shot: int, found: Evaluation) -> list[Entry]:
    steps = found.steps
    vectors = _first_orientation(scene, shot, found) * ANGSTROM
    nearest = steps.nearest[0, -1, -1, 0, 0]
    entries = [
        Entry(f"rot_{name}_angstroms", _vector(vector), "Å", f"direct vector {name}, rotated")
        for name, vector in zip("abc", vectors, strict=True)
    ]
    entries += [
        Entry(f"rot_{name}_star_A_inv", _vector(vector), "1/Å", f"{name}*, not rotated")
        for name, vector in zip("abc", scene.reciprocal_A[shot], strict=True)
    ]
    entries += [
        Entry("hkl_frac", _vector(steps.hkl[0, -1, -1, 0, 0]), "1", "fractional Miller indices"),
        Entry("hkl_rounded", tuple(int(i) for i in nearest), "1", "nearest reflection"),
    ]
    F_latt = float(steps.F_latt[0, -1, -1, 0, 0])
    if steps.lattice_factors is not None:
        along = _signed(scene, steps.lattice_factors[0, -1, -1, 0, 0], nearest)
        entries += [
            Entry(f"F_latt_{name}", float(value), "1", f"lattice factor along {name}")
            for name, value in zip("abc", along, strict=True)
        ]
        F_latt = float(along[0] * along[1] * along[2])
    entries.append(Entry("F_latt", F_latt, "1", "lattice factor"))
    entries.append(
        Entry("F_cell", float(steps.F_cell[0, -1, -1, 0, 0]), "electrons", "structure factor")
    )
    return entries


def _signed(scene: Scene, along: Array, nearest: Array) -> Array:
    """sin(πNh)/sin(πh) with its sign: (−1)^((N−1)·h₀) times that of the fraction."""
    flips = (np.array(scene.cell_counts) - 1) * nearest
    return np.where((flips % 2 != 0) & (np.array(scene.cell_counts) > 1), -along, along)


def _scaling(scene: Scene, found: Evaluation) -> list[Entry]:
    rays, steps = found.rays, found.steps
    kinds = (scene.thick_correction, scene.polar_correction, scene.omega_correction)
    if "running" in kinds:
        intensity = float(found.intensity[0])
    else:
        weights = (scene.weight * rays.kept)[..., None]
        intensity = float(((steps.F_cell * steps.F_latt) ** 2 * weights).sum())
        if scene.water_twice:
            intensity += scene.water_molecules * scene.scale * scene.steps
    last = rays.polarization[0, -1, -1, 0]
    capture = found.capture[0] if scene.thick_correction == "first" else rays.capture[0, -1, -1]
    polar = found.polarization[0] if scene.polar_correction == "first" else last
    omega = found.omega[0] if scene.omega_correction == "first" else rays.omega[0, -1, -1]
    cosine = scene.incident[-1] @ rays.diffracted[0, -1, -1]
    final = float(found.pixels[0])
    flags = {
        name: int(kind == "running")
        for name, kind in zip(("thick", "polar", "omega"), kinds, strict=True)
    }
    return [
        Entry("I_before_scaling", intensity, "electrons²", "Σ F_cell² F_latt²"),
        Entry("r_e_meters", math.sqrt(THOMSON_RADIUS_SQUARED_M2), "m", "electron radius"),
        Entry("r_e_sqr", THOMSON_RADIUS_SQUARED_M2, "m²", "its square"),
        Entry("fluence_photons_per_m2", scene.fluence, "photons/m²", "incident fluence"),
        Entry("steps", scene.steps, "1", "subpixels x sources x orientations"),
        *(
            Entry(f"oversample_{name}", flag, "1", "correction multiplies the running sum")
            for name, flag in flags.items()
        ),
        Entry("capture_fraction", float(capture), "1", "absorbed by the last layer"),
        Entry("polar", float(polar), "1", "polarization factor"),
        Entry("omega_pixel", float(omega), "sr", "solid angle"),
        Entry("cos_2theta", float(cosine), "1", "last source, last subpixel and layer"),
        Entry("I_pixel_final", final, "photons", "the pixel"),
        Entry("floatimage_accumulated", float(np.float32(final)), "photons", "the same in float32"),
    ]


def _left_out(skipped: Skipped | None) -> list[Entry]:
    if skipped is None:
        return []
    count, photons = int(skipped.steps.sum()), skipped.photons
    return [
        Entry("steps_skipped", count, "1", "steps that the production kernel leaves out"),
        Entry("skipped_photons", photons, "photons", "what they would have added"),
        Entry("skipped_bound", skipped.bound, "photons", "the most that they could have"),
    ]


def _phi_entries(scene: Scene, found: Evaluation) -> tuple[PhiEntry, ...]:
    steps = found.steps
    domains = scene.orientations // len(scene.phi)
    entries = []
    for tic, phi in enumerate(scene.phi):
        m = tic * domains
        nearest = steps.nearest[0, -1, -1, 0, m]
        factor_b, factor = math.nan, float(steps.F_latt[0, -1, -1, 0, m])
        if steps.lattice_factors is not None:
            along = _signed(scene, steps.lattice_factors[0, -1, -1, 0, m], nearest)
            factor_b, factor = float(along[1]), float(along.prod())
        k = float(steps.hkl[0, -1, -1, 0, m, 1])
        entries.append(PhiEntry(tic, math.degrees(float(phi)), k, factor_b, factor))
    return tuple(entries)
