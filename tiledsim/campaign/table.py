"""The table of a campaign: a row a shot, from distributions, a file and Python."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.columns import (
    CELL,
    CELLS,
    KINDS,
    MISSET,
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
from tiledsim.units import HC_EV_A

Array = NDArray[np.float64]
Cell = tuple[float, ...]

MOVES = frozenset({"distance_mm", "detector_shift_fast_mm", "detector_shift_slow_mm"})
"""Columns that move the detector."""
LIGHTS_LAYERS = MOVES | {
    "fluence_photons_per_m2", "wavelength_A", "energy_eV", "spectrum", "polarization",
}  # fmt: skip
"""Columns that amorphous layers would follow, whose background is that of all shots."""


@dataclass(frozen=True)
class ShotTable:
    """What differs between the shots of a campaign."""

    count: int
    columns: Mapping[str, NDArray[np.generic]]
    """Columns as they were given or drawn, labels too, each [count]."""
    turns: Array | None
    """Quaternions of the shots' orientations [count, 4]; None: all as the crystal stands."""

    def for_scene(self) -> tuple[tuple[str, ...], Array]:
        """Return the names and values [count, columns] of what images depend on."""
        orientations = (*MISSET, *U)
        chosen: dict[str, NDArray[np.generic]] = {
            name: values
            for name, values in self.columns.items()
            if name in KINDS and name not in orientations
        }
        if "energy_eV" in chosen:
            chosen["wavelength_A"] = HC_EV_A / chosen.pop("energy_eV").astype(np.float64)
        if self.turns is not None:
            chosen |= dict(zip(TURN, self.turns.T, strict=True))
        names = tuple(sorted(chosen))
        values = np.empty((self.count, len(names)))
        for k, name in enumerate(names):
            values[:, k] = chosen[name]
        return names, values


def build_table(experiment: Experiment, cell: Cell) -> ShotTable:
    """Make the table of an experiment whose crystal has a cell.

    Raises ExperimentError or InputFileError, naming column and row, for what cannot be simulated.
    """
    shots = experiment.shots
    rows = _given_rows(experiment)
    count = shots.count
    if rows is not None:
        if shots.table is not None and "count" not in shots.model_fields_set:
            count = len(rows)
        if len(rows) < count:
            raise ExperimentError(
                f"[shots] count = {count}, but {rows.origin} has {len(rows)} rows; give a row a "
                "shot"
            )
    columns: dict[str, NDArray[np.generic]] = {}
    labels = frozenset(shots.labels)
    fields = frozenset(key.rpartition(".")[2] for key in keys(Experiment))
    for name in (*(rows.columns if rows else ()), *shots.columns):
        check_name(name, labels, fields)
    for name in rows.columns if rows else ():
        columns[name] = rows.columns[name][:count] if rows else columns[name]
    for name, column in shots.columns.items():
        if name in columns:
            assert rows is not None
            raise ExperimentError(
                f"[shots] {name} is in shots.columns and in {rows.origin}; give it once"
            )
        columns[name] = draw(name, column, shots.seed, count)
    for name in [name for name in columns if name in KINDS and name not in labels]:
        values = columns[name]
        if values.dtype.kind != "f":
            raise ExperimentError(f"[shots] {name} must be numbers; row 0 is {str(values[0])!r}")
        check_values(name, values.astype(np.float64))
    _check_together(experiment, columns)
    if given := [name for name in CELL if name in columns]:
        table = np.tile(np.array(cell, dtype=np.float64), (count, 1))
        for name in given:
            table[:, CELL.index(name)] = columns[name]
        check_cells(table)
    return ShotTable(count, columns, _turns(experiment, columns, count))


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


def _turns(
    experiment: Experiment, columns: Mapping[str, NDArray[np.generic]], count: int
) -> Array | None:
    """Return the orientations of all shots, however they are given; from one source."""
    missets = [name for name in MISSET if name in columns]
    matrix = [name for name in U if name in columns]
    shots = experiment.shots
    sources = {
        f"orientation = '{shots.orientation}'": shots.orientation != "same",
        "misset_deg": shots.misset_deg is not None,
        f"column {missets[0] if missets else ''}": bool(missets),
        f"column {matrix[0] if matrix else ''}": bool(matrix),
    }
    given = [name for name, used in sources.items() if used]
    if len(given) > 1:
        raise ExperimentError(f"[shots] {' and '.join(given)} both turn the crystal; give one")
    if matrix:
        if missing := [name for name in U if name not in columns]:
            raise ExperimentError(f"[shots] column {missing[0]} is missing: U has nine elements")
        return matrix_turns(_stacked(columns, U, count).reshape(count, 3, 3))
    if shots.misset_deg is not None:
        return misset_turns(np.array(shots.misset_deg, dtype=np.float64))
    if missets:
        return misset_turns(_stacked(columns, MISSET, count))
    return drawn_turns(shots, count)


def _stacked(
    columns: Mapping[str, NDArray[np.generic]], names: tuple[str, ...], count: int
) -> Array:
    zeros = np.zeros(count)
    return np.stack([columns.get(name, zeros).astype(np.float64) for name in names], axis=1)


def _check_together(experiment: Experiment, columns: Mapping[str, NDArray[np.generic]]) -> None:
    """Refuse columns that contradict the experiment, or that it gives nothing to act on."""
    crystal, shots = experiment.crystal, experiment.shots
    moved = MOVES & set(columns)
    sized = crystal.size_um is not None or crystal.volume_um3 is not None
    refusals = {
        "wavelength_A": ("energy_eV" in columns, "energy_eV is a column too; give one"),
        "spectrum": (shots.spectra_file is None, "it needs shots.spectra_file"),
        "noise_seed": (experiment.noise is None, "it needs a [noise] section"),
        "mosaic_spread_deg": (
            crystal.mosaic.spread_deg == 0.0,
            "it needs crystal.mosaic.spread_deg above 0, which it replaces, and domains",
        ),
        "blocks": (sized, "crystal.size_um or volume_um3 gives their number already"),
    }
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
    if shots.vectors_A is not None:
        raise ExperimentError(
            "[shots] vectors_A (crystals of a geometry file) and columns, a table or spectra of "
            "shots are both given; give one"
        )
    lit = sorted(LIGHTS_LAYERS & set(columns))
    lit += [name for name in ("sase", "spectra_file") if getattr(shots, name) is not None]
    if lit and experiment.background.layers:
        raise ExperimentError(
            f"[shots] {lit[0]} differs from shot to shot and background.layers are the same for "
            "all; leave out one of the two (water_um follows each shot)"
        )
    if experiment.active_quirks:
        raise ExperimentError(
            "[shots] what differs from shot to shot, other than orientations, needs mode 'spec' "
            "without quirks"
        )
