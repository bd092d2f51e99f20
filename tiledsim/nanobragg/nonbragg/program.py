"""nonBragg: the pattern of an amorphous sample in photons, and its images.

What the program does (James Holton and Ken Frankel; docs/nanobragg.md): its geometry, which is not
nanoBragg's, its table of F, its sum and its files.  Each departure from its own description is a
quirk that can be switched off.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.image_files.smv.header import smv_block
from tiledsim.io.numbers import plain_float
from tiledsim.io.text import read_text
from tiledsim.nanobragg.command.flags import read_flags
from tiledsim.nanobragg.images.files import OutputFiles, check_outputs
from tiledsim.nanobragg.images.images import ImageRequest, write_images
from tiledsim.nanobragg.images.outputs import statistics_lines
from tiledsim.nanobragg.images.smv_text import CLOSING, exposure, opening
from tiledsim.nanobragg.images.statistics import image_statistics
from tiledsim.nanobragg.nonbragg.flags import NONBRAGG_TABLE
from tiledsim.nanobragg.nonbragg.geometry import Plane, place
from tiledsim.nanobragg.nonbragg.pattern import amorphous_pattern
from tiledsim.nanobragg.nonbragg.stol_table import read_stol
from tiledsim.nanobragg.program_quirks import NONBRAGG_QUIRKS
from tiledsim.nanobragg.report import numbers
from tiledsim.quirks import Mode
from tiledsim.scene.sweeps import Steps, complete
from tiledsim.units import (
    AVOGADRO,
    DEFAULT_FLUENCE,
    THOMSON_RADIUS_SQUARED_M2,
    energy_to_wavelength_A,
)

Float64 = NDArray[np.float64]
TITLE: Final = (
    "nonBragg amorphous material diffraction simulator - James Holton and Ken Frankel 3-19-16"
)
_DEFAULTS: Final[dict[str, Any]] = {
    "float_file": Path("floatimage.bin"), "int_file": Path("intimage.img"),
    "pgm_file": Path("image.pgm"), "noise_file": Path("noiseimage.img"), "nonoise": False,
    "sample_x_mm": 0.1, "sample_y_mm": 0.1, "sample_z_mm": 0.1, "density_g_per_cm3": 1.0,
    "molecules": 0.0, "molecular_weight_g_per_mol": 18.0, "wavelength_A": 1.0,
    "fluence_photons_per_m2": DEFAULT_FLUENCE, "flux_photons_per_s": 0.0, "exposure_s": 1.0,
    "beamsize_mm": 0.1, "polarization": 0.0, "nopolar": False, "dispersion_percent": 0.0,
    "round_divergence": True, "source_distance_mm": 10000.0, "pixel_mm": 0.1,
    "side_f_mm": 102.4, "side_s_mm": 102.4, "distance_mm": 100.0, "point_pixel": False,
    "oversample": 1, "phi_deg": 0.0, "osc_deg": 0.0, "two_theta_deg": 0.0, "adc": 40.0,
    "roi": (-1, -1, -1, -1), "printout": False,
}  # fmt: skip
_ABOVE_0: Final = {
    "pixel_mm": "-pixel", "wavelength_A": "-lambda", "density_g_per_cm3": "-density",
    "molecular_weight_g_per_mol": "-MW", "sample_x_mm": "-thickness", "beamsize_mm": "-beamsize",
}  # fmt: skip


@dataclass(frozen=True)
class NonbraggCommand:
    """A command line of nonBragg, read and checked."""

    values: dict[str, Any]
    quirks: frozenset[str]
    mode: Mode
    notes: tuple[str, ...]


def parse_nonbragg(
    argv: Sequence[str], base: Path | None = None, quirks: frozenset[str] | None = None, *,
    mode: Mode = "c-parity",
) -> NonbraggCommand:  # fmt: skip
    """Read a command line of nonBragg; file names are relative to ``base``.

    Without ``quirks`` the mode c-parity has all of them, spec none.

    Raises ExperimentError for flags that are not understood, StoreError where an output cannot be
    written.
    """
    base = (base or Path()).absolute()
    values: dict[str, Any] = {"pivot": "beam"}
    notes = []
    for given in read_flags(argv, NONBRAGG_TABLE):
        flag = given.flag
        values |= flag.sets
        found: Any = given.values[0] if len(given.values) == 1 else given.values
        if flag.takes == "file":
            found = base / given.values[0]
        values |= dict.fromkeys(flag.keys, found)
        if flag.pivot:
            values["pivot"] = flag.pivot
        if flag.name == "-energy":
            values["wavelength_A"] = energy_to_wavelength_A(given.values[0])
        if flag.idle:
            notes.append(f"{given.name} has no effect: nonBragg reads it and uses it for nothing")
    if "stol_file" not in values:
        raise ExperimentError("no table of F: give -stol FILE, -4stol FILE or -Q FILE")
    values = _DEFAULTS | values
    for key, name in _ABOVE_0.items():
        if not values[key] > 0:
            raise ExperimentError(f"{name} {values[key]:g}: must be above 0")
    if values["nonoise"]:
        values["noise_file"] = None
    names = ("float", "int", "pgm", "noise")
    check_outputs({f"-{name}file": values[f"{name}_file"] for name in names})
    if quirks is None:
        quirks = frozenset(NONBRAGG_QUIRKS if mode == "c-parity" else ())
    return NonbraggCommand(values, quirks, mode, tuple(notes))


def run_nonbragg(command: NonbraggCommand) -> list[str]:
    """Do what the command says, write its images, and return what nonBragg prints.

    The images appear all together or not at all.
    """
    v, quirks = command.values, command.quirks
    lines = [TITLE]
    sample = _sample(v, lines)
    plane = place(v, quirks)
    lines.append(
        f"pivoting detector around {'sample' if v['pivot'] == 'sample' else 'direct beam spot'}"
    )
    stol, F, count = read_stol(v["stol_file"], v["stol_unit"], quirks)
    lines.append(f"reading {v['stol_file']}")
    sources = _sources(v, plane, lines)
    slow, fast = plane.pixels[1], plane.pixels[0]
    roi = _roi(v["roi"], fast, slow)
    lines += _summary(v, plane, sample, count, sources, roi)
    seed = int(time.time()) if v.get("seed") is None else v["seed"]
    if v["noise_file"] is not None:
        lines += ["", "  noise image paramters:", f"  seed: {-seed}"]
    image = np.zeros((slow, fast), dtype=np.float32)
    normalised = float(sources[:, 3].sum())
    per_source = float(len(sources)) if "weights_unnormalised" in quirks else normalised
    omega = amorphous_pattern(
        image, np.array(roi), np.array([plane.fast, plane.slow, plane.origin, plane.polarization]),
        plane.pixel_size, v["oversample"], plane.close_distance, v["point_pixel"], sources,
        v["polarization"], not v["nopolar"], stol, F, count,
        "stol_overshoot" in quirks, "stol_linear_tail" in quirks,
        np.array([THOMSON_RADIUS_SQUARED_M2, sample.fluence, sample.molecules,
                  per_source * v["oversample"] ** 2]),
    )  # fmt: skip
    lines += _printed(v, image)
    lines += [
        "",
        f"solid angle subtended by detector = {omega:.6g} steradian "
        f"( {100 * omega / 4 / math.pi:.6g}% sphere)",
    ]
    with OutputFiles() as files:
        with files.open(v["float_file"]) as out:
            out.write(image.astype("<f4").tobytes())
        lines.append(f"writing {v['float_file']} as {image.size} 4-byte floats")
        inside = np.zeros(image.shape, dtype=np.bool_)
        inside[roi[2] : roi[3] + 1, roi[0] : roi[1] + 1] = True
        statistics = image_statistics(
            image, roi, lambda part: inside[part], shift=int("rmsd_shifted" in quirks)
        )
        lines += statistics_lines(statistics, plane.pixel_size, v["oversample"])
        request = ImageRequest(
            int_file=v["int_file"], pgm_file=v["pgm_file"], noise_file=v["noise_file"],
            int_scale=v.get("int_scale"), pgm_scale=v.get("pgm_scale"), adc=v["adc"],
            noise_seed=seed, mode=command.mode,
        )  # fmt: skip
        lines += write_images(
            image, roi, statistics, _header(v, plane), request, files,
            pgm_doubled="pgm_long" in quirks,
        )  # fmt: skip
    return lines


@dataclass(frozen=True)
class _Sample:
    fluence: float
    sides: tuple[float, float, float]
    density: float
    """g/m³."""
    molecules: float


def _sample(v: dict[str, Any], lines: list[str]) -> _Sample:
    beamsize = v["beamsize_mm"] / 1000
    fluence = v["fluence_photons_per_m2"]
    if v["flux_photons_per_s"] != 0.0 and v["exposure_s"] > 0.0:
        fluence = v["flux_photons_per_s"] * v["exposure_s"] / beamsize / beamsize
    x, y, z = (v[f"sample_{axis}_mm"] / 1000 for axis in "xyz")
    for size, way in ((y, "high"), (z, "wide")):
        if beamsize < size:
            lines.append(
                f"WARNING: clipping sample ({size:.6g} m {way}) with beam ({beamsize:.6g} m)"
            )
    y, z = min(y, beamsize), min(z, beamsize)
    volume, density = x * y * z, v["density_g_per_cm3"] * 1e6
    weight = v["molecular_weight_g_per_mol"]
    if v["molecules"] != 0:
        density = v["molecules"] / volume / AVOGADRO * weight
    return _Sample(fluence, (x, y, z), density, volume * density * AVOGADRO / weight)


def _sweep(v: dict[str, Any], name: str) -> Steps:
    extent, step = v.get(f"{name}_range_mrad"), v.get(f"{name}_step_mrad")
    return complete(
        v.get(f"{name}_steps"),
        None if extent is None else extent / 1000.0,
        None if step is None else step / 1000.0,
        kind="divergence",
    )


def _dispersion(v: dict[str, Any]) -> Steps:
    return complete(
        v.get("dispersion_steps"), v["dispersion_percent"] / 100.0, None, kind="divergence"
    )


def _sources(v: dict[str, Any], plane: Plane, lines: list[str]) -> Float64:
    """Return x y z [m], weight and wavelength [m] of every source, [S, 5]."""
    wavelength, away = v["wavelength_A"] / 1e10, v["source_distance_mm"] / 1000.0
    straight = -away * plane.beam
    if v.get("source_file") is not None:
        rows = _source_file(v["source_file"], [*straight, 1.0, wavelength])
        v["divergence_steps"] = v.get("hdiv_steps", -1)
    else:
        h, w, spectrum = _sweep(v, "hdiv"), _sweep(v, "vdiv"), _dispersion(v)
        factors = [1.0 + spectrum.step * n - spectrum.extent / 2.0 for n in range(spectrum.points)]
        angles = [
            (hdiv, vdiv)
            for hdiv in (h.step * i - h.extent / 2.0 for i in range(h.points))
            for vdiv in (w.step * j - w.extent / 2.0 for j in range(w.points))
            if not (v["round_divergence"] and _outside(hdiv, vdiv, h, w))
        ]
        lines += [f"divergence deviation: {a:.6g} {b:.6g}" for a, b in angles]
        lines += [f"lambda{n} = {wavelength * f:.15g}" for n, f in enumerate(factors)]
        v["divergence_steps"] = len(angles)
        rows = [
            [*plane.diverged(straight, a, b), 1.0, wavelength * f]
            for a, b in angles
            for f in factors
        ]
        if not rows:
            raise ExperimentError("round divergence drops every ray; give -square_div")
    lines.append(f"  created a total of {len(rows)} sources:")
    lines += [f"{numbers((x, y, z))}   {i:.6g} {l:.6g}" for x, y, z, i, l in rows]
    return np.array(rows)


def _outside(hdiv: float, vdiv: float, h: Steps, w: Steps) -> bool:
    if h.extent <= 0 or w.extent <= 0:
        return False
    test = (hdiv**2 - h.step**2 / 4.0 * (1 - h.points % 2)) / h.extent / h.extent
    test += (vdiv**2 - w.step**2 / 4.0 * (1 - w.points % 2)) / w.extent / w.extent
    return test * 4.0 > 1.1


def _source_file(path: Path, default: list[float]) -> list[list[float]]:
    rows = []
    for number, line in enumerate(read_text(path, "source").splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()[:5]
        try:
            values = [plain_float(word) for word in words]
        except ValueError:
            raise InputFileError(f"{path}, line {number}: not numbers: {line.strip()!r}") from None
        if values:
            rows.append([*values, *default[len(values) :]])
    if not rows:
        raise InputFileError(f"{path}: no sources; each line holds x y z weight wavelength_m")
    return rows


def _roi(given: tuple[int, ...], fast: int, slow: int) -> tuple[int, int, int, int]:
    low_f, high_f = max(given[0], 0), fast - 1 if given[1] < 0 else min(given[1], fast - 1)
    low_s, high_s = max(given[2], 0), slow - 1 if given[3] < 0 else min(given[3], slow - 1)
    if low_f > high_f or low_s > high_s:
        raise ExperimentError(
            f"-roi {' '.join(str(n) for n in given)}: fast_min fast_max slow_min slow_max must "
            f"rise and lie inside the detector of {fast} x {slow} pixels (fast x slow)"
        )
    return low_f, high_f, low_s, high_s


def _summary(
    v: dict[str, Any], plane: Plane, sample: _Sample, count: int, sources: Float64,
    roi: tuple[int, int, int, int],
) -> list[str]:  # fmt: skip
    dispersion, h, w = _dispersion(v), _sweep(v, "hdiv"), _sweep(v, "vdiv")
    x, y, z = sample.sides
    fast, slow = plane.pixels
    limits = [
        edge if limit < 0 else limit
        for limit, edge in zip(v["roi"], (0, fast, 0, slow), strict=True)
    ]
    polar = f"  Kahn polarization factor: {v['polarization']:.6f}"
    return [
        f"  {count} initialized F points (will cubic-spline interpolate between them)",
        f"  wave={v['wavelength_A'] / 1e10:.6g} meters +/- {dispersion.extent * 100:.6g}% "
        f"in {dispersion.points} steps",
        "  polarization effect disabled" if v["nopolar"] else polar,
        *(["  pixel obliquity effect disabled"] if v["point_pixel"] else []),
        f"  incident fluence: {sample.fluence:.6g} photons/m^2",
        f"  sample is {x:.6g} m thick x {y:.6g} m high x {z:.6g} m wide, "
        f"{sample.density / 1e6:.6g} g/cm^3 and {v['molecular_weight_g_per_mol']:.6g} g/mol "
        f"({sample.molecules:.6g} molecules)",
        f"  distance={plane.distance:.6g} detsize={plane.sides[0]:.6g}x{plane.sides[1]:.6g}  "
        f"pixel={plane.pixel_size:.6g} meters ({fast}x{slow} pixels)",
        f"  Xbeam={plane.beam_xy[0]:.6g} Ybeam={plane.beam_xy[1]:.6g}",
        f"  detector origin: {numbers(plane.origin)}",
        f"  DIRECTION_OF_DETECTOR_X-AXIS= {numbers(plane.fast)}",
        f"  DIRECTION_OF_DETECTOR_Y-AXIS= {numbers(plane.slow)}",
        f"  INCIDENT_BEAM_DIRECTION= {numbers(plane.beam)}",
        f"  POLARIZATION_PLANE_NORMAL= {numbers(plane.polarization)}",
        f"  roi: {limits[0]} < x < {limits[1]} && {limits[2]} < y < {limits[3]}",
        f"  hdivrange={h.extent:.6g} hdivstep={h.step:.6g}  radians",
        f"  vdivrange={w.extent:.6g} vdivstep={w.step:.6g}  radians",
        f"  {v['divergence_steps']} divergence steps",
        f"  {len(sources)} sources",
        f"  {v['oversample']} pixel oversample steps",
    ]


def _printed(v: dict[str, Any], image: NDArray[np.float32]) -> list[str]:
    """The value of one pixel (fast, slow) or of all."""
    if not v["printout"]:
        return []
    slow, fast = image.shape
    if v.get("printout_pixel") is None:
        chosen = [(f, s) for s in range(slow) for f in range(fast)]
    else:
        f, s = v["printout_pixel"]
        chosen = [(f, s)] if f < fast and s < slow else []
    return [f"{f:4d} {s:4d} : pixel {float(image[s, f]):15.10g}" for f, s in chosen]


def _header(v: dict[str, Any], plane: Plane) -> bytes:
    p, (x, y), (near_x, near_y) = plane.pixel_size, plane.beam_xy, plane.close_xy
    return smv_block(
        opening(plane.pixels, p, plane.distance) + f"WAVELENGTH={v['wavelength_A']:.6g};\n"
        f"BEAM_CENTER_X={x * 1000.0:.6g};\nBEAM_CENTER_Y={(plane.sides[1] - y) * 1000:.6g};\n"
        f"ORGX={near_x / p:.6g};\nORGY={near_y / p:.6g};\n"
        f"CLOSE_DISTANCE={plane.close_distance * 1000.0:.6g};\n"
        + exposure(v["phi_deg"], v["osc_deg"])
        + f"TWOTHETA={v['two_theta_deg']:.6g};\n"
        + CLOSING
    )
