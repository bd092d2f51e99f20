"""Columns that are drawn: from an entry of ``[shots.columns]`` to values."""

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.row_deviates import row_normals, row_uniforms
from tiledsim.errors import ExperimentError
from tiledsim.experiment import Column


def draw(name: str, column: Column, seed: int, count: int, first: int = 0) -> NDArray[np.generic]:
    """Return the values of a column [count] from row ``first`` on: numbers, or texts.

    Raises ExperimentError where a list has fewer values than there are shots.
    """
    if column.uniform is not None:
        low, high = column.uniform
        return low + (high - low) * row_uniforms(seed, name, first, count)[:, 0]
    if column.normal is not None:
        mean, sigma = column.normal
        return mean + sigma * row_normals(seed, name, first, count)[:, 0]
    if column.lognormal is not None:
        median, sigma = column.lognormal
        return median * np.exp(sigma * row_normals(seed, name, first, count)[:, 0])
    if column.choice is not None:
        weights = np.array(column.weights or (1.0,) * len(column.choice))
        edges = np.cumsum(weights / weights.sum())
        edges[-1] = 1.0
        drawn = row_uniforms(seed, name, first, count)[:, 0]
        chosen = np.searchsorted(edges, drawn, side="right")
        return _values(column.choice)[chosen]
    if column.linspace is not None:
        return _taken(name, "linspace", np.linspace(*column.linspace), column, first, count)
    assert column.list is not None  # by Column
    return _taken(name, "list", _values(column.list), column, first, count)


def _values(given: tuple[float | str, ...]) -> NDArray[np.generic]:
    if any(isinstance(value, str) for value in given):
        return np.array([str(value) for value in given])
    return np.array(given, dtype=np.float64)


def _taken(
    name: str, what: str, values: NDArray[np.generic], column: Column, first: int, count: int
) -> NDArray[np.generic]:
    if column.repeat:
        return values[np.arange(first, first + count) % len(values)]
    if len(values) < first + count:
        raise ExperimentError(
            f"[shots] {name}: its {what} has {len(values)} values for {first + count} shots; give "
            "one a shot, or repeat = true"
        )
    return values[first : first + count]
