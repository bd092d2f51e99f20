"""What an object store says while a store is made, and what a driver that is late may do there."""

import json

import obstore
import pytest
from obstore.exceptions import GenericError

from tests.distributed.conftest import make_experiment
from tiledsim.errors import StoreError
from tiledsim.scene.build import build_scene
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.layout import choose_layout
from tiledsim.scheduler.store.prefix import FencedPrefix, ObjectFiles

SAID = "Generic S3 error: Error performing PUT http://127.0.0.1:9: no answer"
LAYOUT = choose_layout(build_scene(make_experiment(size_px=(9, 9))))


def held() -> None:
    """The lease is there."""


def lost() -> None:
    raise StoreError("another process has taken this store over")


@pytest.fixture
def files() -> ObjectFiles:
    return ObjectFiles("memory:///x")


def test_a_store_that_cannot_be_made(files: ObjectFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise GenericError(f"{SAID}\n\nDebug source:\nGeneric {{ … }}")

    monkeypatch.setattr(obstore, "put", refuse)
    with pytest.raises(StoreError) as error:
        store.create(files.writer("a", held), LAYOUT, 0.1, "a")
    assert str(error.value) == f"memory:///x/zarr.json: {SAID}"


def test_a_driver_that_wakes_while_another_makes_a_store(files: ObjectFiles) -> None:
    """At each step of its own making it finds what the other has made, and stops."""
    first, second = files.writer("a", held), files.writer("b", held)
    store.create(first, LAYOUT, 0.1, "a")
    store.create(second, LAYOUT, 0.1, "b")
    with pytest.raises(StoreError, match="another process makes a store here"):
        first.make("image/zarr.json", b"{}")
    with pytest.raises(StoreError, match="overwritten, moved or deleted"):
        store.publish(first, {"run": "a"}, "a")
    store.publish(second, {"run": "b"}, "b")
    with pytest.raises(StoreError, match="overwritten, moved or deleted"):
        store.publish(first, {"run": "a"}, "a")
    with pytest.raises(StoreError, match="overwritten, moved or deleted"):
        store.update_attributes(first, "a", {"summary": {}})
    assert json.loads(files.read("zarr.json") or b"")["attributes"]["run"] == "b"


def test_a_document_that_changes_between_a_look_and_its_write(files: ObjectFiles) -> None:
    files.write("key", b"1")

    def meanwhile() -> None:
        files.write("key", b"2")

    with pytest.raises(StoreError, match="another process has changed it"):
        FencedPrefix(files, meanwhile).change("key", lambda data: b"3")
    assert files.read("key") == b"2"


def test_without_the_lease_nothing_is_changed_or_removed(files: ObjectFiles) -> None:
    files.write("folder/key", b"1")
    late = FencedPrefix(files, lost)
    with pytest.raises(StoreError, match="taken this store over"):
        late.remove("folder/")
    with pytest.raises(StoreError, match="taken this store over"):
        late.change("folder/key", lambda data: b"2")
    assert files.read("folder/key") == b"1"
