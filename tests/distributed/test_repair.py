"""What is damaged in a store is found, and made again from what is there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.conftest import image_bytes, make_experiment
from tests.distributed.forks import tiledsim
from tiledsim.errors import StoreError
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.results.stored_summary import load_summary
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.session.events import Event, TilesDone
from tiledsim.scheduler.store.files import LocalFiles
from tiledsim.scheduler.store.image import read_attributes

SMALL = make_experiment(size_px=(700, 600))


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, Summary]:
    return tmp_path / "a.zarr", run(SMALL, tmp_path / "a.zarr")


def edit(place: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((place / "zarr.json").read_text())
    change(document["attributes"])
    (place / "zarr.json").write_text(json.dumps(document))


def test_one_wrong_byte_in_the_journal(finished: tuple[Path, Summary]) -> None:
    place, summary = finished
    before = image_bytes(place)
    (part,) = (place / "run" / "journal").iterdir()
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 8
    part.write_bytes(data)
    with pytest.raises(StoreError, match="`resume` and `repair` renders its tiles again"):
        verify(place)
    again = run(SMALL, place, resume=True, repair=True)
    assert again.physical() == summary.physical()
    assert image_bytes(place) == before
    assert verify(place).sound


def test_a_journal_that_is_damaged_in_one_of_its_files(tmp_path: Path) -> None:
    """The records of the others are kept."""
    place = tmp_path / "a.zarr"

    def stop(event: Event) -> None:
        if isinstance(event, TilesDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(SMALL, place, threads=1, callbacks=[stop])
    first = {path.name for path in (place / "run" / "journal").iterdir()}
    summary = run(SMALL, place, resume=True, threads=1)
    (later,) = (p for p in (place / "run" / "journal").iterdir() if p.name not in first)
    later.write_bytes(later.read_bytes()[:-30])
    begun: list[int] = []

    def count(event: Event) -> None:
        if isinstance(event, TilesDone):
            begun.extend(record.index for record in event.records)

    again = run(SMALL, place, resume=True, repair=True, callbacks=[count])
    assert again.physical() == summary.physical()
    assert 0 < len(begun) < again.tiles


def test_a_summary_that_was_edited(finished: tuple[Path, Summary]) -> None:
    place, summary = finished
    edit(place, lambda about: about["summary"].update(photons=999999.0))
    done = tiledsim("verify", place, "--sample", "0")
    assert done.returncode == 1
    assert "the summary is wrong: photons is not what the records come to" in done.stdout
    assert "--resume and --repair" in done.stdout
    assert run(SMALL, place, resume=True, repair=True).physical() == summary.physical()
    assert verify(place).sound


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about["summary"].pop("slowest"),
        lambda about: about.update(summary=None),
        lambda about: about["summary"].update(photons=None),
    ],
)
def test_a_summary_that_cannot_be_read(
    finished: tuple[Path, Summary], change: Callable[[dict[str, Any]], object]
) -> None:
    place, summary = finished
    edit(place, change)
    again = run(SMALL, place, resume=True)
    assert again.physical() == summary.physical()
    assert load_summary(LocalFiles(place)) == again


def test_a_wrong_shard_that_can_be_read(tmp_path: Path) -> None:
    """The shard of another tile, whole and readable: it may not stay because it is whole."""
    place = tmp_path / "a.zarr"
    square = make_experiment(size_px=(1024, 1024))
    summary = run(square, place)
    before = image_bytes(place)
    shards = place / "image" / "c" / "0" / "0"
    (shards / "0" / "0").write_bytes((shards / "1" / "1").read_bytes())
    assert run(square, place, resume=True, repair=True).physical() == summary.physical()
    assert image_bytes(place) == before


def test_other_versions(tmp_path: Path) -> None:
    place = tmp_path / "a.zarr"

    def stop(event: Event) -> None:
        if isinstance(event, TilesDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(SMALL, place, threads=1, callbacks=[stop])
    edit(place, lambda about: about["versions"].update(numba="0.1", kernels="old"))
    with pytest.raises(StoreError, match=r"begun with numba 0\.1 \(now .*kernels old .*`other_ver"):
        run(SMALL, place, resume=True)
    run(SMALL, place, resume=True, other_versions=True)
    about = read_attributes(LocalFiles(place))
    assert about["versions"]["numba"] == "0.1"
    (session,) = about["continued"]
    assert session["versions"]["numba"] != "0.1"
    assert session["options"] == {"resume": True, "other_versions": True}
    run(SMALL, place, resume=True)  # it is finished, and nothing is rendered


def test_no_time_to_render_deletes_nothing(finished: tuple[Path, Summary]) -> None:
    place, summary = finished
    with pytest.raises(Exception, match="before any tile was begun; nothing was changed"):
        run(SMALL, place, overwrite=True, time_limit_minutes=0.001)
    assert run(SMALL, place, resume=True) == summary
