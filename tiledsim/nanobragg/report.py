"""The lines that nanoBragg prints of an experiment before it renders, for those who grep them.

The numbers are those of this experiment in its mode; their wording and order are nanoBragg's.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tiledsim.experiment import Experiment
from tiledsim.nanobragg.camera import Camera
from tiledsim.scene import Scene
from tiledsim.scene.crystal.lattice import Lattice, build_lattice, phi_steps
from tiledsim.scene.crystal.nanobragg_cell import cell_volume
from tiledsim.scene.detector.conventions import FRAMES
from tiledsim.scene.single import recommended_oversampling
from tiledsim.scene.sources import (
    dispersion_steps,
    divergence_angles,
    divergence_steps,
    source_table,
)
from tiledsim.structure_factors.load import load_structure_factors
from tiledsim.units import ANGSTROM, AVOGADRO, MM, UM
from tiledsim.vectors import Array

TITLE = "nanoBragg nanocrystal diffraction simulator - James Holton and Ken Frankel 5-17-17"
_SHAPES = {
    "round": "ellipsoidal",
    "square": "parallelpiped",
    "gauss": "gaussian",
    "tophat": "tophat-spot",
}


def report(
    experiment: Experiment,
    scene: Scene,
    camera: Camera,
    *,
    noise_seed: int | None,
    interpolation: bool | None = None,
    stol_file: Path | None = None,
) -> list[str]:
    """Return the lines.

    ``noise_seed`` is None where no noise image is made.  ``interpolation`` is what nanoBragg chose
    before it knew the crystal's size, where that differs from the choice of the experiment.
    """
    lattice = build_lattice(
        experiment.crystal, experiment.beam.central_wavelength_A, experiment.active_quirks
    )
    return [
        *_warnings_first(experiment),
        TITLE,
        *_warnings(experiment),
        f"{camera.convention} convention selected.",
        *_placement(camera),
        *_interpolation(experiment, scene, interpolation),
        *crystal_lines(experiment, lattice),
        *_size(experiment, scene, lattice, camera),
        *_tables(experiment),
        *([] if stol_file is None else [f"reading {stol_file}"]),
        *_sweeps(scene),
        *source_lines(experiment, camera),
        f"  created a total of {_domains(scene)} mosaic domains",
        *_summary(experiment, scene, camera),
        *_noise(scene, noise_seed),
    ]


def _domains(scene: Scene) -> int:
    return scene.orientations // len(scene.phi)


def numbers(values: Array | tuple[float, ...]) -> str:
    """Return numbers as C's ``%g`` prints them."""
    return " ".join(f"{float(value):.6g}" for value in values)


def _placement(camera: Camera) -> Iterator[str]:
    geometry = camera.geometry
    around = "sample" if geometry.pivot == "sample" else "direct beam spot"
    yield f"pivoting detector around {around}"
    frame = (geometry.fast[0], geometry.slow[0], geometry.normal[0])
    yield f"XDS incident beam: {numbers(tuple(float(geometry.beam @ axis) for axis in frame))}"


def _interpolation(experiment: Experiment, scene: Scene, chosen: bool | None) -> Iterator[str]:
    if experiment.structure_factors.interpolate == "auto":
        chosen = min(scene.cell_counts) <= 2
    if chosen is not None:
        what = "tricubic interpolation of structure factors" if chosen else "no interpolation"
        yield f"auto-selected {what}"


def crystal_lines(experiment: Experiment, lattice: Lattice) -> Iterator[str]:
    """Cell and matrices."""
    if experiment.crystal.misset_deg == "random" and lattice.misset_deg is not None:
        x, y, z = lattice.misset_deg
        yield f"random orientation misset angles: {x:.6f} {y:.6f} {z:.6f} deg"
    cell = experiment.crystal.cell_A_deg
    volume = lattice.volume_A3
    if cell is not None and "cell_cstar" in experiment.active_quirks:
        volume = cell_volume(cell)
    yield f"Unit Cell: {numbers(lattice.cell)}"
    yield f"Recp Cell: {numbers(_reciprocal_cell(lattice, volume))}"
    yield f"volume = {volume:.6g} A^3"
    yield "real-space cell vectors (Angstrom):"
    yield from matrix_lines(lattice.direct, ("a", "b", "c"))
    yield "reciprocal-space cell vectors (Angstrom^-1):"
    yield from matrix_lines(lattice.reciprocal, ("a_star", "b_star", "c_star"))


def _reciprocal_cell(lattice: Lattice, volume: float) -> tuple[float, ...]:
    """Lengths and angles; the sines are by a volume that need not be that of the vectors."""
    a, b, c = (float(np.linalg.norm(vector)) for vector in lattice.direct)
    stars = [float(np.linalg.norm(vector)) for vector in lattice.reciprocal]
    angles = []
    for axis, length in enumerate((a, b, c)):
        i, j = ((1, 2), (0, 2), (0, 1))[axis]
        sine = min(length / volume / stars[i] / stars[j], 1.0)
        cosine = float(lattice.reciprocal[i] @ lattice.reciprocal[j]) / stars[i] / stars[j]
        angles.append(math.degrees(math.atan2(sine, cosine)))
    return (*stars, *angles)


def matrix_lines(vectors: Array, names: tuple[str, str, str]) -> Iterator[str]:
    """Three vectors, rows of [3, 3], as columns under their names."""
    yield "     " + "  ".join(f"{name:<10}" for name in names)
    for axis, column in zip("XYZ", vectors.T, strict=True):
        yield f"{axis}: " + " ".join(f"{value:11.8f}" for value in column)


def _size(experiment: Experiment, scene: Scene, lattice: Lattice, camera: Camera) -> Iterator[str]:
    sides = [
        float(n * length) / ANGSTROM
        for n, length in zip(scene.cell_counts, lattice.cell[:3], strict=True)
    ]
    yield f"crystal is {' x '.join(f'{side * 1e6:.6g}' for side in sides)} microns"
    recommended = recommended_oversampling(lattice, scene.cell_counts, camera.geometry, experiment)
    if experiment.sampling.oversample == "auto":
        yield f"auto-selected {scene.oversample}-fold oversampling"
    if scene.oversample < recommended:
        reciprocal = camera.wavelength * camera.distance / camera.pixel_size
        yield f"WARNING: maximum dimension of sample is {max(sides) * 1e10:.6g} A"
        yield f"         but reciprocal pixel size is {reciprocal * 1e10:.6g} A"
        yield "         intensity may vary significantly across a pixel!"
        yield f"         recommend -oversample {recommended} to work around this"
    a, b, c = sides
    na, nb, nc = scene.cell_counts
    yield f"approximate MW = {a * b * c * 1.2e6 * AVOGADRO / (na * nb * nc):.6g}"


def _tables(experiment: Experiment) -> Iterator[str]:
    factors = experiment.structure_factors
    if factors.fdump_file is not None:
        yield f"reading Fs from {factors.fdump_file}"
    if factors.hkl_file is not None:
        yield f"counting entries in {factors.hkl_file}"
        if factors.default_F != 0.0:
            yield f"initializing to default_F = {factors.default_F:.6g}:"
            yield "done initializing:"
        yield f"re-reading {factors.hkl_file}"


def _sweeps(scene: Scene) -> Iterator[str]:
    for layer in range(scene.layers):
        yield f"thick{layer} = {scene.layer_step * layer * UM:.6g} um"
    for step, phi in enumerate(scene.phi):
        yield f"phi{step} = {math.degrees(float(phi)):.6g}"


def source_lines(experiment: Experiment, camera: Camera) -> Iterator[str]:
    """Divergence, wavelengths and the table of sources."""
    beam, geometry = experiment.beam, camera.geometry
    if beam.source_file is None:
        for h, v in divergence_angles(beam):
            yield f"divergence deviation: {h:.6g} {v:.6g}"
        steps = dispersion_steps(beam)
        for n in range(steps.points):
            factor = 1.0 + steps.step * n - steps.extent / 2.0
            yield f"lambda{n} = {camera.wavelength * factor:.15g}"
    table = source_table(beam, geometry.beam, geometry.polarization_axis)
    yield f"  created a total of {len(table)} sources:"
    for x, y, z, weight, wavelength in table:
        yield f"{numbers((x, y, z))}   {weight:.6g} {wavelength:.6g}"


def _summary(experiment: Experiment, scene: Scene, camera: Camera) -> Iterator[str]:
    beam, detector = experiment.beam, experiment.detector
    factors = load_structure_factors(experiment.structure_factors)
    yield f"  {factors.entries} initialized hkls (all others ={factors.default_F:.6g})"
    cells = "x".join(str(n) for n in scene.cell_counts)
    yield f"  {_SHAPES[scene.crystal_shape]} xtal: {cells} cells"
    dispersion = dispersion_steps(beam)
    yield (
        f"  wave={camera.wavelength:.6g} meters +/- {dispersion.extent * 100:.6g}% "
        f"in {dispersion.points} steps"
    )
    if scene.polarized:
        yield f"  Kahn polarization factor: {scene.polarization:.6f}"
    else:
        yield "  polarization effect disabled"
    if scene.curved:
        yield "  curved detector: all pixels same distance from origin"
    if scene.point_pixel:
        yield "  pixel obliquity effect disabled"
    yield f"  incident fluence: {scene.fluence:.6g} photons/m^2"
    yield from _detector(experiment, scene, camera)
    fast_min, fast_max, slow_min, slow_max = _roi(experiment)
    yield f"  roi: {fast_min} < x < {fast_max} && {slow_min} < y < {slow_max}"
    h, v = divergence_steps(beam)
    yield f"  hdivrange={h.extent:.6g} hdivstep={h.step:.6g}  radians"
    yield f"  vdivrange={v.extent:.6g} vdivstep={v.step:.6g}  radians"
    rays = -1 if beam.source_file is not None else len(divergence_angles(beam))
    yield f"  {rays} divergence steps"
    yield f"  {scene.sources} sources"
    spread = experiment.crystal.mosaic.spread_deg
    yield f"  {_domains(scene)} mosaic domains over mosaic spread of {spread:.6g} degrees"
    end = math.degrees(camera.phi + phi_steps(experiment.rotation).extent)
    yield f"  {len(scene.phi)} phi steps from {math.degrees(camera.phi):.6g} to {end:.6g} degrees"
    sampling = experiment.sampling
    extra = {
        "thick": sampling.oversample_thick,
        "polar": sampling.oversample_polar,
        "omega": sampling.oversample_omega,
    }
    more = "".join(f" +{name}" for name, on in extra.items() if on)
    yield f"  {scene.oversample}x{scene.oversample} pixel oversample steps{more}"
    if detector.mask_file is not None:
        yield f"  skipping zero-flagged pixels in {detector.mask_file}"


def _roi(experiment: Experiment) -> tuple[int, int, int, int]:
    fast, slow = experiment.detector.size_px
    return experiment.detector.roi or (0, fast, 0, slow)


def _detector(experiment: Experiment, scene: Scene, camera: Camera) -> Iterator[str]:
    geometry, (fast, slow) = camera.geometry, camera.pixels
    yield (
        f"  distance={camera.distance:.6g} detsize={camera.sides[0]:.6g}x{camera.sides[1]:.6g}  "
        f"pixel={camera.pixel_size:.6g} meters ({fast}x{slow} pixels)"
    )
    thickness = experiment.detector.sensor.thickness_um / UM if scene.absorbing else 0.0
    yield (
        f"  sensor is {thickness:.6g} m thick in {scene.layers} layers with "
        f"mu= {_attenuation(experiment, scene):.6g}"
    )
    pairs = (
        ("Xbeam", "Ybeam", camera.beam),
        ("Fbeam", "Sbeam", camera.beam_fs),
        ("Xclose", "Yclose", camera.close),
        ("Fclose", "Sclose", camera.close_fs),
    )
    for first, second, (x, y) in pairs:
        yield f"  {first}={x:.6g} {second}={y:.6g}"
    axes = {
        "DIRECTION_OF_DETECTOR_X-AXIS": geometry.fast[0],
        "DIRECTION_OF_DETECTOR_Y-AXIS": geometry.slow[0],
        "DIRECTION_OF_DETECTOR_Z-AXIS": geometry.normal[0],
        "INCIDENT_BEAM_DIRECTION": geometry.beam,
        "spindle ROTATION_AXIS": geometry.spindle,
        "POLARIZATION_PLANE_NORMAL": np.cross(geometry.beam, geometry.polarization_axis),
    }
    for name, axis in axes.items():
        yield f"  {name}= {numbers(axis)}"
    yield f"  dials origin= {numbers(camera.dials_origin)}"


def _attenuation(experiment: Experiment, scene: Scene) -> float:
    """μ [1/m] as nanoBragg holds it: −1 where it was never set."""
    sensor = experiment.detector.sensor
    if sensor.material is not None:
        return scene.attenuation
    if sensor.depth_um is not None:
        return UM / sensor.depth_um if sensor.depth_um else 0.0
    return UM / sensor.thickness_um if sensor.thickness_um else -1.0


def _noise(scene: Scene, seed: int | None) -> Iterator[str]:
    if seed is not None:
        yield ""
        yield "  noise image paramters:"
        yield f"  seed: {-seed}"
        yield f"  water droplet size: {scene.water:.6g} m"


def _warnings_first(experiment: Experiment) -> Iterator[str]:
    beamsize, detector = experiment.beam.beamsize_mm, experiment.detector
    for way, size in zip(("high", "wide"), experiment.crystal.size_mm[1:], strict=True):
        if size > beamsize:
            yield (
                f"WARNING: clipping sample ({size / MM:.6g} m {way}) with beam "
                f"({beamsize / MM:.6g} m)"
            )
    normal = np.asarray(detector.normal or FRAMES[detector.convention].normal, dtype=np.float64)
    if math.sqrt(float(normal @ normal)) != 1.0:
        yield "WARNING: auto-generating odet_vector"


def _warnings(experiment: Experiment) -> Iterator[str]:
    sensor, mosaic = experiment.detector.sensor, experiment.crystal.mosaic
    if sensor.thickness_um > 0.0 and sensor.depth_um is None and sensor.material is None:
        yield f"WARNING: setting detector attenuation depth to {UM / sensor.thickness_um:.6g} m"
    if mosaic.spread_deg > 0.0 and mosaic.domains is None:
        yield "WARNING: finite mosaicity with only one domain! upping to 10 mosaic domains"
    if mosaic.spread_deg == 0.0 and mosaic.domains is not None:
        yield "WARNING: zero mosaic spread specified.  setting mosaic_domains = 1"
