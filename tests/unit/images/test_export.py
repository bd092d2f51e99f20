"""Exports hold every pixel and every geometric number of the store, or nothing at all."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tiledsim import scheduler
from tiledsim.cli.main import app
from tiledsim.errors import ExperimentError, RunError, StoreError
from tiledsim.experiment import Experiment
from tiledsim.image_files.cbf import byte_offset
from tiledsim.image_files.instrument import as_series, imgcif_rotation
from tiledsim.image_files.nxmx import bitshuffle
from tiledsim.scheduler.export import assemble, bands
from tiledsim.scheduler.export import export as module
from tiledsim.scheduler.export.conversion import Conversion
from tiledsim.scheduler.export.export import export
from tiledsim.scheduler.export.instrument import read_instrument
from tiledsim.scheduler.options import Where
from tiledsim.scheduler.store.files import open_files
from tiledsim.vectors import axis_rotation, unit

MODULES = [
    {"origin_mm": (-20.0 + 0.3 * i, 18.0 - 16 * i, -100.0), "fast_axis": (1, 0, 0.01 * i),
     "slow_axis": (0, -1, 0)}
    for i in range(2)
]  # fmt: skip


def make(**parts: Any) -> Experiment:
    values = {
        "title": "a test",
        "beam": {"wavelength_A": 1.1, "polarization": 0.9, "exposure_s": 0.2},
        "crystal": {"cell_A_deg": (70, 80, 90, 75, 85, 95), "cells": (4, 4, 4)},
        "structure_factors": {"default_F": 30.0},
        "detector": {"size_px": (300, 170), "pixel_mm": 0.15},
        "sampling": {"oversample": 1},
        "rotation": {"start_deg": 5.0, "range_deg": 0.5, "steps": 1},
        "shots": {"count": 3, "misset_deg": ((0, 0, 0), (0, 0, 0.5), (0, 0, 1.0))},
    }
    return Experiment(**values | parts)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "run.zarr"
    tiledsim_run(make(), path)
    return path


def tiledsim_run(experiment: Experiment, path: Path) -> None:
    scheduler.run(experiment, path, fsync=False, threads=1)


def pixels_of(store: Path) -> np.ndarray:
    return np.asarray(scheduler.open(store).image.values)


@pytest.mark.parametrize("dtype", ["int32", "uint16", "float32"])
def test_arrays_hold_every_pixel(store: Path, tmp_path: Path, dtype: str) -> None:
    image = pixels_of(store)
    wanted = image if dtype == "float32" else np.rint(image).astype(dtype)
    export(store, tmp_path / "a.npy", dtype=dtype)
    export(store, tmp_path / "a.raw", dtype=dtype)
    export(store, tmp_path / "a_master.h5", dtype=dtype)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), wanted)
    np.testing.assert_array_equal(
        np.fromfile(tmp_path / "a.raw", dtype).reshape(image.shape), wanted
    )
    with h5py.File(tmp_path / "a_master.h5") as file:
        np.testing.assert_array_equal(file["/entry/data/data"][...], wanted[:, 0])
        np.testing.assert_array_equal(file["/entry/data/data_000001"][...], wanted[:, 0])
        assert not file["/entry/instrument/detector/pixel_mask"][...].any()
        assert file["/entry/instrument/detector/pixel_mask"].chunks is None
        np.testing.assert_allclose(
            file["/entry/sample/transformations/omega"][...], [5.0, 5.5, 6.0]
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.npy", "a.raw", "a_data_000001.h5", "a_master.h5"
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), [("a.cbf", "int32"), ("a.img", "uint16")])
def test_numbered_images_hold_every_pixel(
    store: Path, tmp_path: Path, name: str, dtype: str
) -> None:
    fabio = pytest.importorskip("fabio")
    made = export(store, tmp_path / name, shots="1:3")
    assert [path.stem for path in made] == ["a_0002", "a_0003"]
    wanted = np.rint(pixels_of(store))
    for shot, path in zip((1, 2), made, strict=True):
        with fabio.open(str(path)) as file:
            np.testing.assert_array_equal(file.data, wanted[shot, 0].astype(dtype))


def test_tiff_has_a_page_a_panel(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    store = tmp_path / "m.zarr"
    beam = {"wavelength_A": 1.0, "direction": (0, 0, -1), "polarization_axis": (1, 0, 0)}
    detector = {"size_px": (300, 170), "pixel_mm": 0.1, "panels": MODULES, "convention": "custom"}
    tiledsim_run(make(beam=beam, detector=detector, shots={"count": 1}), store)
    export(store, tmp_path / "a.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), pixels_of(store)[0])
    export(store, tmp_path / "a.h5", dtype="float32")
    with h5py.File(tmp_path / "a.h5") as file:
        stacked = pixels_of(store)[0].reshape(-1, 300)
        np.testing.assert_array_equal(file["/entry/data/data"][0], stacked)
        for number, panel in enumerate(MODULES):
            group = file[f"/entry/instrument/detector/module_{number:03d}"]
            offset = group["module_offset"].attrs["offset"] * [-1, 1, -1]
            np.testing.assert_allclose(offset, panel["origin_mm"], atol=1e-12)
            fast = group["fast_pixel_direction"].attrs["vector"] * [-1, 1, -1]
            np.testing.assert_allclose(fast, unit(panel["fast_axis"]), atol=1e-15)
            assert group["data_origin"][...].tolist() == [170 * number, 0]
    for name, said in {"b.cbf": "nxmx holds all", "b.img": "nxmx holds all"}.items():
        with pytest.raises(ExperimentError, match=said):
            export(store, tmp_path / name)
    export(store, tmp_path / "b.cbf", panels="1")
    with pytest.raises(ExperimentError, match="cbf and nxmx can say"):
        export(store, tmp_path / "b.img", panels="1")


def test_geometry_is_in_the_store(store: Path) -> None:
    instrument = read_instrument(open_files(store))
    assert instrument.is_scan
    np.testing.assert_allclose(instrument.start_deg, [5.0, 5.5, 6.0])
    np.testing.assert_allclose(instrument.spindle, [1, 0, 0], atol=1e-15)
    panel = instrument.panels[0]
    np.testing.assert_allclose(panel.fast, [1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(panel.slow, [0, -1, 0], atol=1e-15)
    assert panel.distance_mm == pytest.approx(100.0)
    # MOSFLM's default beam centre (size + pixel)/2, and the half pixel that its convention adds.
    assert panel.beam_centre_px == pytest.approx((151.0, 86.0))
    cell = np.linalg.norm(instrument.crystals_A[0], axis=1)
    np.testing.assert_allclose(cell, [70, 80, 90])


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


def test_values_that_do_not_fit_leave_no_file(tmp_path: Path) -> None:
    store = tmp_path / "bright.zarr"
    bright = make(structure_factors={"default_F": 3000.0}, shots={"count": 1})
    tiledsim_run(bright, store)
    largest = pixels_of(store).max()
    assert largest > 65534
    with pytest.raises(ExperimentError, match=rf"furthest out is {np.rint(largest):,.0f}"):
        export(store, tmp_path / "a.img")
    assert [p.name for p in tmp_path.iterdir()] == ["bright.zarr"]
    export(store, tmp_path / "a.img", clip=True)


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 2 x 2 tiles of which one has no record."""
    from tiledsim.scheduler.journal.journal import Journal

    path = tmp_path_factory.mktemp("unfinished") / "run.zarr"
    tiledsim_run(make(detector={"size_px": (600, 700)}, shots={"count": 1}), path)
    Journal(open_files(path)).drop([1])
    return path


def test_an_unfinished_run_is_refused_or_masked(unfinished: Path, tmp_path: Path) -> None:
    wanted = "1 of 4 tiles are missing, the first at shot 0 panel 0 slow 0:512 fast 512:600"
    with pytest.raises(StoreError, match=wanted):
        export(unfinished, tmp_path / "a.npy")
    export(unfinished, tmp_path / "a.npy", partial=True)
    made = np.load(tmp_path / "a.npy")[0, 0]
    missing = np.zeros(made.shape, dtype=bool)
    missing[:512, 512:] = True
    np.testing.assert_array_equal(np.isnan(made), missing)
    export(unfinished, tmp_path / "a.h5", partial=True, dtype="int32")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["/entry/data/data"][0] == -1, missing)


def test_masked_pixels_are_marked(tmp_path: Path) -> None:
    store = tmp_path / "roi.zarr"
    detector = {"size_px": (300, 170), "pixel_mm": 0.15, "roi": (10, 200, 20, 100)}
    tiledsim_run(make(detector=detector, shots={"count": 1}), store)
    inside = np.zeros((170, 300), dtype=bool)
    inside[20:101, 10:201] = True
    export(store, tmp_path / "a.h5", dtype="int32")
    with h5py.File(tmp_path / "a.h5") as file:
        mask = file["/entry/instrument/detector/pixel_mask"][...]
        np.testing.assert_array_equal(mask == 0, inside)
        np.testing.assert_array_equal(file["/entry/data/data"][0] == -1, ~inside)


def test_frames_too_large_for_a_chunk_are_cut(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiledsim.image_files.nxmx import data as nxmx_data

    monkeypatch.setattr(nxmx_data, "CHUNK_LIMIT_BYTES", 1000)
    monkeypatch.setattr(nxmx_data, "EDGE", 128)
    monkeypatch.setattr(assemble, "EDGE", 128)
    monkeypatch.setattr(bands, "BAND_BYTES", 1)
    export(store, tmp_path / "a.h5", shots="0")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["/entry/data/data"][0], pixels_of(store)[0, 0])
        assert file["/entry/data/data_000001"].chunks == (1, 128, 128)


def test_large_frames_wait_on_the_disk(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiledsim.image_files.nxmx import data as nxmx_data

    monkeypatch.setattr(nxmx_data, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(bands, "BAND_BYTES", 1)
    export(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["/entry/data/data"][...], pixels_of(store)[:, 0])


def test_workers_write_the_same_bytes(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(store, tmp_path / "here.cbf")
    monkeypatch.setattr(module, "INLINE_BYTES", 0)
    export(store, tmp_path / "there.cbf", where=Where(threads=2))
    for number in (1, 2, 3):
        here, there = (tmp_path / f"{name}_{number:04d}.cbf" for name in ("here", "there"))
        assert here.read_bytes() == there.read_bytes().replace(b"there_", b"here_")


def test_an_export_that_was_cut_short_goes_on(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module.encode_band
    calls: list[int] = []

    def failing(source: Any, band: Any) -> Any:
        calls.append(band.tile.shot)
        if band.tile.shot == 2:
            raise OSError(28, "No space left on device")
        return original(source, band)

    monkeypatch.setattr(module, "encode_band", failing)
    with pytest.raises(RunError, match="No space left"):
        export(store, tmp_path / "a.cbf")
    assert [p.name for p in tmp_path.iterdir()] == [".a.cbf.export"]
    calls.clear()
    with pytest.raises(RunError):
        export(store, tmp_path / "a.cbf", resume=True)
    assert calls == [2]
    monkeypatch.setattr(module, "encode_band", original)
    export(store, tmp_path / "a.cbf", resume=True)
    export(store, tmp_path / "b.cbf")
    assert (tmp_path / "a_0003.cbf").read_bytes() == (tmp_path / "b_0003.cbf").read_bytes().replace(
        b"b_0003", b"a_0003"
    )
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.xyz", {}, "a.xyz: its ending names no format"),
        ("a.h5", {"to": "hdf"}, "`to=hdf`: must be one of"),
        ("a.cbf", {"dtype": "float32"}, "cbf files hold int32, not float32; nxmx"),
        ("a.h5", {"dtype": "int8"}, "nxmx files hold int32 or uint16 or float32, not int8"),
        ("a.h5", {"shots": "3"}, "`shots=3`: the run has 3, numbered 0 to 2"),
        ("a.h5", {"shots": "0:9"}, "`shots=0:9`: the run has 3, numbered 0 to 2"),
        ("a.h5", {"shots": "1:0"}, "`shots=1:0`: selects none"),
        ("a.h5", {"shots": "1,0:2"}, "`shots=1,0:2`: selects one twice"),
        ("a.h5", {"panels": "x"}, "`panels=x`: give numbers"),
        ("no/a.h5", {}, "no is no folder"),
        ("folder.npy", {}, "folder.npy is a folder"),
        ("old.npy", {}, "old.npy exists; `overwrite`"),
    ],
)
def test_bad_input_leaves_nothing(
    store: Path, tmp_path: Path, name: str, options: dict[str, str], said: str
) -> None:
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "old.npy").write_bytes(b"old")
    with pytest.raises((ExperimentError, StoreError), match=re.escape(said)):
        export(store, tmp_path / name, **options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.npy", "old.npy"]


def test_the_command_prints_what_it_made(store: Path, tmp_path: Path) -> None:
    words = ["export", store, "-o", tmp_path / "a", "--to", "nxmx", "--as", "int32"]
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 0, done.output
    assert [Path(line).name for line in done.stdout.splitlines()] == [
        "a_data_000001.h5", "a_master.h5"
    ]  # fmt: skip


def test_a_curved_detector_has_pixels_alone(tmp_path: Path) -> None:
    store = tmp_path / "c.zarr"
    tiledsim_run(make(detector={"size_px": (50, 40), "curved": True}, shots={"count": 1}), store)
    with pytest.raises(ExperimentError, match="tiff, npy and raw hold its pixels"):
        export(store, tmp_path / "a.h5")
    export(store, tmp_path / "a.npy")


def test_a_store_without_geometry_says_so(tmp_path: Path) -> None:
    import shutil

    store = tmp_path / "o.zarr"
    tiledsim_run(make(detector={"size_px": (50, 40)}, shots={"count": 1}), store)
    shutil.rmtree(store / "geometry")
    with pytest.raises(StoreError, match="an earlier tiledsim made it"):
        export(store, tmp_path / "a.h5")


COUNTED = {"poisson": True, "seed": 7, "gap_value": -5, "image": "int32", "bits": 3}


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A run with noise: its store, and where it has gaps and dead pixels [slow, fast]."""
    folder = tmp_path_factory.mktemp("counts")
    gaps, dead = np.zeros((2, 170, 300), dtype=bool)
    gaps[:, 100:110], dead[5, 7] = True, True
    np.save(folder / "gaps.npy", gaps)
    np.save(folder / "dead.npy", dead)
    noise = COUNTED | {"gap_file": folder / "gaps.npy", "dead_file": folder / "dead.npy"}
    tiledsim_run(make(noise=noise, shots={"count": 1}), folder / "run.zarr")
    return folder / "run.zarr", gaps, dead


def test_counts_have_gaps_and_saturation(
    counts: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    store, gaps, dead = counts
    stored = pixels_of(store)[0, 0]
    assert (stored == -5)[gaps].all()
    assert stored.max() == 7  # 3 bits: some are saturated
    wanted = np.where(gaps, -1, stored)
    export(store, tmp_path / "a.h5", truth=True)
    with h5py.File(tmp_path / "a.h5") as file:
        detector = file["/entry/instrument/detector"]
        np.testing.assert_array_equal(file["/entry/data/data"][0], wanted)
        np.testing.assert_array_equal(detector["pixel_mask"][...], gaps + 2 * dead)
        assert detector["saturation_value"][()] == 6
    panel = json.loads((tmp_path / "a.expt").read_text())["detector"][0]["panels"][0]
    assert panel["trusted_range"] == [-1.0, 6.0]
    export(store, tmp_path / "a.cbf")
    fabio = pytest.importorskip("fabio")
    with fabio.open(str(tmp_path / "a.cbf")) as file:
        np.testing.assert_array_equal(file.data, wanted)
    assert b"# Count_cutoff 6 counts" in (tmp_path / "a.cbf").read_bytes()
    export(store, tmp_path / "a.img")
    with fabio.open(str(tmp_path / "a.img")) as file:
        np.testing.assert_array_equal(file.data, np.where(gaps, 65535, stored))
    export(store, tmp_path / "a.npy", dtype="float32")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[0, 0], np.where(gaps, np.nan, stored))


def test_saturated_counts_fit_a_smaller_type() -> None:
    rows = np.array([[65535, 65534, 3]], dtype=np.uint16)
    made = Conversion("<u2", 0.0, 65534.0, 65535.0, top=65535.0).apply(rows, None)
    assert made.values.tolist() == [[65534, 65534, 3]]
    assert made.outside == 0


def test_photons_are_counted_on_the_way(store: Path, tmp_path: Path) -> None:
    scheduler.add_noise(store, tmp_path / "counts.zarr", seed=3)
    export(store, tmp_path / "a.npy", with_noise=3)
    made = np.load(tmp_path / "a.npy")
    assert made.dtype == np.int32
    np.testing.assert_array_equal(made, pixels_of(tmp_path / "counts.zarr"))
    with pytest.raises(StoreError, match=r"holds counts .*leave out `with_noise`"):
        export(tmp_path / "counts.zarr", tmp_path / "b.npy", with_noise=3)
    with pytest.raises(ExperimentError, match="`with_noise=-1`: must be a whole number from 0"):
        export(store, tmp_path / "b.npy", with_noise=-1)


def test_what_is_missing_is_not_counted(unfinished: Path, tmp_path: Path) -> None:
    export(unfinished, tmp_path / "a.npy", partial=True, with_noise=1)
    made = np.load(tmp_path / "a.npy")[0, 0]
    assert (made[:512, 512:] == -1).all()
    assert (np.delete(made, np.s_[512:], axis=1) >= 0).all()


def test_a_run_exports_at_its_end(tmp_path: Path) -> None:
    small = make(detector={"size_px": (50, 40)}, shots={"count": 1})
    store, name = tmp_path / "run.zarr", tmp_path / "a.npy"
    scheduler.run(small, store, fsync=False, threads=1, export=name)
    np.testing.assert_array_equal(np.load(name), pixels_of(store))
    with pytest.raises(StoreError, match=r"a.npy exists; `overwrite`"):
        scheduler.run(small, store, fsync=False, threads=1, resume=True, export=name)
    name.unlink()
    scheduler.run(small, store, fsync=False, threads=1, resume=True, export=name)
    np.testing.assert_array_equal(np.load(name), pixels_of(store))
    brighter = small.replace(structure_factors={"default_F": 60.0})
    scheduler.run(brighter, store, fsync=False, threads=1, overwrite=True, export=name)
    np.testing.assert_array_equal(np.load(name), pixels_of(store))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.xyz", "its ending names no format"),
        ("no/a.h5", "no is no folder"),
        ("old.npy", "old.npy exists"),
        ("a.img", "cbf and nxmx can say where it stands"),
    ],
)
def test_what_cannot_be_exported_is_not_rendered(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "old.npy").write_bytes(b"old")
    tilted = make(detector={"size_px": (50, 40), "rotation_deg": (3.0, 0.0, 0.0)})
    with pytest.raises((ExperimentError, StoreError), match=re.escape(said)):
        scheduler.run(tilted, tmp_path / "run.zarr", threads=1, export=tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["old.npy"]
