"""The table of a campaign: a row a shot, from distributions, a file and Python.

Row i depends on the seed, the name of the column and i alone, so a table is made in portions, and
what is held of it is the numbers that images depend on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.cells import cells_of, duals, standing, turns_to
from tiledsim.campaign.columns import (
    CELL,
    CELLS,
    KINDS,
    LAYERS,
    MISSET,
    MOVES,
    TURN,
    U,
    check_cells,
    check_name,
    check_values,
)
from tiledsim.campaign.distributions import draw
from tiledsim.campaign.orientations import drawn_turns, matrix_turns, misset_turns
from tiledsim.campaign.rows import Rows, read_rows
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Experiment
from tiledsim.experiment.validation import keys
from tiledsim.scene.crystal.lattice import Lattice
from tiledsim.units import HC_EV_A

Array = NDArray[np.float64]
Columns = Mapping[str, NDArray[np.generic]]

PORTION_ROWS = 2**16


@dataclass(frozen=True)
class Portion:
    """The rows from one on: columns as they were given or drawn, labels too, each [rows]."""

    first: int
    columns: Columns
    turns: Array | None
    """Quaternions of the shots' orientations [rows, 4]; None: all as the crystal stands."""


class ShotTable:
    """What differs between the shots of a campaign whose crystal has a lattice.

    Raises ExperimentError or InputFileError, naming column and row, for what cannot be simulated.
    """

    def __init__(self, experiment: Experiment, lattice: Lattice) -> None:
        self._experiment = experiment
        self._lattice = lattice
        self._given = _given_rows(experiment)
        self.count = self._count()
        """Number of shots."""
        given, shots = self._given, experiment.shots
        self._labels = frozenset(shots.labels)
        self.names = (*(given.columns if given else ()), *shots.columns)
        """Of the columns as they were given, labels too."""
        fields = frozenset(key.rpartition(".")[2] for key in keys(Experiment))
        for name in self.names:
            check_name(name, self._labels, fields)
        for name in shots.columns:
            if given is not None and name in given.columns:
                raise ExperimentError(
                    f"[shots] {name} is in shots.columns and in {given.origin}; give it once"
                )
        self._read = tuple(n for n in self.names if n in KINDS and n not in self._labels)
        _check_together(experiment, self._read)
        self._orientation = _one_orientation(experiment, self._read)

    def _count(self) -> int:
        shots, given = self._experiment.shots, self._given
        if given is None:
            return shots.count
        if shots.table is not None and "count" not in shots.model_fields_set:
            return len(given)
        if len(given) < shots.count:
            raise ExperimentError(
                f"[shots] count = {shots.count}, but {given.origin} has {len(given)} rows; give a "
                "row a shot"
            )
        return shots.count

    def portions(self) -> Iterator[Portion]:
        """Yield the rows, PORTION_ROWS at once."""
        for first in range(0, self.count, PORTION_ROWS):
            yield self._portion(first, min(PORTION_ROWS, self.count - first))

    def _portion(self, first: int, rows: int) -> Portion:
        shots = self._experiment.shots
        columns: dict[str, NDArray[np.generic]] = {}
        if self._given is not None:
            for name, values in self._given.columns.items():
                columns[name] = values[first : first + rows]
        for name, column in shots.columns.items():
            columns[name] = draw(name, column, shots.seed, rows, first)
        for name in self._read:
            values = columns[name]
            if values.dtype.kind != "f":
                raise ExperimentError(
                    f"[shots] {name} must be numbers; row {first} is {str(values[0])!r}"
                )
            check_values(name, values.astype(np.float64), first)
        if shots.vectors_A is not None:
            given, turns = self._crystals(first, rows)
            return Portion(first, columns | given, turns)
        if any(name in columns for name in CELL):
            check_cells(self._cells(columns, rows), first)
        return Portion(first, columns, self._turns(columns, rows, first))

    def _cells(self, columns: Columns, rows: int) -> Array:
        table = np.tile(np.array(self._lattice.cell, dtype=np.float64), (rows, 1))
        for k, name in enumerate(CELL):
            if name in columns:
                table[:, k] = columns[name]
        return table

    def _crystals(self, first: int, rows: int) -> tuple[dict[str, NDArray[np.generic]], Array]:
        """Return cells and orientations of crystals that were given as vectors."""
        vectors_A = self._experiment.shots.vectors_A
        assert vectors_A is not None
        vectors = np.array(vectors_A[first : first + rows], dtype=np.float64)
        if ((wrong := np.linalg.det(vectors)) <= 0.0).any():
            raise ExperimentError(
                f"[shots] vectors_A of shot {first + int((wrong <= 0.0).argmax())} are left-handed"
            )
        cells = cells_of(vectors)
        stand = duals(standing(cells, self._lattice.direct, self._lattice.reciprocal))
        turns = matrix_turns(turns_to(vectors, stand), first)
        return {name: cells[:, k] for k, name in enumerate(CELL)}, turns

    def _turns(self, columns: Columns, rows: int, first: int) -> Array | None:
        shots = self._experiment.shots
        if self._orientation == "U":
            return matrix_turns(_stacked(columns, U, rows).reshape(rows, 3, 3), first)
        if shots.misset_deg is not None:
            return misset_turns(np.array(shots.misset_deg[first : first + rows], dtype=np.float64))
        if self._orientation == "misset":
            return misset_turns(_stacked(columns, MISSET, rows))
        return drawn_turns(shots, rows, first)

    def for_scene(self) -> tuple[tuple[str, ...], Array]:
        """Return the names and values [count, columns] of what images depend on."""
        names: tuple[str, ...] = ()
        values = np.empty((self.count, 0))
        for portion in self.portions():
            chosen = _numbers(portion, self._labels)
            if not portion.first:
                names = tuple(sorted(chosen))
                values = np.empty((self.count, len(names)))
            for k, name in enumerate(names):
                column = chosen[name]
                values[portion.first : portion.first + len(column), k] = column
        return names, values


def _numbers(portion: Portion, labels: frozenset[str]) -> Columns:
    """Return what images depend on, as kernels want it."""
    orientations = (*MISSET, *U)
    chosen: dict[str, NDArray[np.generic]] = {
        name: values
        for name, values in portion.columns.items()
        if name in KINDS and name not in orientations and name not in labels
    }
    if "energy_eV" in chosen:
        chosen["wavelength_A"] = HC_EV_A / chosen.pop("energy_eV").astype(np.float64)
    if portion.turns is not None:
        chosen |= dict(zip(TURN, portion.turns.T, strict=True))
    return chosen


def _given_rows(experiment: Experiment) -> Rows | None:
    shots = experiment.shots
    if shots.table is not None and shots.rows_sha256 is not None:
        raise ExperimentError("[shots] table and with_shots(…) both give rows; use one of them")
    if shots.rows_sha256 is not None and shots.rows is None:
        raise ExperimentError(
            "[shots] rows_sha256: the rows of this campaign were given in Python; give them again "
            "with experiment.with_shots(…)"
        )
    return shots.rows if shots.table is None else read_rows(shots.table)


def _one_orientation(experiment: Experiment, read: tuple[str, ...]) -> str:
    """Return where orientations come from: ``U``, ``misset``, or the section; from one source."""
    missets = [name for name in MISSET if name in read]
    matrix = [name for name in U if name in read]
    shots = experiment.shots
    sources = {
        f"orientation = '{shots.orientation}'": shots.orientation != "same",
        "misset_deg": shots.misset_deg is not None,
        "vectors_A": shots.vectors_A is not None,
        f"column {missets[0] if missets else ''}": bool(missets),
        f"column {matrix[0] if matrix else ''}": bool(matrix),
    }
    given = [name for name, used in sources.items() if used]
    if len(given) > 1:
        raise ExperimentError(f"[shots] {' and '.join(given)} both turn the crystal; give one")
    if matrix and (missing := [name for name in U if name not in read]):
        raise ExperimentError(f"[shots] column {missing[0]} is missing: U has nine elements")
    if shots.vectors_A is not None and (cells := [name for name in CELL if name in read]):
        raise ExperimentError(f"[shots] column {cells[0]} and vectors_A both give the cell")
    return "U" if matrix else "misset" if missets else ""


def _stacked(columns: Columns, names: tuple[str, ...], rows: int) -> Array:
    zeros = np.zeros(rows)
    return np.stack([columns.get(name, zeros).astype(np.float64) for name in names], axis=1)


def _check_together(experiment: Experiment, columns: tuple[str, ...]) -> None:
    """Refuse columns that contradict the experiment, or that it gives nothing to act on."""
    crystal, shots = experiment.crystal, experiment.shots
    layers = len(experiment.background.layers)
    moved = MOVES & set(columns)
    sized = crystal.size_um is not None or crystal.volume_um3 is not None
    dark = bool(layers) and experiment.beam.fluence == 0.0
    refusals = {
        "wavelength_A": ("energy_eV" in columns, "energy_eV is a column too; give one"),
        "spectrum": (shots.spectra_file is None, "it needs shots.spectra_file"),
        "noise_seed": (experiment.noise is None, "it needs a [noise] section"),
        "mosaic_spread_deg": (
            crystal.mosaic.spread_deg == 0.0,
            "it needs crystal.mosaic.spread_deg above 0, which it replaces, and domains",
        ),
        "blocks": (sized, "crystal.size_um or volume_um3 gives their number already"),
        "fluence_photons_per_m2": (
            dark, "background.layers are scaled by it: give [beam] a fluence above 0 too"
        ),
        **{
            name: (n > layers, f"background.layers has {layers}, no number {n}")
            for n, name in enumerate(LAYERS, start=1)
        },
    }  # fmt: skip
    for name, (wrong, why) in refusals.items():
        if name in columns and wrong:
            raise ExperimentError(f"[shots] column '{name}': {why}")
    if moved and experiment.detector.curved:
        raise ExperimentError(f"[shots] column '{min(moved)}': a curved detector cannot be moved")
    if "distance_mm" in moved and experiment.detector.close_distance_mm is not None:
        raise ExperimentError(
            "[shots] column 'distance_mm' and detector.close_distance_mm exclude each other"
        )
    if "distance_mm" in moved and experiment.detector.panels:
        raise ExperimentError(
            "[shots] column 'distance_mm': panels with vectors of their own have no one distance"
        )
    if (spread := [name for name in CELLS if name in columns]) and any(crystal.size_mm):
        raise ExperimentError(
            f"[shots] column '{spread[0]}' and crystal.size_mm are both the size; give one"
        )
    if experiment.active_quirks:
        raise ExperimentError(
            "[shots] what differs from shot to shot, other than orientations, needs mode 'spec' "
            "without quirks"
        )
