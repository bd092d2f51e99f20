"""What the structure factors of an experiment come to: their number, reach and strongest spot."""

import math

import numpy as np
from numpy.typing import NDArray

from tiledsim.experiment import Experiment
from tiledsim.fact import Fact
from tiledsim.reach.strongest import find_excited
from tiledsim.scene import Scene
from tiledsim.scene.crystal.lattice import Lattice, build_lattice
from tiledsim.scene.detector.geometry import Geometry, geometry_of
from tiledsim.scene.resolution import detector_dmin_A
from tiledsim.scene.single import experiment_factors, with_cell
from tiledsim.structure_factors.symmetry import absent, box_indices, find_space_group
from tiledsim.structure_factors.table import FTable
from tiledsim.units import ANGSTROM
from tiledsim.vectors import Array


def factor_notes(experiment: Experiment, scene: Scene) -> list[str]:
    """Return what was chosen and assumed when structure factors were read from a file."""
    if experiment.structure_factors.file is None:
        return []
    experiment = with_cell(experiment)
    geometry = geometry_of(experiment)
    lattice = build_lattice(
        experiment.crystal, experiment.beam.central_wavelength_A, experiment.active_quirks
    )
    shortest = float(scene.wavelength.min())
    return list(experiment_factors(experiment, geometry, lattice, shortest).notes)


def reflection_facts(
    experiment: Experiment, scene: Scene, geometry: Geometry, lattice: Lattice
) -> list[Fact]:
    """Return the facts of the structure factors; those of a table need it to be read again."""
    factors, shortest = experiment.structure_factors, float(scene.wavelength.min())
    facts = [Fact("default F", scene.default_F, "electrons", "outside the table")]
    reach = detector_dmin_A(geometry, experiment.detector, shortest, lattice.reciprocal)
    if scene.uniform_F:
        facts.append(Fact("table", "none", "", "every reflection has the default"))
        return facts + _diffracting(scene, *_all_reflections(lattice, scene, reach), reach)
    table = experiment_factors(experiment, geometry, lattice, shortest)
    limits = ", ".join(
        f"{name} {low} to {top}"
        for name, low, top in zip("hkl", table.lowest, table.highest, strict=True)
    )
    why = "as asked for"
    if factors.interpolate == "auto":
        why = "a crystal of 2 cells or fewer" if scene.interpolate else "3 cells or more"
    facts += [
        Fact("table", limits, "", f"from {factors.source}"),
        Fact("interpolation", "tricubic" if scene.interpolate else "none", "", why),
    ]
    hkl, F = _present(table)
    facts += _contents(table, hkl, F, lattice)
    return facts + _diffracting(scene, hkl, F, reach)


def _present(table: FTable) -> tuple[NDArray[np.int64], Array]:
    inside = table.padded[1:-1, 1:-1, 1:-1]
    there = np.ones(inside.shape, np.bool_) if table.present is None else table.present
    return np.argwhere(there) + np.array(table.lowest), np.asarray(inside[there])


def _contents(table: FTable, hkl: NDArray[np.int64], F: Array, lattice: Lattice) -> list[Fact]:
    """Count, resolution, completeness and Friedel mates of a table."""
    s = np.sqrt(((hkl @ lattice.reciprocal) ** 2).sum(axis=1))
    facts = [Fact("reflections", len(hkl), "", "in P1, both Friedel mates counted")]
    if table.space_group is not None:
        facts.insert(0, Fact("space group", table.space_group))
    if not s.any():
        return facts
    dmin = 1.0 / float(s.max())
    facts.append(Fact("d_min", dmin, "Å", "of the reflections that there are"))
    possible = _possible(table, lattice, dmin)
    have = int((s > 0).sum())
    facts.append(
        Fact("completeness", round(100.0 * have / possible, 3), "%", f"of {possible:,} to d_min")
    )
    low, shape = np.array(table.lowest), np.array(table.padded.shape) - 2
    at = -hkl - low
    both = ((at >= 0) & (at < shape)).all(axis=1)
    mate = table.padded[tuple((at[both] + 1).T)]
    if table.present is not None:
        paired = table.present[tuple(at[both].T)]
        mate, own = mate[paired], F[both][paired]
    else:
        own = F[both]
    if len(own) == 0:
        facts.append(Fact("Friedel mates", "absent", "", "only one of h k l and -h -k -l is there"))
    elif (differ := np.abs(own - mate).mean()) > 1e-6 * np.abs(own).mean():
        share = 100.0 * differ / np.abs(own).mean()
        facts.append(Fact("Friedel mates", "kept apart", "", f"they differ by {share:.2g} % in F"))
    else:
        facts.append(Fact("Friedel mates", "equal"))
    return facts


def _possible(table: FTable, lattice: Lattice, dmin: float) -> int:
    """Count the reflections to d_min that symmetry lets scatter, (000) left out."""
    hkl, _ = _sphere(lattice, dmin)
    if table.space_group is None:
        return len(hkl)
    top = np.abs(hkl).max(axis=0)
    gone = absent(find_space_group(table.space_group).operations(), -top, tuple(2 * top + 1))
    return int((~gone[tuple((hkl + top).T)]).sum())


def _sphere(lattice: Lattice, dmin: float) -> tuple[NDArray[np.int64], Array]:
    """Return all reflections [n, 3] to d_min but (000), and their 1/d."""
    top = np.array([math.floor(length / dmin * (1 + 1e-9)) for length in lattice.cell[:3]])
    hkl = box_indices(-top, tuple(int(n) for n in 2 * top + 1)).astype(np.int64)
    s = np.sqrt(((hkl @ lattice.reciprocal) ** 2).sum(axis=1))
    keep = (s > 0) & (s <= (1 + 1e-9) / dmin)
    return hkl[keep], s[keep]


def _all_reflections(
    lattice: Lattice, scene: Scene, reach: float
) -> tuple[NDArray[np.int64], Array]:
    """Return the reflections of a crystal that has one F, as far as a list of them is sensible."""
    if lattice.volume_A3 / reach**3 * 4.2 > 2e6:
        return np.empty((0, 3), dtype=np.int64), np.empty(0)
    hkl, _ = _sphere(lattice, reach)
    return hkl, np.full(len(hkl), scene.default_F)


def _diffracting(scene: Scene, hkl: NDArray[np.int64], F: Array, reach: float) -> list[Fact]:
    if not len(hkl):
        return []
    found = find_excited(scene, hkl, F, max(reach, scene.dmin * ANGSTROM))
    where = "first shot; " if scene.shape[0] > 1 else ""
    part = "; estimated from a selection of orientations and wavelengths" if found.sampled else ""
    facts = [
        Fact("in diffracting position", found.count, "", f"{where}to the detector's d_min{part}"),
        Fact("of them on a panel", found.on_detector),
    ]
    if found.strongest_hkl is None:
        return [*facts, Fact("strongest spot", "none", "", "no reflection's ray meets a panel")]
    name = " ".join(str(index) for index in found.strongest_hkl)
    why = f"expected in all of {name}, an estimate"
    return [*facts, Fact("strongest spot", found.strongest_photons, "photons", why)]
