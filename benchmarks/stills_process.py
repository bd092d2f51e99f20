"""Stills of random orientation through DIALS: how many are indexed, and as they truly stand.

    python benchmarks/stills_process.py --factors HEWL_refined.mtz --first 0 --shots 10

A campaign of lysozyme crystals (one orientation and fluence a shot, background, noise) is rendered,
exported as NXmx with its truth, and given to ``dials.stills_process`` (/usr/bin, Debian's package
dials) with its cell and space group.  Right is a crystal whose cell is within 1 % and that stands
within 0.2° of the true one, up to the symmetry 422.
"""

import argparse
import json
import subprocess
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim import scheduler
from tiledsim.experiment import Experiment
from tiledsim.scheduler.export.export import export

CELL = (79.1, 79.1, 38.4, 90.0, 90.0, 90.0)
PROGRAM = "/usr/bin/dials.stills_process"
CELL_SHARE, ANGLE_DEG = 0.01, 0.2
Array = NDArray[np.float64]


def experiment(factors: Path, shots: int) -> Experiment:
    """Describe the campaign."""
    return Experiment(
        beam={"wavelength_A": 1.3, "fluence_photons_per_m2": 1e23, "beamsize_mm": 0.005,
              "dispersion_percent": 0.2, "dispersion_steps": 10, "polarization": 1.0},
        crystal={"cell_A_deg": CELL, "shape": "gauss", "block_um": 0.15, "size_um": 5.0,
                 "mosaic": {"spread_deg": 0.05, "domains": 25}},
        structure_factors={"file": factors},
        detector={"size_px": (1024, 1024), "pixel_mm": 0.15, "distance_mm": 110.0},
        sampling={"oversample": 1},
        background={"layers": ({"material": "water", "thickness_mm": 0.02},
                               {"material": "air", "thickness_mm": 5.0})},
        noise={"gain_adu_per_photon": 1.0},
        shots={"count": shots, "seed": 11, "orientation": "random",
               "columns": {"fluence_photons_per_m2": {"lognormal": (1e23, 0.3)}}},
    )  # fmt: skip


def crystals_of(path: Path) -> dict[int, Array]:
    """Return the vectors a, b, c [3, 3] of each image of an experiment list, by its number."""
    document: dict[str, Any] = json.loads(path.read_text())
    found = {}
    for one in document["experiment"]:
        crystal = document["crystal"][one["crystal"]]
        (image,) = document["imageset"][one["imageset"]]["single_file_indices"]
        found[image] = np.array([crystal[f"real_space_{axis}"] for axis in "abc"])
    return found


def angle_deg(found: Array, true: Array) -> float:
    """Return by how much a crystal is turned away from another, at the least of 422."""
    least = 180.0
    for swap, (a, b) in product((False, True), product((1.0, -1.0), repeat=2)):
        vectors = found[[1, 0, 2]] if swap else found.copy()
        vectors = vectors * np.array([[a], [b], [a * b * (-1.0 if swap else 1.0)]])
        axes = [np.linalg.svd(v / np.linalg.norm(v, axis=1)[:, None]) for v in (vectors, true)]
        turned = (axes[0][0] @ axes[0][2]).T @ (axes[1][0] @ axes[1][2])
        cosine = (np.trace(turned) - 1.0) / 2.0
        least = min(least, float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))))
    return least


def process(folder: Path) -> None:
    """Let DIALS index the stills."""
    import hdf5plugin

    words = [
        PROGRAM, "../stills_master.h5", "mp.nproc=1", "dispatch.integrate=False",
        "output.composite_output=True", "indexing.known_symmetry.space_group=P43212",
        "indexing.known_symmetry.unit_cell=" + ",".join(map(str, CELL)),
        "spotfinder.filter.min_spot_size=2",
    ]  # fmt: skip
    clean = {
        "PATH": "/usr/bin:/bin", "HOME": str(folder),
        "HDF5_PLUGIN_PATH": hdf5plugin.PLUGIN_PATH, "TMPDIR": str(folder),
    }  # fmt: skip
    work = folder / "dials"
    work.mkdir()
    with (folder / "log").open("w") as log:
        subprocess.run(words, cwd=work, env=clean, stdout=log, stderr=log, check=True)


def main() -> None:
    """Render, export, process and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--factors", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shots", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, stop = Path(name), asked.first + asked.shots
        scheduler.run(experiment(asked.factors, stop), folder / "a.zarr", backend="cpu")
        export(folder / "a.zarr", folder / "stills_master.h5", truth=True,
               shots=f"{asked.first}:{stop}", dtype="int32")  # fmt: skip
        process(folder)
        true = crystals_of(folder / "stills.expt")
        found: dict[int, Array] = {}
        for path in sorted((folder / "dials").glob("*_refined.expt")):
            found |= crystals_of(path)
    right = 0
    for shot, crystal in sorted(true.items()):
        said = "not indexed"
        if shot in found:
            lengths = [np.linalg.norm(v, axis=1) for v in (found[shot], crystal)]
            off = float(np.abs(lengths[0] / lengths[1] - 1.0).max())
            angle = angle_deg(found[shot], crystal)
            good = off < CELL_SHARE and angle < ANGLE_DEG
            right += good
            said = f"cell off by {100 * off:.2f} %, turned by {angle:.3f} deg"
        print(f"shot {asked.first + shot}: {said}")
    print(f"{right} of {len(true)} right, {len(found)} indexed")


if __name__ == "__main__":
    main()
