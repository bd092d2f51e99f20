"""Exports hold every pixel and every geometric number of the store, or nothing at all."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.unit.images.exports import MODULES, make, pixels_of, tiledsim_run
from tiledsim.cli.main import app
from tiledsim.errors import ExperimentError, RunError, StoreError
from tiledsim.scheduler.export import assemble, bands
from tiledsim.scheduler.export import export as module
from tiledsim.scheduler.export.export import export
from tiledsim.scheduler.export.instrument import read_instrument
from tiledsim.scheduler.options import Where
from tiledsim.scheduler.store.files import open_files
from tiledsim.vectors import unit


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
