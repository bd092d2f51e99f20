"""A panel's pixels put where the panel stands in a picture."""

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import jit
from tiledsim.vectors import Array


def paint(
    cells: NDArray[np.float32], factor: int, rows: int, cols: int, forward: Array, offset: Array,
    values: NDArray[np.float32], covered: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Raise a picture to the values of a panel.

    Every pixel of the picture takes the cell at its centre and the largest of the cells whose
    centres it holds; so none is lost where cells are smaller than pixels, and there are no holes
    where they are larger or turned.

    Parameters
    ----------
    cells : [n, m]
        Of ``factor`` x ``factor`` pixels of the panel each; NaN where nothing is known.
    factor : int
        Pixels a side of a cell.
    rows, cols : int
        Pixels of the panel.
    forward : [2, 2]
        (x, y) in the picture for a step along fast and slow, as columns.
    offset : [2]
        (x, y) of the outer corner of the panel's first pixel.
    values, covered : [height, width]
        The picture, and where there is a panel; both are changed.
    """
    back = np.asarray(np.linalg.inv(forward), dtype=np.float64)
    steps = np.array([[0, 0], [cols, 0], [cols, rows], [0, rows]], dtype=np.float64)
    corners = steps @ forward.T + offset
    height, width = values.shape
    left, top = np.maximum(np.floor(corners.min(axis=0)), 0).astype(np.int64)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)), (width, height)).astype(np.int64)
    _by_pixel(
        cells, factor, rows, cols, back, np.asarray(offset, dtype=np.float64),
        (int(left), int(right)), (int(top), int(bottom)), values, covered,
    )  # fmt: skip
    if factor * abs(float(np.linalg.det(forward))) ** 0.5 < 1.0 + 1e-9:
        _by_cell(cells, factor, rows, cols, forward, offset, values, covered)


@jit
def _by_pixel(
    cells: NDArray[np.float32], factor: int, rows: int, cols: int, back: Array, offset: Array,
    across: tuple[int, int], down: tuple[int, int], values: NDArray[np.float32],
    covered: NDArray[np.bool_],
) -> None:  # fmt: skip
    for y in range(down[0], down[1]):
        for x in range(across[0], across[1]):
            dx, dy = x + 0.5 - offset[0], y + 0.5 - offset[1]
            fast = back[0, 0] * dx + back[0, 1] * dy
            slow = back[1, 0] * dx + back[1, 1] * dy
            if 0.0 <= fast < cols and 0.0 <= slow < rows:
                covered[y, x] = True
                value = cells[int(slow) // factor, int(fast) // factor]
                if not (value <= values[y, x] or np.isnan(value)):
                    values[y, x] = value


@jit
def _by_cell(
    cells: NDArray[np.float32], factor: int, rows: int, cols: int, forward: Array, offset: Array,
    values: NDArray[np.float32], covered: NDArray[np.bool_],
) -> None:  # fmt: skip
    for i in range(cells.shape[0]):
        slow = 0.5 * (i * factor + min((i + 1) * factor, rows))
        for j in range(cells.shape[1]):
            value = cells[i, j]
            if np.isnan(value):
                continue
            fast = 0.5 * (j * factor + min((j + 1) * factor, cols))
            x = int(np.floor(offset[0] + forward[0, 0] * fast + forward[0, 1] * slow))
            y = int(np.floor(offset[1] + forward[1, 0] * fast + forward[1, 1] * slow))
            if 0 <= y < values.shape[0] and 0 <= x < values.shape[1]:
                covered[y, x] = True
                if not value <= values[y, x]:
                    values[y, x] = value
