"""What an experiment comes to: the values that were computed or chosen, and why.

The numbers are those of the scene, that is of what a run will render.
"""

import math
from typing import Final

import numpy as np

from tiledsim.experiment import Experiment
from tiledsim.fact import Description, Fact
from tiledsim.reflection_facts import factor_notes, reflection_facts
from tiledsim.scene import Scene
from tiledsim.scene.crystal.lattice import Lattice, build_lattice, cell_of
from tiledsim.scene.crystal.real_crystal import lit_volume_um3
from tiledsim.scene.detector.geometry import Geometry, geometry_of
from tiledsim.scene.pixels import pixel_coordinates, pixel_m
from tiledsim.scene.resolution import corner_resolution_A, edge_resolution_A
from tiledsim.scene.single import recommended_oversampling, with_cell
from tiledsim.scene.transmission import let_out
from tiledsim.units import ANGSTROM, HC_EV_A, MM, UM
from tiledsim.vectors import Array

HEAVY_OVERSAMPLING: Final = 20
"""An oversampling chosen automatically above this is announced with its cost."""


def describe(experiment: Experiment, scene: Scene) -> Description:
    """Return the facts of an experiment; ``scene`` is its scene."""
    experiment = with_cell(experiment)
    quirks = experiment.active_quirks
    geometry = geometry_of(experiment)
    lattice = build_lattice(experiment.crystal, experiment.beam.central_wavelength_A, quirks)
    sections: Description = {
        "experiment": [Fact("mode", scene.mode), Fact("quirks", ", ".join(scene.quirks) or "none")],
        "beam": _beam(experiment, scene),
        "crystal": _crystal(experiment, scene, lattice),
        "orientations": _orientations(experiment, scene),
        "structure factors": reflection_facts(experiment, scene, geometry, lattice),
        "detector": _detector(experiment, scene, geometry),
    }
    for panel in range(len(geometry.origin)):
        name = "panel" if len(geometry.origin) == 1 else f"panel {panel}"
        sections[name] = _panel(experiment, scene, geometry, panel)
    sections["sampling"] = _sampling(experiment, scene, lattice, geometry)
    if experiment.title:
        sections["experiment"].insert(0, Fact("title", experiment.title))
    return sections


def announcements(experiment: Experiment, scene: Scene) -> list[str]:
    """Return what a person should know before a run starts, a line each."""
    geometry = geometry_of(experiment)
    lines = [*experiment.notes, *factor_notes(experiment, scene)]
    if not _beam_is_met(scene):
        lines.append("the direct beam meets no panel of the detector")
    lines += [f"{note}; rendered as nanoBragg does" for note in geometry.notes]
    if geometry.turned_normals:
        lines.append(
            "the detector's normal pointed towards the sample and was turned; give "
            "detector.normal, or axes whose product fast x slow points away, for none to be turned"
        )
    if experiment.sampling.oversample == "auto" and scene.oversample > HEAVY_OVERSAMPLING:
        lines.append(
            f"the crystal's size asks for {scene.oversample}-fold oversampling (chosen "
            f"automatically): {scene.oversample**2:,} subpixels, {scene.steps_per_pixel:,} steps a "
            "pixel; sampling.oversample (-oversample) sets another"
        )
    return lines


def _beam_is_met(scene: Scene) -> bool:
    """Whether the direct beam passes through a panel, in front of the sample or behind it."""
    _, _, slow, fast = scene.shape
    for panel in range(len(scene.origin)):
        along = float(scene.normal[panel] @ scene.beam)
        if abs(along) < 1e-9:
            continue
        at = float(scene.normal[panel] @ scene.origin[panel]) / along * scene.beam
        f, s = pixel_coordinates(scene, panel, at - scene.origin[panel])
        if 0 <= f <= fast and 0 <= s <= slow:
            return True
    return False


def _beam(experiment: Experiment, scene: Scene) -> list[Fact]:
    beam = experiment.beam
    wavelength = beam.central_wavelength_A
    low, high = (float(v) * ANGSTROM for v in (scene.wavelength.min(), scene.wavelength.max()))
    flux, seconds, size = beam.flux_photons_per_s, beam.exposure_s, beam.beamsize_mm
    by_flux = f"{flux:g} photons/s for {seconds:g} s on {size:g} mm" if flux else ""
    cosine = np.clip(scene.incident @ scene.beam, -1.0, 1.0)
    facts = [
        Fact("wavelength", wavelength, "Å", f"{HC_EV_A / wavelength:.6g} eV"),
        Fact("direction", _numbers(scene.beam)),
        Fact("fluence", scene.fluence, "photons/m²", by_flux),
        Fact("polarization", scene.polarization, "", "" if scene.polarized else "switched off"),
        Fact("polarization axis", _numbers(scene.polarization_axis)),
        Fact("sources", scene.sources, "", _source_origin(experiment)),
    ]
    if low != high:
        facts.append(Fact("wavelengths", [low, high], "Å", "smallest and largest"))
    if scene.sources > 1:
        spread = 1000.0 * float(np.arccos(cosine).max())
        facts.append(Fact("largest divergence", spread, "mrad", "from the beam's direction"))
    return facts


def _source_origin(experiment: Experiment) -> str:
    if experiment.beam.source_file is not None:
        return f"from {experiment.beam.source_file}"
    if experiment.beam.spectrum is not None:
        return "spectrum and divergence"
    return "divergence and dispersion"


def _crystal(experiment: Experiment, scene: Scene, lattice: Lattice) -> list[Fact]:
    crystal = experiment.crystal
    sized = any(size > 0 for size in crystal.size_mm) or crystal.block_um is not None
    sides = [n * length for n, length in zip(scene.cell_counts, lattice.cell[:3], strict=True)]
    facts = [
        Fact("cell", list(lattice.cell), "Å, deg"),
        Fact("reciprocal cell", list(cell_of(lattice.reciprocal)), "1/Å, deg"),
        Fact("volume", lattice.volume_A3, "Å³"),
    ]
    facts += [Fact(name, _numbers(v), "Å") for name, v in zip("abc", lattice.direct, strict=True)]
    if lattice.misset_deg is not None:
        why = f"drawn with seed {crystal.misset_seed}" if crystal.misset_deg == "random" else ""
        facts.append(Fact("misset", list(lattice.misset_deg), "deg", why))
    elif crystal.misset_deg == "random":
        facts.append(Fact("misset", "random", "", f"drawn with seed {crystal.misset_seed}"))
    facts += [
        Fact("cells", list(scene.cell_counts), "", "from the crystal's size" if sized else ""),
        Fact("size", [side / 1e4 for side in sides], "µm"),
        *_blocks(experiment, scene, lattice),
        *_absorption(scene),
        Fact("spot shape", scene.crystal_shape, "", f"fudge {scene.fudge:g}"),
    ]
    return facts


def _absorption(scene: Scene) -> list[Fact]:
    """Return how the crystal absorbs, and how its blocks are oblique."""
    facts = []
    if any(scene.cross_counts):
        why = f"ab, bc, ac beside the cells; {scene.cells_in_block:.6g} cells a block"
        facts.append(Fact("oblique by", list(scene.cross_counts), "cells", why))
    if scene.absorption is not None:
        shape, size, attenuation, _ = scene.absorption
        left = float(let_out(scene, scene.beam))
        why = (
            f"of a {shape} of {size * UM:g} µm with an absorption length of {MM / attenuation:g} mm"
        )
        facts.append(Fact("leaves the crystal", round(100.0 * left, 6), "%", f"straight on, {why}"))
    return facts


def _blocks(experiment: Experiment, scene: Scene, lattice: Lattice) -> list[Fact]:
    """Return how much of a crystal of many blocks the beam lights."""
    volume = lit_volume_um3(experiment.crystal, experiment.beam)
    if volume is None:
        return []
    return [
        Fact("lit volume", volume, "µm³", f"weighted with the {experiment.beam.profile} beam"),
        Fact("mosaic blocks in it", scene.blocks, "", "the image is that of one, times these"),
    ]


def _orientations(experiment: Experiment, scene: Scene) -> list[Fact]:
    mosaic, shots = experiment.crystal.mosaic, experiment.shots
    domains = scene.orientations // len(scene.phi)
    if mosaic.matrices_file is not None:
        origin = f"from {mosaic.matrices_file}"
    elif domains == 1:
        origin = "no mosaic spread"
    elif mosaic.spread_abc_deg is not None:
        spread = ", ".join(f"{width:g}" for width in mosaic.spread_abc_deg)
        chosen = ", 10 as none were given" if mosaic.domains is None else ""
        origin = f"spread {spread} deg about a, b*, a x b*, seed {mosaic.seed}{chosen}"
    else:
        chosen = ", 10 as none were given" if mosaic.domains is None else ""
        origin = f"spread {mosaic.spread_deg:g} deg, seed {mosaic.seed}{chosen}"
    first, last = (math.degrees(float(scene.phi[i])) for i in (0, -1))
    turned = {
        "same": "all alike",
        "random": f"random, seed {shots.seed}",
        "about_axis": f"turned about {shots.axis}, seed {shots.seed}",
        "spread": f"within {shots.spread_deg} deg, seed {shots.seed}",
    }[shots.orientation]
    if scene.shot_names:
        turned = f"differing in {', '.join(scene.shot_names)}"
    frames = experiment.rotation.frames
    if frames is not None:
        width = experiment.rotation.step_deg or 0.0
        end = experiment.rotation.frame_start_deg(frames)
        why = f"a rotation series, {width:g} deg each, ends at {end:g} deg"
    elif shots.misset_deg:
        why = "misset angles given"
    else:
        why = turned if scene.shape[0] > 1 else ""
    return [
        Fact("phi steps", len(scene.phi), "", f"from {first:g} to {last:g} deg"),
        Fact("mosaic domains", domains, "", origin),
        Fact("orientations", scene.orientations, "", "phi steps x mosaic domains"),
        Fact("shots", scene.shape[0], "", why),
    ]


def _detector(experiment: Experiment, scene: Scene, geometry: Geometry) -> list[Fact]:
    detector = experiment.detector
    _, panels, slow, fast = scene.shape
    facts = [
        Fact("pixels", [fast, slow], "", "fast x slow"),
        Fact("pixel size", detector.pixel_mm, "mm"),
        Fact("panels", panels),
        Fact("spindle axis", _numbers(geometry.spindle)),
    ]
    if geometry.pivot is not None:
        facts.insert(0, Fact("convention", detector.convention))
        facts.insert(1, Fact("pivot", geometry.pivot, "", _pivot_reason(experiment, geometry)))
    if detector.curved:
        facts.append(Fact("shape", "curved", "", "every pixel at the same distance"))
    if detector.point_pixel:
        facts.append(Fact("solid angle", "1/R²", "", "point pixels"))
    if scene.absorbing:
        facts += [
            Fact("sensor layers", scene.layers, "", f"{scene.layer_step * UM:g} µm apart"),
            Fact("attenuation depth", UM / scene.attenuation, "µm", detector.sensor.material or ""),
        ]
    rendered = scene.rendered_pixels
    total = scene.shape[0] * panels * slow * fast
    if detector.roi is not None:
        facts.append(
            Fact("region of interest", list(scene.roi), "px", "fast, then slow, inclusive")
        )
    if detector.mask_file is not None:
        facts.append(Fact("mask", str(detector.mask_file)))
    if rendered != total:
        facts.append(Fact("rendered pixels", rendered, "", f"of {total:,}"))
    return facts


def _pivot_reason(experiment: Experiment, geometry: Geometry) -> str:
    detector = experiment.detector
    if detector.pivot == geometry.pivot:
        return "as given"
    if detector.convention == "custom":
        return "from the way the detector's place was given"
    asked = f", not {detector.pivot} (quirk pivot_override)" if detector.pivot else ""
    return f"that of the convention{asked}"


def _panel(experiment: Experiment, scene: Scene, geometry: Geometry, panel: int) -> list[Fact]:
    detector, shortest = experiment.detector, float(scene.wavelength.min())
    corner = corner_resolution_A(geometry, detector, shortest, panel)
    edge = edge_resolution_A(geometry, detector, shortest, panel)
    across, down = pixel_m(scene, panel)
    beam_f, beam_s = geometry.beam_centre[panel]
    near_f, near_s = geometry.near_point[panel]
    distance = float(geometry.beam_distance[panel])
    turned = "turned: it pointed towards the sample" if panel in geometry.turned_normals else ""
    facts = [
        Fact("origin", _numbers(geometry.origin[panel] * MM), "mm"),
        Fact("fast axis", _numbers(geometry.fast[panel])),
        Fact("slow axis", _numbers(geometry.slow[panel])),
        Fact("normal", _numbers(geometry.normal[panel]), "", turned),
        Fact("close distance", float(geometry.close_distance[panel]) * MM, "mm"),
    ]
    if scene.pixel_sides is not None:
        facts.append(Fact("pixel sides", [across * MM, down * MM], "mm", "fast, slow"))
    if math.isfinite(distance):
        facts += [
            Fact("distance", distance * MM, "mm", "along the beam"),
            Fact("beam centre", [beam_f * MM, beam_s * MM], "mm", "fast, slow from the corner"),
            Fact("beam centre in pixels", [beam_f / across, beam_s / down], "px"),
        ]
    facts += [
        Fact("ORGX, ORGY", [near_f / across + 0.5, near_s / down + 0.5], "px", "nearest point"),
        Fact("resolution", corner, "Å", "finest, at a corner"),
        Fact("resolution at edge", edge, "Å", "where an edge is nearest to the beam"),
    ]
    return facts


def _sampling(
    experiment: Experiment, scene: Scene, lattice: Lattice, geometry: Geometry
) -> list[Fact]:
    recommended = recommended_oversampling(lattice, scene.cell_counts, geometry, experiment)
    sides = [n * length for n, length in zip(scene.cell_counts, lattice.cell[:3], strict=True)]
    asked = experiment.sampling.oversample
    if asked == "auto":
        why = f"automatic, for a crystal of {max(sides):.4g} Å"
    elif asked < recommended:
        why = f"{recommended} is recommended: intensity may vary strongly across a pixel"
    else:
        why = f"{recommended} would do" if asked > recommended else "as recommended"
    steps = scene.steps_per_pixel
    product = " x ".join(
        f"{count} {name}"
        for count, name in (
            (scene.layers, "layers"),
            (scene.oversample**2, "subpixels"),
            (scene.sources, "sources"),
            (scene.orientations, "orientations"),
        )
    )
    facts = [
        Fact("oversampling", scene.oversample, "", why),
        Fact("steps a pixel", steps, "", product),
        Fact("steps in all", steps * scene.rendered_pixels),
        Fact("tables", round(scene.table_bytes / 2**20, 3), "MiB"),
    ]
    if scene.dmin > 0:
        facts.insert(1, Fact("resolution cut", scene.dmin * ANGSTROM, "Å"))
    if scene.water > 0:
        facts.insert(1, Fact("water", scene.water * UM, "µm"))
    if scene.amorphous_photons is not None:
        facts.append(Fact("amorphous layers", len(scene.amorphous_photons)))
    return facts


def _numbers(vector: Array) -> list[float]:
    return [float(value) + 0.0 for value in vector]  # no -0
