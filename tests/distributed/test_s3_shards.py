"""Shards in an object store: what a task may put, and what it may take the place of."""

import json
from typing import Any

import pytest

from tests.distributed.conftest import make_experiment
from tiledsim.errors import StoreError
from tiledsim.scheduler import run
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import ObjectFiles, open_files
from tiledsim.scheduler.store.shards import open_shards


def document(run: str) -> bytes:
    return json.dumps({"attributes": {"run": run}}).encode()


def test_a_shard_is_replaced_only_while_it_is_what_was_seen(bucket: str) -> None:
    files = open_files(f"s3://{bucket}/x")
    assert isinstance(files, ObjectFiles)
    assert files.create_for("key", b"one", "a") is None
    first = files.create_for("key", b"two", "b")
    assert first is not None
    assert first[:2] == (b"one", "a")
    assert files.replace_for("key", b"two", "b", first[2])
    assert not files.replace_for("key", b"three", "c", first[2])
    second = files.create_for("key", b"three", "c")
    assert second is not None
    assert second[:2] == (b"two", "b")
    files.delete("key")
    assert not files.replace_for("key", b"three", "c", second[2])
    assert files.read("key") is None


def test_a_late_task_finds_another_run(bucket: str) -> None:
    """It neither takes the place of the new run's shard, nor keeps one that it has put itself."""
    files = open_files(f"s3://{bucket}/x")
    files.write("zarr.json", document("old"))
    late = open_shards(files, "old")
    assert late.put("image/c/0", b"old", durable=True) is None
    assert late.put("image/c/0", b"old", durable=True) is None
    files.write("zarr.json", document("new"))
    with pytest.raises(StoreError, match="overwritten, moved or deleted"):
        open_shards(files, "old")
    now = open_shards(files, "new")
    assert late.put("image/c/1", b"old", durable=True) is None  # there was nothing yet
    for key in ("image/c/0", "c/1"):
        assert now.put(key, b"new", durable=True) is None
        assert files.read(key) == b"new"
        with pytest.raises(StoreError, match="overwritten, moved or deleted"):
            late.put(key, b"old", durable=True)
        assert files.read(key) == b"new"


def test_an_overwrite_between_a_late_task_s_look_and_its_write(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen its own run named, and what it wants to replace; then everything changes."""
    files = open_files(f"s3://{bucket}/x")
    assert isinstance(files, ObjectFiles)
    files.write("zarr.json", document("older"))
    open_shards(files, "older").put("image/c/0", b"older", durable=True)
    files.write("zarr.json", document("old"))
    late = open_shards(files, "old")
    replace = ObjectFiles.replace_for

    def overwritten_before(self: ObjectFiles, *arguments: Any) -> bool:
        monkeypatch.setattr(ObjectFiles, "replace_for", replace)
        files.write("zarr.json", document("new"))
        files.delete("image/c/0")
        open_shards(files, "new").put("image/c/0", b"new", durable=True)
        return self.replace_for(*arguments)

    monkeypatch.setattr(ObjectFiles, "replace_for", overwritten_before)
    with pytest.raises(StoreError, match="overwritten, moved or deleted"):
        late.put("image/c/0", b"old", durable=True)
    assert files.read("image/c/0") == b"new"


def test_a_damaged_shard_is_replaced_once(bucket: str) -> None:
    """Two tasks of one run see the same damage: the second leaves what the first has written."""
    files = open_files(f"s3://{bucket}/x")
    files.write("zarr.json", document("a"))
    shards = open_shards(files, "a")
    shards.put("image/c/0", b"torn", durable=True)
    found = shards.put("image/c/0", b"whole", durable=True)
    assert found is not None
    assert found.data == b"torn"
    shards.replace("image/c/0", b"whole", found, durable=True)
    shards.replace("image/c/0", b"whole", found, durable=True)
    with pytest.raises(StoreError, match="other bytes"):
        shards.replace("image/c/0", b"others", found, durable=True)
    assert files.read("image/c/0") == b"whole"


def test_late_shards_of_a_deleted_store_are_no_store(bucket: str) -> None:
    """A run begins where they are, as on empty ground; what anybody else has put there stays."""
    place = f"s3://{bucket}/x"
    files = open_files(place)
    files.write("zarr.json", document("old"))
    late = open_shards(files, "old")
    files.delete("zarr.json")
    late.put("image/c/0/0/0/0", b"late", durable=True)
    late.put("image/c/9/9/9/9", b"late", durable=True)
    assert not store.exists(files)
    experiment = make_experiment(size_px=(9, 9))
    assert run(experiment, place).tiles == 1
    assert verify(place).sound
    assert list(files.keys("image/c/")) == ["image/c/0/0/0/0"]
    files.delete("zarr.json")
    files.write("image/c/mine", b"somebody's own")
    assert store.exists(files)
    with pytest.raises(StoreError, match="exists"):
        run(experiment, place)
    assert files.read("image/c/mine") == b"somebody's own"
