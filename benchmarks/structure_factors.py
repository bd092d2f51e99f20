"""Time of structure factors: expansion, coordinates, energies, and the kernel's cost of an element.

Usage: ``python benchmarks/structure_factors.py [FILE.mtz]``.  Each figure is the least of several
repetitions, in seconds of this process's own processor time; what is compared is taken in turn.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import gemmi
import numpy as np

from tiledsim.experiment import Experiment, StructureFactors
from tiledsim.kernels import get_backend
from tiledsim.reach.choice import choose
from tiledsim.scene import Scene
from tiledsim.scene.build import build_scene
from tiledsim.structure_factors import load
from tiledsim.structure_factors.coordinates import sum_atoms
from tiledsim.structure_factors.load import load_structure_factors
from tiledsim.tile import Tile
from tiledsim.units import HC_EV_A


def least(*calls: Callable[[], object], repeat: int = 5) -> list[float]:
    """Run calls in turn; return the least processor time of each."""
    times = [[0.0] * repeat for _ in calls]
    for i in range(repeat):
        for seconds, call in zip(times, calls, strict=True):
            start = time.process_time()
            call()
            seconds[i] = time.process_time() - start
    return [min(seconds) for seconds in times]


def model(atoms: int) -> gemmi.Structure:
    """Atoms at random in the cell of tetragonal lysozyme."""
    rng = np.random.default_rng(1)
    structure = gemmi.Structure()
    structure.cell = gemmi.UnitCell(79.1, 79.1, 37.9, 90, 90, 90)
    structure.spacegroup_hm = "P 43 21 2"
    chain = gemmi.Chain("A")
    for i in range(atoms):
        atom = gemmi.Atom()
        symbol = "S" if i % 100 == 0 else "CCCNO"[i % 5]
        atom.name, atom.element, atom.b_iso, atom.occ = symbol, gemmi.Element(symbol), 20.0, 1.0
        atom.pos = structure.cell.orthogonalize(gemmi.Fractional(*rng.random(3)))
        residue = gemmi.Residue()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(str(i + 1))
        residue.add_atom(atom)
        chain.add_residue(residue)
    made = gemmi.Model(1)
    made.add_chain(chain)
    structure.add_model(made)
    structure.setup_cell_images()
    return structure


def scene_of(path: Path, energies: list[float], shape: str = "square") -> Scene:
    """A scene whose sulphur scatters by its wavelength, the rest at one energy."""
    load._last.clear()  # a table that was read before is not read again
    return build_scene(
        Experiment.model_validate({
            "beam": {"energy_eV": 9000.0, "spectrum": {
                "wavelengths_A": [HC_EV_A / energy for energy in energies]}},
            "crystal": {"cells": (20, 20, 20), "shape": shape,
                        "mosaic": {"spread_deg": 0.5, "domains": 20}},
            "structure_factors": {"file": path, "dmin_A": 1.5, "anomalous": ("S",)},
            "detector": {"size_px": (256, 256), "pixel_mm": 0.7, "distance_mm": 100},
            "sampling": {"oversample": 1},
        })
    )  # fmt: skip


def compare_kernels(scene: Scene) -> None:
    """Print what an element that follows the wavelength costs, step by step and as runs do it."""
    tile, backend = Tile(0, 0, 0, 256, 0, 256), get_backend("cpu")
    every = replace(scene, tolerance=0.0, tolerance_photons=0.0)
    for dear in (every, scene):
        method = choose(dear, "cpu").method
        if dear is scene and method == "every step":
            continue  # as before
        cheap = replace(dear, F_complex=None, dispersion=None)
        for each in (dear, cheap):
            backend.render(each, tile)
        seconds = least(*[partial(backend.render, each, tile) for each in (dear, cheap)])
        steps = scene.steps_per_pixel * tile.pixels
        print(
            f"{scene.crystal_shape}, {method}, with an anomalous element: "
            f"{seconds[0] / seconds[1]:.2f} times the plain one "
            f"({1e9 * seconds[0] / steps:.3f} and {1e9 * seconds[1] / steps:.3f} ns a step)"
        )


def main() -> None:
    """Print a line a figure."""
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        seconds = least(lambda: load_structure_factors(StructureFactors(file=path)), repeat=1)[0]
        print(f"{path.name} to P1: {seconds:.3f} s")
    structure = model(1001)
    seconds = least(lambda: sum_atoms(Path("model"), structure, 1.5, 0.35, 46.0))[0]
    print(f"1001 atoms with solvent to 1.5 Å, f′ and f″ of every element apart: {seconds:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        path = Path(folder) / "model.pdb"
        path.write_text(structure.make_pdb_string())
        energies = [9000.0 + 20.0 * i for i in range(10)]
        scene_of(path, [9000.0])  # fills the cache: what is compared is all but the sums
        one, ten = least(lambda: scene_of(path, [9000.0]), lambda: scene_of(path, energies))
        share = 100.0 * (seconds + ten) / (seconds + one) - 100.0
        print(f"10 energies: {share:.1f} % more than 1 ({ten:.3f} and {one:.3f} s after the sums)")
        for shape in ("square", "gauss", "round", "tophat"):
            compare_kernels(scene_of(path, energies, shape))


if __name__ == "__main__":
    main()
