"""What is no store, or a store that lies, is refused in one line, and nothing of it is touched."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.distributed.conftest import make_experiment
from tests.distributed.forks import refusal
from tests.distributed.journals import write_journal
from tests.distributed.test_faults import cut_short
from tiledsim.errors import StoreError, TiledsimError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import run
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.journal.tile_record import TileRecord
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.store.files import LocalFiles, open_files
from tiledsim.scheduler.store.image import UNFINISHED


def everything(folder: Path) -> dict[str, object]:
    """All files and links below a folder, with what is in them."""
    return {
        str(path): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture(scope="module")
def small() -> Experiment:
    """Four tiles."""
    return make_experiment(size_px=(1000, 1000))


@pytest.fixture(scope="module")
def finished(small: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("finished") / "image.zarr"
    run(small, store, fsync=False)
    return store


@pytest.fixture
def half(finished: Path, tmp_path: Path) -> Path:
    """A run of which half is done."""
    store = tmp_path / "image.zarr"
    shutil.copytree(finished, store)
    cut_short(store, keep=2)
    return store


def refused(what: Callable[[], object], folder: Path) -> str:
    """Do what must be refused, see that nothing was touched, and return the one line."""
    before = everything(folder)
    with pytest.raises(TiledsimError) as caught:
        what()
    assert everything(folder) == before
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 600
    return said


# -- what is no store -----------------------------------------------------------------------------


def plain_folder(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("years of work")


def a_file(place: Path) -> None:
    place.write_text("years of work")


def others_array(place: Path) -> None:
    zarr.save(place, np.arange(10))


def others_group(place: Path) -> None:
    group = zarr.create_group(place, attributes={"format": "ome", "format_version": 1})
    group.create_array("image", data=np.arange(10))


def root_is_no_json(place: Path) -> None:
    place.mkdir()
    (place / "zarr.json").write_bytes(b"\x00\xff" * 100)


def root_is_deep(place: Path) -> None:
    place.mkdir()
    (place / "zarr.json").write_text("[" * 100_000)


def version_two(place: Path) -> None:
    place.mkdir()
    (place / ".zgroup").write_text('{"zarr_format": 2}')


@pytest.mark.parametrize(
    "make",
    [plain_folder, a_file, others_array, others_group, root_is_no_json, root_is_deep, version_two],
)
def test_what_is_no_store(tmp_path: Path, small: Experiment, make: Callable[[Path], None]) -> None:
    place = tmp_path / "image.zarr"
    make(place)
    for attempt in (
        lambda: run(small, place),
        lambda: run(small, place, overwrite=True),
        lambda: run(small, place, resume=True),
        lambda: run(small, place, resume=True, repair=True),
        lambda: verify(place),
    ):
        refused(attempt, tmp_path)


def test_the_command_refuses_with_status_two(tmp_path: Path, small: Experiment) -> None:
    plain_folder(tmp_path / "image.zarr")
    (tmp_path / "e.toml").write_text(small.to_toml())
    before = everything(tmp_path)
    said = refusal("run", tmp_path / "e.toml", "-o", tmp_path / "image.zarr", "--overwrite")
    assert "is not a Zarr store" in said
    assert "--overwrite deletes stores of tiledsim only" in said
    assert "is not a Zarr store" in refusal("verify", tmp_path / "image.zarr")
    assert everything(tmp_path) == before


# -- attributes that lie ---------------------------------------------------------------------------


def change(store: Path, **attributes: Any) -> None:
    """Change attributes of a store; None removes one."""
    document = json.loads((store / "zarr.json").read_text())
    document["attributes"] |= attributes
    for name, value in attributes.items():
        if value is None:
            del document["attributes"][name]
    (store / "zarr.json").write_text(json.dumps(document))


def a_layout(**parts: Any) -> dict[str, Any]:
    true = {"shape": [1, 1, 1000, 1000], "chunk": [256, 256], "shard": [512, 512],
            "tile": [512, 512]}  # fmt: skip
    return {"layout": true | parts}


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"format_version": 99}, "install a newer tiledsim"),
        ({"format_version": "x"}, "not one of tiledsim"),
        ({"format_version": None}, "not one of tiledsim"),
        ({"format": "other"}, "a Zarr store of 'other'"),
        ({"layout": None}, "attributes are damaged"),
        ({"layout": 7}, "attributes are damaged"),
        (a_layout(shape=[1, 1, 1000]), "is no layout of tiles"),
        (a_layout(tile=[0, 512]), "is no layout of tiles"),
        (a_layout(tile=[-512, 512]), "is no layout of tiles"),
        (a_layout(tile=[512.0, 512]), "is no layout of tiles"),
        (a_layout(tile=[500, 512]), "is no layout of tiles"),
        (a_layout(shape=[1, 1, 1000, 1001]), "the shape of its image is"),
        (a_layout(shape=[10**9, 10**9, 10**9, 10**9]), "the shape of its image is"),
        (a_layout(chunk=[128, 128]), "the chunks of its image is"),
        (a_layout(shard=[1024, 1024], tile=[1024, 1024]), "the shards of its image is"),
        ({"scene_hash": None}, "attributes are damaged"),
        ({"scene_hash": "../../.."}, "the experiment differs|no hash of a scene"),
        ({"backend": None}, "attributes are damaged"),
    ],
)
def test_attributes_that_lie(
    half: Path, small: Experiment, attributes: dict[str, Any], named: str
) -> None:
    import re

    change(half, **attributes)
    for attempt in (
        lambda: run(small, half, resume=True),
        lambda: run(small, half, resume=True, repair=True),
        lambda: verify(half),
    ):
        assert re.search(named, refused(attempt, half.parent))


def test_an_image_of_another_type(half: Path, small: Experiment) -> None:
    about = (half / "image" / "zarr.json").read_text()
    (half / "image" / "zarr.json").write_text(about.replace('"float32"', '"int32"', 1).replace(
        '"NaN"', "0"))  # fmt: skip
    for attempt in (lambda: run(small, half, resume=True), lambda: verify(half)):
        assert "the type of its image is int32" in refused(attempt, half.parent)


@pytest.mark.parametrize("text", ["", "{}", "[", "\x00"])
def test_an_image_that_cannot_be_opened(half: Path, small: Experiment, text: str) -> None:
    (half / "image" / "zarr.json").write_text(text)
    for attempt in (lambda: run(small, half, resume=True), lambda: verify(half)):
        assert "its image cannot be opened" in refused(attempt, half.parent)


def test_no_image(half: Path, small: Experiment) -> None:
    shutil.rmtree(half / "image")
    for attempt in (lambda: run(small, half, resume=True), lambda: verify(half)):
        assert "its image cannot be opened" in refused(attempt, half.parent)


# -- the scene -------------------------------------------------------------------------------------


def harm_scene(store: Path, how: str) -> None:
    (folder,) = (store / "run" / "scene").iterdir()
    match how:
        case "changed":
            array = np.load(folder / "origin.npy")
            np.save(folder / "origin.npy", array + 1.0)
        case "truncated":
            (folder / "origin.npy").write_bytes((folder / "origin.npy").read_bytes()[:100])
        case "missing":
            shutil.rmtree(folder)
        case "garbage":
            (folder / "scene.json").write_bytes(b"\xff\xfe{")


@pytest.mark.parametrize("how", ["changed", "truncated", "missing", "garbage"])
def test_another_scene(half: Path, small: Experiment, finished: Path, how: str) -> None:
    harm_scene(half, how)
    assert "scene" in refused(lambda: run(small, half, resume=True), half.parent)
    assert "scene" in refused(lambda: verify(half, sample=1), half.parent)
    run(small, half, resume=True, repair=True)
    assert verify(half).sound
    shards = {p.relative_to(half): p.read_bytes() for p in (half / "image" / "c").rglob("*/*")
              if p.is_file()}  # fmt: skip
    assert all((finished / path).read_bytes() == data for path, data in shards.items())


# -- the journal -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff\xfe" * 1000, b"[" * 1_000_000 + b"\n", b"9" * 1_000_000 + b"\n", b"{}\n",
     b"[1, 2\n", b"null\n", b'"' + b"x" * 10_000_000 + b'"\n', b"[NaN]\n"],
    ids=["binary", "deep", "digits", "object", "torn", "null", "long", "nan"],
)  # fmt: skip
def test_a_journal_of_garbage(half: Path, small: Experiment, garbage: bytes) -> None:
    for part in (half / "run" / "journal").iterdir():
        part.write_bytes(garbage)
    for attempt in (lambda: run(small, half, resume=True), lambda: verify(half)):
        assert "journal" in refused(attempt, half.parent)


def test_a_journal_with_other_files(half: Path, small: Experiment) -> None:
    (half / "run" / "journal" / "notes.txt").write_text("hello")
    for attempt in (lambda: run(small, half, resume=True), lambda: verify(half)):
        assert "journal" in refused(attempt, half.parent)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index", 4), ("index", -1), ("inside", -1), ("inside", 10**6), ("rendered", -1),
        ("rendered", 10**6), ("total", float("nan")), ("total", float("inf")),
        ("total_sqr", -1.0), ("spread", -1.0), ("maximum", float("nan")),
        ("maximum_slow", 900), ("maximum_slow", -1), ("maximum_fast", 512), ("crc32", -1),
        ("attempt", -1), ("render_seconds", -1.0), ("render_seconds", float("nan")),
        ("ranges", {"omega_min": float("inf")}),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be(half: Path, small: Experiment, name: str, value: Any) -> None:
    """One value of the first tile's record is another."""
    from dataclasses import asdict

    files = LocalFiles(half)
    records = Records(Journal(files), 4)
    values = asdict(records[0]) | {name: value}
    for part in (half / "run" / "journal").iterdir():
        part.unlink()
    write_journal(files, [TileRecord(**values)])
    refused(lambda: verify(half), half.parent)
    if name == "inside":  # what verify refuses, run does: both read records in the same way
        refused(lambda: run(small, half, resume=True), half.parent)


def test_a_wrong_checksum_is_found_and_not_believed(half: Path, small: Experiment) -> None:
    from dataclasses import replace

    files = LocalFiles(half)
    records = Records(Journal(files), 4)
    damaged, intact = replace(records[0], crc32=records[0].crc32 ^ 1), records[1]
    for part in (half / "run" / "journal").iterdir():
        part.unlink()
    write_journal(files, [damaged, intact])
    before = everything(half)
    verdict = verify(half, sample=0)
    assert [damage.index for damage in verdict.damaged] == [0]
    assert everything(half) == before


# -- what --overwrite may delete -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("notes/thesis.tex", "notes"), ("run/my_notes.txt", "run/my_notes.txt"),
        ("run/journal/00000000.txt", "run/journal/00000000.txt"),
        ("run/scene/mine.npy", "run/scene/mine.npy"), ("tiles/mine/a.txt", "tiles/mine/a.txt"),
        ("geometry/mine.txt", "geometry/mine.txt"), ("image/picture.png", "image/picture.png"),
        ("image/c/backup/0", "image/c/backup"), ("pyramid/mine.txt", "pyramid/mine.txt"),
        ("slow/c/0.bak", "slow/c/0.bak"),
    ],
)  # fmt: skip
def test_overwrite_spares_what_was_put_into_a_store(
    half: Path, small: Experiment, file: str, named: str
) -> None:
    (half / file).parent.mkdir(exist_ok=True, parents=True)
    (half / file).write_text("years of work")
    said = refused(lambda: run(small, half, overwrite=True), half.parent)
    assert f"holds {named!r}, which is not of tiledsim" in said


def test_what_was_put_into_a_half_made_store_stays(tmp_path: Path, small: Experiment) -> None:
    place = tmp_path / "a.zarr"
    (place / "run").mkdir(parents=True)
    (place / "run" / "thesis.tex").write_text("years of work")
    made = {"zarr_format": 3, "node_type": "group", "attributes": {UNFINISHED: "a"}}
    (place / "zarr.json").write_text(json.dumps(made))
    assert "thesis.tex" in refused(lambda: run(small, place), tmp_path)


def test_all_that_a_finished_store_has_may_be_overwritten(tmp_path: Path) -> None:
    """One with every folder that there is: a pyramid, frames, a table of shots."""
    place = tmp_path / "a.zarr"
    experiment = make_experiment(size_px=(2049, 2049)).replace(
        rotation={"start_deg": 0.0, "step_deg": 1.0, "frames": 2}
    )
    first = run(experiment, place, fsync=False)
    assert run(experiment, place, fsync=False, overwrite=True).images == first.images


def test_overwrite_through_a_link(half: Path, small: Experiment, tmp_path: Path) -> None:
    """A link to a store stays one; a link to another folder is refused."""
    (tmp_path / "link.zarr").symlink_to(half)
    run(small, tmp_path / "link.zarr", overwrite=True)
    assert (tmp_path / "link.zarr").is_symlink()
    assert verify(half).sound
    plain_folder(tmp_path / "precious")
    (tmp_path / "other.zarr").symlink_to(tmp_path / "precious")
    refused(lambda: run(small, tmp_path / "other.zarr", overwrite=True), tmp_path)


def test_overwrite_follows_no_link_inside(half: Path, small: Experiment, tmp_path: Path) -> None:
    plain_folder(tmp_path / "precious")
    before = everything(tmp_path / "precious")
    for name in ("image", "tiles"):
        shutil.rmtree(half / name)
        (half / name).symlink_to(tmp_path / "precious")
    (half / "run" / "link").symlink_to(tmp_path / "precious")
    run(small, half, overwrite=True)
    assert everything(tmp_path / "precious") == before
    assert verify(half).sound


@pytest.mark.parametrize("name", ["run", "run/lease"])
def test_a_link_where_the_driver_writes(
    half: Path, small: Experiment, tmp_path: Path, name: str
) -> None:
    plain_folder(tmp_path / "precious")
    shutil.rmtree(half / name)
    (half / name).symlink_to(tmp_path / "precious")
    for attempt in (
        lambda: run(small, half, overwrite=True),
        lambda: run(small, half, resume=True),
    ):
        assert "is a link, which no store has" in refused(attempt, tmp_path)


def test_a_store_that_was_never_made_whole(half: Path, small: Experiment) -> None:
    """Its making was cut short: nothing of it counts, and it is made anew."""
    (half / "zarr.json").write_text(json.dumps(
        {"zarr_format": 3, "node_type": "group", "attributes": {"tiledsim_being_made": True}}
    ))  # fmt: skip
    said = refused(lambda: verify(half), half.parent)
    assert "was never made whole" in said
    run(small, half, resume=True)
    assert verify(half).sound
    assert (half / "image" / "c").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, small: Experiment) -> None:
    (tmp_path / "file").write_text("")
    said = refused(lambda: run(small, tmp_path / "file" / "image.zarr"), tmp_path)
    assert "cannot be made" in said or "is a file" in said


def test_keys_do_not_lead_out(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_files("s3://bucket/../other")
