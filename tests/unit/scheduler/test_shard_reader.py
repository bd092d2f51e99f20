"""Pixels are read out of shards as zarr reads them, or not at all."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tiledsim.errors import StoreError
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import LocalFiles
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.shard_reader import ShardReader
from tiledsim.tile import Tile

SHAPE = (2, 2, 150, 100)


@pytest.fixture(scope="module", params=["float32", "int32", "uint16"])
def kept(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("shards")
    layout = Layout(SHAPE, (32, 16), (64, 32), (64, 32), request.param)
    with contextlib.closing(LocalFiles(folder).writer("mark", lambda: None)) as writer:
        store.create(writer, layout, 0.1, "mark")
    image = zarr.open_array(folder / "image", mode="r+")
    pixels = np.random.default_rng(0).poisson(300, SHAPE).astype(request.param)
    image[:, 0] = pixels[:, 0]
    image[1, 1, 64:128, :32] = pixels[1, 1, 64:128, :32]  # other shards are not there
    return folder, zarr.open_array(folder / "image", mode="r")


@given(st.data())
@settings(max_examples=60)
def test_any_part_is_what_zarr_reads(kept: tuple[Path, Any], data: st.DataObject) -> None:
    folder, image = kept
    shot, panel = data.draw(st.sampled_from([(0, 0), (1, 0), (1, 1)]))
    top, left = data.draw(st.integers(0, 149)), data.draw(st.integers(0, 99))
    bottom, right = data.draw(st.integers(top + 1, 150)), data.draw(st.integers(left + 1, 100))
    found = ShardReader(LocalFiles(folder), image).read(Tile(shot, panel, top, bottom, left, right))
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, image[shot, panel, top:bottom, left:right])


def test_damage_is_named(kept: tuple[Path, Any]) -> None:
    folder, image = kept
    victim = folder / "image/c/0/0/1/1"
    whole = victim.read_bytes()
    reader = ShardReader(LocalFiles(folder), image)
    try:
        for place in (3, len(whole) // 2, len(whole) - 10):
            victim.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            with pytest.raises(StoreError, match="image/c/0/0/1/1 is damaged"):
                reader.read(Tile(0, 0, 0, 150, 0, 100))
        victim.write_bytes(whole[:20])
        with pytest.raises(StoreError, match="is damaged"):
            reader.read(Tile(0, 0, 0, 150, 0, 100))
    finally:
        victim.write_bytes(whole)


def test_an_image_stored_otherwise_is_left_to_zarr(tmp_path: Path) -> None:
    other = zarr.create_array(
        tmp_path / "image", shape=(1, 1, 8, 8), chunks=(1, 1, 4, 4), shards=(1, 1, 8, 8),
        dtype="float32", compressors=None,
    )  # fmt: skip
    with pytest.raises(StoreError, match="zarr may read it"):
        ShardReader(LocalFiles(tmp_path), other)
