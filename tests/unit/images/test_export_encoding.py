"""How exports are encoded: frames of axes, series, compressed pieces, conversions."""

from itertools import pairwise

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiledsim.errors import ExperimentError
from tiledsim.image_files.cbf import byte_offset
from tiledsim.image_files.instrument import as_series, imgcif_rotation
from tiledsim.image_files.nxmx import bitshuffle
from tiledsim.scheduler.export.conversion import Conversion
from tiledsim.vectors import axis_rotation, unit


@settings(max_examples=40)
@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_any_frame_becomes_imgcif(numbers: list[float]) -> None:
    beam, spindle = np.array(numbers[:3]), np.array(numbers[3:])
    if min(np.linalg.norm(beam), np.linalg.norm(np.cross(beam, spindle))) < 1e-3:
        return
    turn = imgcif_rotation(unit(beam), unit(spindle), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    np.testing.assert_allclose(turn @ unit(beam), [0, 0, -1], atol=1e-12)
    x, y, _ = turn @ unit(spindle)
    assert x > 0
    assert abs(y) < 1e-9


def test_shots_that_turn_evenly_are_a_series() -> None:
    axis = unit([0.2, 1.0, 0.1])
    cell = np.diag([50.0, 60.0, 70.0]) @ axis_rotation([1, 2, 3], 0.7).T
    shots = np.stack([cell @ axis_rotation(axis, np.radians(0.4 * n)).T for n in range(5)])
    starts, crystals = as_series(axis, shots, 10.0, 0.4)
    np.testing.assert_allclose(starts, 10 + 0.4 * np.arange(5))
    np.testing.assert_allclose(crystals, np.repeat(cell[None], 5, axis=0))
    shots[3] = cell
    starts, crystals = as_series(axis, shots, 10.0, 0.4)
    np.testing.assert_array_equal(starts, np.full(5, 10.0))
    np.testing.assert_array_equal(crystals, shots)


@settings(max_examples=30)
@given(
    st.sampled_from(["<i4", "<u2", "<f4"]),
    st.integers(1, 9000),
    st.lists(st.integers(1, 8999), max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_pieces_join_to_the_same_chunk(dtype: str, n: int, cuts: list[int], seed: int) -> None:
    flat = np.random.default_rng(seed).poisson(300, n).astype(dtype)
    edges = sorted({0, n, *(cut for cut in cuts if cut < n)})
    parts = [bitshuffle.compress_piece(flat[a:b], a) for a, b in pairwise(edges)]
    joined = b"".join(bitshuffle.join_pieces(iter(parts), flat.nbytes))
    assert joined == bitshuffle.compress_chunk(flat)
    with h5py.File.in_memory() as file:
        data = file.create_dataset(
            "d", shape=(n,), chunks=(n,), dtype=dtype,
            **hdf5plugin.Bitshuffle(nelems=8192 // flat.itemsize),
        )  # fmt: skip
        data.id.write_direct_chunk((0,), joined)
        np.testing.assert_array_equal(data[...], flat)


@settings(max_examples=30)
@given(
    st.lists(st.integers(-(2**30), 2**30) | st.integers(-200, 200), min_size=1, max_size=300),
    st.integers(1, 299),
)
def test_byte_offset_is_that_of_fabio(values: list[int], cut: int) -> None:
    compression = pytest.importorskip("fabio.compression")
    flat = np.array(values, dtype=np.int32)
    pieces = [byte_offset.encode_piece(part) for part in (flat[:cut], flat[cut:]) if part.size]
    data, last = b"", 0
    for piece in pieces:
        data += byte_offset.join_piece(piece, last)
        last = piece.last
    assert data == bytes(compression.compByteOffset(flat))


def test_a_step_too_large_for_byte_offset_is_refused() -> None:
    with pytest.raises(ExperimentError, match="2³¹"):
        byte_offset.encode_piece(np.array([-(2**30) - 5, 2**30, -(2**30)], dtype=np.int32))


def test_conversion_counts_what_does_not_fit() -> None:
    rows = np.array([[0.4, 2.5, 70000.0, -3.0, np.nan]], dtype=np.float32)
    made = Conversion("<u2", 0.0, 65534.0, 65535.0, clip=True).apply(rows, None)
    assert made.values.tolist() == [[0, 2, 65534, 0, 65535]]
    assert (made.outside, made.worst) == (2, 70000.0)
    masked = np.array([[True, False, False, True, True]])
    made = Conversion("<i4", -5.0, 1e9, -1.0).apply(rows, masked)
    assert made.values.tolist() == [[0, -1, -1, -3, -1]]
    assert made.outside == 0


def test_saturated_counts_fit_a_smaller_type() -> None:
    rows = np.array([[65535, 65534, 3]], dtype=np.uint16)
    made = Conversion("<u2", 0.0, 65534.0, 65535.0, top=65535.0).apply(rows, None)
    assert made.values.tolist() == [[65534, 65534, 3]]
    assert made.outside == 0
