"""Runs that nothing disturbs: bytes, summary, refusals."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import xarray
from distributed import Client

from tests.distributed import servers
from tests.distributed.conftest import image_bytes, make_experiment, tiny_tiles
from tiledsim import simulate
from tiledsim.errors import BackendError, ExperimentError, OptionError, StoreError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, lazy, run
from tiledsim.scheduler import open as open_store
from tiledsim.scheduler.cluster.local import local_client, own_security
from tiledsim.scheduler.cluster.remote import remote_client
from tiledsim.scheduler.results.stored_summary import load_summary
from tiledsim.scheduler.session.events import Event, TilesDone
from tiledsim.scheduler.store.files import open_files
from tiledsim.scheduler.store.lease import Lease

Check = Callable[[Path, Summary], None]


@pytest.mark.parametrize(
    ("tile", "workers", "threads"),
    [((600, 900), 1, 1), ((1, 1), 1, 3), ((10_000, 10_000), 1, 2), (None, 2, 1)],
)
def test_the_same_bytes_however_it_is_cut_and_computed(
    tmp_path: Path, experiment: Experiment, undisturbed: tuple[Path, Summary],
    tile: tuple[int, int] | None, workers: int, threads: int,
) -> None:  # fmt: skip
    store = tmp_path / "image.zarr"
    summary = run(experiment, store, tile=tile, workers=workers, threads=threads, fsync=False)
    expected_store, expected = undisturbed
    assert image_bytes(store) == image_bytes(expected_store)
    mine, theirs = summary.images[0], expected.images[0]
    assert (mine.maximum, mine.maximum_slow) == (theirs.maximum, theirs.maximum_slow)
    assert mine.photons == pytest.approx(theirs.photons, rel=1e-12)
    assert mine.rmsd == pytest.approx(theirs.rmsd, rel=1e-12)


def test_what_is_stored_is_what_is_simulated(
    experiment: Experiment, undisturbed: tuple[Path, Summary]
) -> None:
    with xarray.open_zarr(undisturbed[0], consolidated=False) as dataset:
        image = dataset["image"]
        assert image.dims == ("shot", "panel", "slow", "fast")
        assert image.dtype == np.float32
        assert image.attrs["units"] == "photons/pixel"
        np.testing.assert_array_equal(image.values, simulate(experiment).astype(np.float32))
        np.testing.assert_array_equal(dataset["slow"], np.arange(2700))
    assert open_store(undisturbed[0])["image"].shape == (1, 1, 2700, 2200)


def test_lazy_is_the_same_image() -> None:
    small = make_experiment(size_px=(600, 700))
    array = lazy(small)
    assert array.shape == (1, 1, 700, 600)
    np.testing.assert_array_equal(array.compute(scheduler="threads"), simulate(small))


def test_the_summary_has_nanobraggs_statistics(tmp_path: Path) -> None:
    mask = np.ones((700, 600), dtype=bool)
    mask[100:300, 50:400] = False
    np.save(tmp_path / "mask.npy", mask)
    roi = (20, 580, 40, 650)
    masked = make_experiment(size_px=(600, 700), roi=roi, mask_file=tmp_path / "mask.npy")
    summary = run(masked, tmp_path / "image.zarr").images[0]
    image = simulate(masked).astype(np.float32).astype(np.float64)[0, 0]
    inside = image[roi[2] : roi[3] + 1, roi[0] : roi[1] + 1]
    n = int(mask[roi[2] : roi[3] + 1, roi[0] : roi[1] + 1].sum())
    mean = inside.sum() / n
    assert summary.pixels == inside.size
    assert summary.rendered == n
    assert summary.masked == inside.size - n
    assert summary.photons == pytest.approx(inside.sum(), rel=1e-12)
    assert summary.mean == pytest.approx(mean, rel=1e-12)
    assert summary.rms == pytest.approx(np.sqrt((inside**2).sum() / (n - 1)), rel=1e-12)
    rmsd = np.sqrt(((inside - mean) ** 2).sum() / (inside.size - 1))
    assert summary.rmsd == pytest.approx(rmsd, rel=1e-12)
    assert summary.maximum == image.max()
    assert image[summary.maximum_slow, summary.maximum_fast] == image.max()
    assert not image[~mask].any()


def test_shots_and_panels(tmp_path: Path) -> None:
    panels = [
        {"origin_mm": (100.0, 5.0 * i, -10.0), "fast_axis": (0, 0, 1), "slow_axis": (0, -1, 0)}
        for i in range(2)
    ]
    many = make_experiment(size_px=(90, 50), panels=panels).replace(
        shots={"count": 3, "orientation": "random", "seed": 5}
    )
    summary = run(many, tmp_path / "image.zarr")
    images = simulate(many)
    assert images.shape == (3, 2, 50, 90)
    assert [(i.shot, i.panel) for i in summary.images] == [(s, p) for s in range(3) for p in (0, 1)]
    stored = open_store(tmp_path / "image.zarr")["image"].values
    np.testing.assert_array_equal(stored, images.astype(np.float32))
    assert len({image.photons for image in summary.images}) == 6


def test_nothing_listens_on_other_addresses() -> None:
    before = listening()  # of other tests of this process
    for workers, expected in ((1, set()), (2, {"127.0.0.1"})):
        with local_client(workers, 1) as client:
            assert not client.dashboard_link
            assert {address for address, _ in listening() - before} == expected


def listening() -> set[tuple[str, int]]:
    """Addresses and ports at which this process and its children listen."""
    me = psutil.Process()
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


def test_the_callers_client_is_used_and_left_open(tmp_path: Path, same_as_undisturbed: Check,
                                                  experiment: Experiment) -> None:  # fmt: skip
    with local_client(2, 1) as client:
        summary = run(experiment, tmp_path / "image.zarr", client=client)
        assert client.status == "running"
    same_as_undisturbed(tmp_path / "image.zarr", summary)
    assert len(summary.workers) == 2


def test_a_stranger_is_refused() -> None:
    """Without the keys of a run, or with others, nobody reaches any of its processes."""
    with local_client(2, 1) as client:
        client.wait_for_workers(2, timeout=60)
        info = client.scheduler_info()
        for address in (info["address"], *info["workers"]):
            assert address.startswith("tls://127.0.0.1:")
            plain = address.replace("tls://", "tcp://")
            with pytest.raises(BackendError, match=r"speaks TLS"):
                remote_client(plain).__enter__()
            with pytest.raises(OSError, match="TLS certificate does not match"):
                Client(address, timeout=5, security=own_security(), set_as_default=False)


def test_the_dashboard_is_on_this_machine_alone() -> None:
    with local_client(1, 1, dashboard=True) as client:
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        listening = {c.laddr.ip for c in psutil.Process().net_connections() if c.status == "LISTEN"}
        assert listening == {"127.0.0.1"}


def test_a_plain_scheduler_is_used_with_a_warning(
    tmp_path: Path, same_as_undisturbed: Check, experiment: Experiment,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    file = tmp_path / "scheduler.json"
    with servers.scheduler(file) as address, servers.workers(file, 2):
        summary = run(experiment, tmp_path / "image.zarr", scheduler=address)
    same_as_undisturbed(tmp_path / "image.zarr", summary)
    (said,) = (r.getMessage() for r in caplog.records if r.name == "tiledsim")
    assert "whoever reaches it can run programs as its owner" in said


def test_clients_that_cannot_be_used(tmp_path: Path, experiment: Experiment) -> None:
    with local_client(1, 1) as client:
        pass
    with pytest.raises(BackendError, match="client: it is closed"):
        run(experiment, tmp_path / "image.zarr", client=client)
    with pytest.raises(BackendError, match=r"give a distributed\.Client"):
        run(experiment, tmp_path / "image.zarr", client="tcp://127.0.0.1:8786")
    assert not list(tmp_path.iterdir())


def test_a_scheduler_that_does_not_answer(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiledsim.scheduler.cluster import remote

    monkeypatch.setattr(remote, "CONNECT_SECONDS", 1)
    with pytest.raises(BackendError, match="does not answer"):
        run(experiment, tmp_path / "image.zarr", scheduler="tcp://127.0.0.1:1")
    assert not (tmp_path / "image.zarr").exists()


def test_a_store_that_exists(tmp_path: Path) -> None:
    small = make_experiment(size_px=(100, 100))
    store = tmp_path / "image.zarr"
    first = run(small, store)
    with pytest.raises(StoreError, match="exists; `overwrite`"):
        run(small, store)
    assert run(small, store, resume=True) == first
    assert run(small, store, overwrite=True).images == first.images
    assert load_summary(open_files(store)).images == first.images


def test_keeping_and_replacing_a_store_at_once(tmp_path: Path) -> None:
    small = make_experiment(size_px=(100, 100))
    with pytest.raises(OptionError, match="`resume` and `overwrite` are both given"):
        run(small, tmp_path / "image.zarr", resume=True, overwrite=True)


def test_what_is_there_already_needs_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has filled its disk but for the last tiles can be resumed on it."""
    small = make_experiment(size_px=(1000, 1000))
    store = tmp_path / "image.zarr"

    def stop(event: Event) -> None:
        if isinstance(event, TilesDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(small, store, tile=(512, 512), threads=1, callbacks=[stop])
    usage = shutil.disk_usage(tmp_path)._replace(free=3_500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StoreError, match=r"up to 3\.8 MiB are to be written"):
        run(small, tmp_path / "other.zarr")
    assert run(small, store, resume=True).tiles == 4


def test_overwritten_by_the_same_process(tmp_path: Path) -> None:
    """Workers that have served a store find it anew: its shards are cut in another way now."""
    run(make_experiment(size_px=(100, 100)), tmp_path / "image.zarr")
    larger = make_experiment(size_px=(600, 700))
    run(larger, tmp_path / "image.zarr", overwrite=True)
    image = open_store(tmp_path / "image.zarr")["image"].values
    np.testing.assert_array_equal(image, simulate(larger).astype(np.float32))


def test_overwrite_spares_what_is_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="deletes stores of tiledsim only"):
        run(make_experiment(size_px=(9, 9)), folder, overwrite=True)
    assert (folder / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"sampling": {"oversample": 2}},
            r"the experiment differs: sampling.oversample is 1 in the store, 2 now",
        ),
        ({"structure_factors": {"default_F": 7}}, r"default_F is 100.0 in the store, 7.0 now"),
        ({"mode": "c-parity"}, "mode is spec in the store, c-parity now"),
    ],
)
def test_resume_refuses_another_run(tmp_path: Path, change: dict[str, object], named: str) -> None:
    small = make_experiment(size_px=(100, 100))
    run(small, tmp_path / "image.zarr")
    with pytest.raises(StoreError, match=named):
        run(small.replace(**change), tmp_path / "image.zarr", resume=True)


def test_two_drivers(tmp_path: Path) -> None:
    small = make_experiment(size_px=(100, 100))
    store = tmp_path / "image.zarr"
    run(small, store)
    about = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(about.replace('"summary"', '"former_summary"'))
    with Lease(open_files(store)), pytest.raises(StoreError, match="is writing this store"):
        run(small, store, resume=True)
    run(small, store, resume=True)


def test_what_cannot_fit_is_refused(tmp_path: Path) -> None:
    huge = make_experiment(size_px=(2_000_000, 2_000_000))
    with pytest.raises(StoreError, match="are to be written"):
        run(huge, tmp_path / "image.zarr")
    with pytest.raises(ExperimentError, match="smaller `tile`"):
        run(make_experiment(size_px=(90_000, 90_000)), tmp_path / "image.zarr",
            tile=(90_000, 90_000))  # fmt: skip
    assert not (tmp_path / "image.zarr").exists()


def test_workers_lose_none_of_many_tiles(tmp_path: Path) -> None:
    """Of 1,600; benchmarks/tiles.py does it with a million."""
    experiment, cut = tiny_tiles(40)
    summary = run(experiment, tmp_path / "image.zarr", workers=2, threads=2, fsync=False,
                  collaborators=cut)  # fmt: skip
    assert summary.tiles == 1_600
    stored = open_store(tmp_path / "image.zarr")["image"].values
    np.testing.assert_array_equal(stored, simulate(experiment).astype(np.float32))
