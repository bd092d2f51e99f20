"""From the layers of the background section to tables of F and what each layer yields."""

import math
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Experiment
from tiledsim.experiment.sections.background import AmorphousLayer
from tiledsim.io.text import read_text
from tiledsim.scene.materials import MATERIALS, attenuation_per_m
from tiledsim.units import AVOGADRO, MM, THOMSON_RADIUS_SQUARED_M2
from tiledsim.vectors import Array

TO_STOL: Final = {"stol": 1.0, "4stol": 0.25, "Q": 0.25 / np.pi}
"""Factors from the first column to sin θ/λ."""
GAS_STEP_PER_A: Final = 0.0005
GAS_END_PER_A: Final = 2.0
"""Up to where the four Gaussians of the International Tables hold."""
BONDS_A: Final = {"N": 1.0977, "O": 1.2075}
"""Of N2 and O2: CRC Handbook of Chemistry and Physics, bond lengths in the gas phase."""
_LARGEST: Final = 1e9


Complex = NDArray[np.complexfloating[Any, Any]]


class Layers(NamedTuple):
    """Amorphous layers, L of them, with K points of their tables in all; S sources."""

    table: Array
    """sin θ/λ [1/Å], F [electrons] and dF/d(sin θ/λ) [K, 3], one layer after the other."""
    parts: NDArray[np.int64]
    """Where in ``table`` a layer begins, and the end of the last [L+1]."""
    photons: Array
    """r_e² · photons of the beam · molecules per area [L]: photons a steradian for F = 1."""
    depth: Array
    """μ·thickness [L, S]; 0 where a layer does not absorb."""


def build_layers(experiment: Experiment, wavelength: Array) -> Layers | None:
    """Resolve the layers of an experiment for sources of some wavelengths [m]; None without any.

    Raises ExperimentError or InputFileError for what cannot be used.
    """
    layers, beam = experiment.background.layers, experiment.beam
    if not layers:
        return None
    if experiment.mode == "c-parity":
        raise ExperimentError(
            "background.layers are not nanoBragg's, which has water_um alone; use mode 'spec'"
        )
    area = (beam.beamsize_mm / MM) ** 2
    if beam.profile == "gaussian":
        area *= math.pi / (4.0 * math.log(2.0))
    tables = [table_of(layer) for layer in layers]
    photons, depths = [], []
    for layer in layers:
        density, weight = density_of(layer), weight_of(layer)
        thickness = layer.thickness_mm / MM
        per_area = thickness * density * 1e6 * AVOGADRO / weight
        photons.append(THOMSON_RADIUS_SQUARED_M2 * beam.fluence * area * per_area)
        depths.append([_attenuation(layer, w, density) * thickness for w in wavelength])
    starts = np.cumsum([0, *(len(table) for table in tables)])
    return Layers(
        np.concatenate(tables), starts.astype(np.int64), np.array(photons), np.array(depths)
    )


def density_of(layer: AmorphousLayer) -> float:
    """Density of a layer [g/cm³], as given or its material's."""
    if layer.density_g_per_cm3 is not None:
        return layer.density_g_per_cm3
    return MATERIALS[str(layer.material)].density_g_per_cm3


def weight_of(layer: AmorphousLayer) -> float:
    """Weight of a layer's molecules [g/mol], as given or its material's."""
    if layer.molecular_weight_g_per_mol is not None:
        return layer.molecular_weight_g_per_mol
    return MATERIALS[str(layer.material)].weight_g_per_mol


def _attenuation(layer: AmorphousLayer, wavelength_m: float, density: float) -> float:
    if layer.absorption_length_mm is not None:
        return MM / layer.absorption_length_mm
    if layer.material is None:
        return 0.0
    return attenuation_per_m(layer.material, wavelength_m, density)


def material_of(layer: AmorphousLayer) -> str:
    """Return the material whose absorption a layer has; empty where it has one of its own."""
    return "" if layer.absorption_length_mm is not None else (layer.material or "")


def attenuation_ratio(material: str, before_m: Array, after_m: Array) -> Array:
    """Return μ of a material at wavelengths [S] over that at others [S]; 1 where it has none.

    Raises ExperimentError for an energy at which it is not known.
    """
    pairs = [
        [attenuation_per_m(material, float(w), 1.0) for w in wavelengths]
        for wavelengths in (before_m, after_m)
    ]
    before, after = np.array(pairs)
    ratio: Array = np.divide(after, before, out=np.ones(len(before)), where=before > 0.0)
    return ratio


def table_of(layer: AmorphousLayer) -> Array:
    """Return sin θ/λ [1/Å], F and its slope [K, 3] of a layer."""
    if layer.stol_file is not None:
        return with_slopes(read_table(layer.stol_file, TO_STOL[layer.unit]))
    if layer.material == "water":
        return with_slopes(read_table(Path(__file__).parent / "tables" / "water.stol", 1.0))
    return gas_table(str(layer.material))


def read_table(path: Path, factor: float) -> Array:
    """Read two columns [K, 2]; ``#`` begins a comment.

    Raises InputFileError, naming the line, for words, for less than two columns, for a first column
    that does not rise from line to line, and for negative values.
    """
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(read_text(path, "stol").splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        where = f"{path}, line {number}"
        if len(words) < 2:
            raise InputFileError(f"{where}: one column; each line holds sin(theta)/lambda and F")
        try:
            s, F = (float(word) for word in words[:2])
        except ValueError:
            raise InputFileError(
                f"{where}: {' '.join(words[:2])!r} are not two numbers; a comment begins with #"
            ) from None
        if not (0.0 <= s <= _LARGEST and 0.0 <= F <= _LARGEST):
            raise InputFileError(f"{where}: {s:g} {F:g}: both must be from 0 to {_LARGEST:g}")
        if rows and s <= rows[-1][0]:
            raise InputFileError(
                f"{where}: {s:g} does not rise above {rows[-1][0]:g}; sort the table, each value "
                "once"
            )
        rows.append((s, F))
    if not rows:
        raise InputFileError(f"{path}: no data; each line holds sin(theta)/lambda and F")
    return np.array(rows) * (factor, 1.0)


def with_slopes(table: Array) -> Array:
    """Add slopes to x and y [K, 2] with which cubics between the points are monotone (PCHIP).

    Fritsch & Butland, SIAM J. Sci. Stat. Comput. 5, 300 (1984), with one-sided parabolas at the
    ends that are limited likewise.  One point has slope 0.
    """
    x, y = table.T
    slopes = np.zeros(len(x))
    if len(x) == 2:
        slopes[:] = (y[1] - y[0]) / (x[1] - x[0])
    if len(x) > 2:
        h = np.diff(x)
        d = np.diff(y) / h
        w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        same = d[:-1] * d[1:] > 0.0
        with np.errstate(divide="ignore", over="ignore"):
            mean = (w1 + w2) / (w1 / d[:-1] + w2 / d[1:])
        slopes[1:-1] = np.where(same, mean, 0.0)
        slopes[0] = _end_slope(h[0], h[1], d[0], d[1])
        slopes[-1] = _end_slope(h[-1], h[-2], d[-1], d[-2])
    return np.column_stack([x, y, slopes])


def _end_slope(h0: float, h1: float, d0: float, d1: float) -> float:
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0.0:
        return 0.0
    return 3.0 * d0 if d0 * d1 <= 0.0 and abs(slope) > 3.0 * abs(d0) else slope


def gas_table(name: str) -> Array:
    """Return sin θ/λ, F and its slope of helium or of dry air, per molecule.

    F² is the mean over molecules turned every way (Debye, Ann. Phys. 351, 809, 1915): of two equal
    atoms at a distance r it is 2f²(1 + sin(qr)/(qr)).  f by the International Tables (1992), for
    free atoms.  Compton scattering is left out.
    """
    s = np.arange(0.0, GAS_END_PER_A + GAS_STEP_PER_A / 2, GAS_STEP_PER_A)
    step = 1e-30  # a complex step gives the slope to the last digit
    at = s + 1j * step
    if name == "helium":
        F = _atom("He", at)
    else:
        atoms = MATERIALS["air"].atoms
        squared = atoms["Ar"] * _atom("Ar", at) ** 2
        for symbol, bond in BONDS_A.items():
            turn = 4.0 * np.pi * bond * np.where(at == 1j * step, 1.0, at)
            together = np.where(at == 1j * step, 1.0, np.sin(turn) / turn)
            squared = squared + atoms[symbol] * _atom(symbol, at) ** 2 * (1.0 + together)
        F = np.sqrt(squared / (atoms["N"] / 2 + atoms["O"] / 2 + atoms["Ar"]))
    return np.column_stack([s, F.real, F.imag / step])


def _atom(symbol: str, s: Complex) -> Complex:
    import gemmi

    sf = gemmi.Element(symbol).it92
    total = np.full(s.shape, sf.c, dtype=np.complex128)
    for a, b in zip(sf.a, sf.b, strict=True):
        total += a * np.exp(-b * s**2)
    return total
