"""Measured amplitudes on a model's scale, and a model's in the place of missing ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tiledsim.errors import ExperimentError
from tiledsim.structure_factors.table import FTable, Int, empty_box, triple


def fit_scale(data: FTable, model: FTable) -> float:
    """Return k that makes Σ(k·F_data − F_model)² least, over what both tables have.

    Raises ExperimentError where they share no reflection.
    """
    (inside, there), (F, has) = _common(data), _common(model)
    low = np.maximum(data.lowest, model.lowest)
    high = np.minimum(data.highest, model.highest)
    if (high >= low).all():
        a, b = (
            tuple(slice(s, e) for s, e in zip(low - own, high - own + 1, strict=True))
            for own in (np.array(data.lowest), np.array(model.lowest))
        )
        both = there[a] & has[b]
        own, other = inside[a][both], F[b][both]
        if own.any():
            return float((own @ other) / (own @ own))
    raise ExperimentError("the model and the data of [structure_factors] share no reflection")


def _common(table: FTable) -> tuple[np.ndarray, np.ndarray]:
    inside = table.padded[1:-1, 1:-1, 1:-1]
    present = np.ones(inside.shape, np.bool_) if table.present is None else table.present
    return inside, present


def rescaled(table: FTable, factor: float) -> FTable:
    """Return a table with its read amplitudes multiplied; ``default_F`` stays."""
    padded = table.padded.copy()
    inside, present = padded[1:-1, 1:-1, 1:-1], _common(table)[1]
    inside[present] *= factor
    padded.setflags(write=False)
    return replace(table, padded=padded)


def filled(path: Path, table: FTable, model: FTable, factor: float) -> FTable:
    """Return a table whose missing reflections are ``factor`` times the model's."""
    low: Int = np.minimum(table.lowest, model.lowest).astype(np.int64)
    high: Int = np.maximum(table.highest, model.highest).astype(np.int64)
    padded = empty_box(path, low, high, table.default_F)
    present = np.zeros([n - 2 for n in padded.shape], dtype=np.bool_)
    inside = padded[1:-1, 1:-1, 1:-1]
    for source, scale in ((model, factor), (table, 1.0)):
        values, has = _common(source)
        start = np.array(source.lowest) - low
        at = tuple(slice(s, s + n) for s, n in zip(start, values.shape, strict=True))
        inside[at][has] = scale * values[has]
        present[at] |= has
    count = int(present.sum())
    note = f"{count - table.entries:,} missing reflections have the model's amplitudes"
    return replace(
        table,
        padded=padded,
        lowest=triple(low),
        entries=count,
        present=present,
        notes=(*table.notes, note),
    )
