"""Panels are painted without losing a pixel and without holes, however they stand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tiledsim.image_files.pictures.painting import paint
from tiledsim.image_files.pictures.reduction import new_cells, reduce_into


@given(
    st.integers(1, 40), st.integers(1, 40), st.floats(0.0, 6.3), st.floats(0.1, 4.0),
    st.sampled_from([1, 2, 4]), st.booleans(),
)  # fmt: skip
@settings(max_examples=100)
def test_the_largest_pixel_is_seen_and_nothing_is_left_out(
    rows: int, cols: int, angle: float, size: float, factor: int, mirrored: bool
) -> None:
    factor = factor if factor * size <= 1.0 else 1
    pixels = np.random.default_rng(rows * cols).random((rows, cols)).astype(np.float32)
    cells = new_cells(rows, cols, factor)
    reduce_into(cells, pixels, 0, 0, factor)
    c, s = np.cos(angle), np.sin(angle)
    forward = size * np.array([[c, -s], [s, c]]) @ np.diag([1.0, -1.0 if mirrored else 1.0])
    corners = np.array([[0, 0], [cols, 0], [cols, rows], [0, rows]]) @ forward.T
    offset = -corners.min(axis=0) + 1.5
    width, height = np.ceil(corners.max(axis=0) + offset + 1.5).astype(int)
    values = np.full((height, width), np.nan, dtype=np.float32)
    covered = np.zeros((height, width), dtype=bool)
    paint(cells, factor, rows, cols, forward, offset, values, covered)
    y, x = np.nonzero(covered)
    assert np.isfinite(values[y, x]).all()
    assert np.isnan(values[~covered]).all()
    back = (np.stack([x, y], 1) + 0.5 - offset) @ np.linalg.inv(forward).T
    beside = 0.75 / size + 1e-6  # a pixel of the picture may reach over the edge
    assert ((back > -beside) & (back < [cols + beside, rows + beside])).all()
    there = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) + 0.5 - offset
    inside = (there @ np.linalg.inv(forward).T > 1e-9).all(-1)
    inside &= (there @ np.linalg.inv(forward).T < np.array([cols, rows]) - 1e-9).all(-1)
    assert covered[inside].all()
    if size <= 1.0:
        assert np.nanmax(values) == pixels.max()


def test_upright_pixels_are_themselves() -> None:
    pixels = np.arange(12, dtype=np.float32).reshape(3, 4)
    values = np.full((5, 6), np.nan, dtype=np.float32)
    covered = np.zeros((5, 6), dtype=bool)
    paint(pixels, 1, 3, 4, np.eye(2), np.array([1.0, 2.0]), values, covered)
    np.testing.assert_array_equal(values[2:5, 1:5], pixels)
    assert covered.sum() == 12
