"""Runs into a real S3 API: moto's server, started here on 127.0.0.1 and ended again."""

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.distributed.conftest import (
    KEY_ID,
    SECRET,
    TESTS,
    image_bytes,
    make_experiment,
    tiny_tiles,
)
from tests.distributed.fakes import FAULTY
from tests.distributed.forks import refusal, tiledsim
from tests.distributed.test_faults import CLIENT
from tiledsim import simulate
from tiledsim.errors import StoreError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.journal.journal import Journal
from tiledsim.scheduler.journal.record_table import Records
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.session.events import Event, TileRetried, TilesDone
from tiledsim.scheduler.session.task import Job
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.layout import Layout
from tiledsim.scheduler.store.lease import PREFIX, Lease
from tiledsim.scheduler.store.open import layout_of

SHARD = "image/c/0/0/4/2"


def objects(bucket: str) -> dict[str, bytes]:
    """All keys of a bucket and their bytes."""
    files = open_files(f"s3://{bucket}")
    return {key: files.read(key) or b"" for key in files.keys("")}


def check_same(bucket: str, summary: Summary, undisturbed: tuple[Path, Summary]) -> None:
    """Compare the image at ``image.zarr`` in a bucket, and its summary, with the undisturbed."""
    found = {
        key.removeprefix("image.zarr/"): hashlib.sha256(data).hexdigest()
        for key, data in objects(bucket).items()
        if key.startswith("image.zarr/image/")
    }
    assert found == image_bytes(undisturbed[0])
    assert (summary.images, summary.tiles) == (undisturbed[1].images, undisturbed[1].tiles)


def test_a_shard_costs_one_request(
    orders: Path, bucket: str, experiment: Experiment, undisturbed: tuple[Path, Summary]
) -> None:
    """Its own, and no other request depends on the number of tiles."""

    def requests(tile: tuple[int, int] | None) -> tuple[int, list[str]]:
        (orders / "log").unlink()
        summary = run(
            experiment, f"s3://{bucket}/image.zarr", workers=1, threads=2, tile=tile,
            overwrite=True,
        )  # fmt: skip
        log = (orders / "log").read_text().splitlines()
        shards = [line for line in log if f"{bucket}/image.zarr/image/c/" in line]
        assert summary.tiles == (1 if tile else 30)
        return len(log) - len(shards), shards

    of_one, _ = requests((10_000, 10_000))
    of_thirty, shards = requests(None)
    assert len(shards) == 30
    assert all(line.startswith("PUT ") for line in shards)
    # Parts of the journal, one a second.
    assert of_thirty - of_one < 3 * 29


def test_resumed_after_a_kill(
    orders: Path, bucket: str, experiment: Experiment, faults: Path, tmp_path: Path,
    undisturbed: tuple[Path, Summary],
) -> None:  # fmt: skip
    (faults / "wait").write_text("0.2")
    script = tmp_path / "client.py"
    script.write_text(CLIENT.replace("Path(sys.argv[1])", "sys.argv[1]"))
    location = f"s3://{bucket}/image.zarr"
    client = subprocess.Popen(
        [sys.executable, script, location, "2"], cwd=TESTS,
        env=os.environ | {"PYTHONPATH": str(TESTS)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    files = open_files(location)
    deadline = time.monotonic() + 60
    while not files.names("run/journal/") and time.monotonic() < deadline:
        time.sleep(0.05)
    client.send_signal(signal.SIGKILL)
    client.wait()
    (faults / "wait").unlink()
    recorded = len(Records(Journal(files), 30))
    assert 0 < recorded < 30
    assert files.names(PREFIX)
    rendered: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, TilesDone):
            rendered.extend(record.index for record in event.records)

    summary = run(experiment, location, resume=True, callbacks=[watch], collaborators=FAULTY)
    check_same(bucket, summary, undisturbed)
    assert len(rendered) == 30 - recorded
    assert not files.names(PREFIX)


def test_a_damaged_object_is_found_and_repaired(
    bucket: str, experiment: Experiment, undisturbed: tuple[Path, Summary]
) -> None:
    location = f"s3://{bucket}/image.zarr"
    run(experiment, location)
    files = open_files(location)
    whole = files.read(SHARD) or b""
    files.write(SHARD, whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert [damage.index for damage in verify(location, sample=0).damaged] == [22]
    check_same(bucket, run(experiment, location, resume=True, repair=True), undisturbed)
    assert verify(location, sample=1).sound


def test_overwrite_and_what_lies_beside(bucket: str) -> None:
    """Only the store's own keys are deleted, and nothing of a prefix that begins with its name."""
    small = make_experiment(size_px=(100, 100))
    beside = open_files(f"s3://{bucket}")
    for key in ("image.zarr.bak/zarr.json", "image.zarr2", "notes"):
        beside.write(key, b"precious")
    first = run(small, f"s3://{bucket}/image.zarr")
    with pytest.raises(StoreError, match="exists; `overwrite`"):
        run(small, f"s3://{bucket}/image.zarr")
    other = small.replace(structure_factors={"default_F": 50.0})
    assert run(other, f"s3://{bucket}/image.zarr", overwrite=True).images != first.images
    for key in ("image.zarr.bak/zarr.json", "image.zarr2", "notes"):
        assert beside.read(key) == b"precious"
    beside.write("image.zarr/thesis.tex", b"years of work")
    before = objects(bucket)
    with pytest.raises(StoreError, match=r"'thesis\.tex', which is not of tiledsim"):
        run(small, f"s3://{bucket}/image.zarr", overwrite=True)
    assert objects(bucket) == before


def test_two_drivers(bucket: str) -> None:
    small = make_experiment(size_px=(100, 100))
    with (
        Lease(open_files(f"s3://{bucket}/image.zarr")),
        pytest.raises(StoreError, match="is writing this store"),
    ):
        run(small, f"s3://{bucket}/image.zarr")
    run(small, f"s3://{bucket}/image.zarr")


def test_a_server_that_fails_and_hangs_on_chosen_writes(
    orders: Path, bucket: str, experiment: Experiment, undisturbed: tuple[Path, Summary]
) -> None:
    """Requests that fail are made again beneath the tile: no attempt is charged."""
    (orders / f"fail-{SHARD.replace('/', '+')}").write_text("2")
    (orders / "fail-run+journal+00000000-").write_text("1")
    (orders / "hang-image+c+0+0+1+1").write_text("1.5")
    retried: list[Event] = []

    def watch(event: Event) -> None:
        if isinstance(event, TileRetried):
            retried.append(event)

    summary = run(experiment, f"s3://{bucket}/image.zarr", callbacks=[watch])
    check_same(bucket, summary, undisturbed)
    assert not retried
    assert not list(orders.glob("*-image+c*"))


def test_no_credentials_anywhere(bucket: str, tmp_path: Path) -> None:
    """Neither in objects, nor in tasks, nor in what is said."""
    (tmp_path / "e.toml").write_text(make_experiment(size_px=(100, 100)).to_toml())
    location = f"s3://{bucket}/image.zarr"
    done = tiledsim("run", tmp_path / "e.toml", "-o", location)
    assert done.returncode == 0, done.stderr
    said = [done.stdout.encode(), done.stderr.encode()]
    missing = tiledsim("run", tmp_path / "e.toml", "-o", "s3://no-such-bucket/image.zarr")
    assert missing.returncode == 2
    assert missing.stderr.splitlines()[-1].startswith("tiledsim: error: s3://no-such-bucket/")
    said += [missing.stdout.encode(), missing.stderr.encode()]
    found = objects(bucket)
    assert json.loads(found["image.zarr/zarr.json"])["attributes"]["command"].endswith(location)
    layout = Layout((1, 1, 9, 9), (9, 9), (9, 9), (9, 9))
    job = pickle.dumps(Job(location, "run", "0" * 64, layout, "cpu", "float64", True))
    for text in (*found.values(), *said, job):
        assert SECRET.encode() not in text
        assert KEY_ID.encode() not in text


def test_wrong_credentials_are_not_repeated(
    orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_RETRIES", "0")
    said = refusal("summary", "s3://bucket/image.zarr")
    assert SECRET not in said
    assert KEY_ID not in said


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEYID:hushhush@bucket/image.zarr",
        "s3://bucket/image.zarr?X-Amz-Signature=hushhush",
        "https://user:hushhush@host/image.zarr",
        "https://host/image.zarr#hushhush",
    ],
)
@pytest.mark.parametrize("command", ["run", "verify", "summary"])
def test_credentials_in_an_address_are_refused(tmp_path: Path, url: str, command: str) -> None:
    (tmp_path / "e.toml").write_text(make_experiment(size_px=(9, 9)).to_toml())
    words = ["run", tmp_path / "e.toml", "-o", url] if command == "run" else [command, url]
    said = refusal(*words)
    assert "has credentials or a query in it" in said
    assert "hushhush" not in said


def test_dots_in_an_address_are_refused() -> None:
    with pytest.raises(StoreError, match=r"cannot have \.\. in it"):
        open_files("s3://bucket/a/../b")


def test_a_profile_of_the_aws_configuration(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"[lab]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    open_files(f"s3://{bucket}/x").write("key", b"value")
    assert open_files(f"s3://{bucket}/x").read("key") == b"value"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreError, match=r"nobody.* could not be found"):
        open_files(f"s3://{bucket}/x")


def test_create_is_made_by_one(bucket: str) -> None:
    """Of many that create a key at once, one succeeds; its bytes are there."""
    files = open_files(f"s3://{bucket}/x")
    results: list[tuple[int, bool]] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append((n, files.create("key", b"%d" % n))))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert [b"%d" % n for n, made in results if made] == [files.read("key")]


def test_layout_of_a_bucket_alone(bucket: str) -> None:
    """A store may be the whole of a bucket."""
    run(make_experiment(size_px=(100, 100)), f"s3://{bucket}")
    assert layout_of(open_files(f"s3://{bucket}")).tiles == 1


def test_workers_lose_none_of_many_tiles(orders: Path, bucket: str) -> None:
    """Of 625; benchmarks/writes.py does it with 10,000."""
    experiment, cut = tiny_tiles(25)
    (orders / "log").unlink()
    location = f"s3://{bucket}/image.zarr"
    summary = run(experiment, location, workers=2, threads=2, collaborators=cut)
    requests = len((orders / "log").read_text().splitlines())
    assert summary.tiles == 625
    assert requests < 625 + 500
    image = zarr.open_array(open_files(location).zarr(), path="image", mode="r")
    np.testing.assert_array_equal(image[:], simulate(experiment).astype(np.float32))


def test_a_large_key_is_created_once(bucket: str) -> None:
    """The journal of very many tiles is larger than the parts of an upload in parts."""
    files = open_files(f"s3://{bucket}/x")
    large = bytes(12 * 2**20)
    assert files.create("key", large)
    assert not files.create("key", b"other")
    assert files.read("key") == large
    files.write("key", large + b"1")
    assert len(files.read("key") or b"") == 12 * 2**20 + 1
