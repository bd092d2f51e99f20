"""Pictures show what the store has, where the physics says it is, whatever the pyramid."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.distributed.conftest import make_experiment
from tests.unit.command import refusal, tiledsim
from tiledsim import scheduler
from tiledsim.errors import StoreError
from tiledsim.image_files.pictures.colours import choose_contrast, coloured
from tiledsim.image_files.pictures.contours import contour, ring_resolutions
from tiledsim.image_files.pictures.reduction import new_cells, reduce_into
from tiledsim.reach.brightest import predict_spots
from tiledsim.reference.pixel_facts import pixel_facts
from tiledsim.reference.trace import trace
from tiledsim.scene.build import build_scene
from tiledsim.scheduler.pictures.picture import Look, picture, picture_png
from tiledsim.scheduler.results.stored_image import StoredImage
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.store import pyramid
from tiledsim.scheduler.store.files import open_files

SIZE = {"size_px": (1100, 1300), "pixel_mm": 0.1}


@pytest.fixture(scope="module", autouse=True)
def all_levels() -> Iterator[None]:
    """Small panels have a pyramid here, with all its levels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyramid, "LEAST_PIXELS", 900_000)
        patch.setattr(pyramid, "LARGE_PIXELS", 900_000)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "run.zarr"
    scheduler.run(make_experiment(**SIZE), path, fsync=False)
    return path


def maximum(pixels: np.ndarray, factor: int) -> np.ndarray:
    rows, cols = (-(-n // factor) for n in pixels.shape)
    padded = np.full((rows * factor, cols * factor), -np.inf, dtype=np.float32)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return padded.reshape(rows, factor, cols, factor).max(axis=(1, 3))


@given(
    st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.integers(0, 30),
    st.integers(0, 30), st.integers(1, 40),
)  # fmt: skip
@settings(max_examples=60)
def test_blocks_reduce_as_the_whole(
    factor: int, rows: int, cols: int, j: int, i: int, block: int
) -> None:
    pixels = np.random.default_rng(rows * cols).normal(size=(rows, cols)).astype(np.float32)
    cells = new_cells(rows, cols, factor)
    for top in range(0, rows, block):
        for left in range(0, cols, j + 1):
            part = pixels[top : top + block, left : left + j + 1]
            reduce_into(cells, part, top, left, factor)
    np.testing.assert_array_equal(cells, maximum(pixels, factor))


@pytest.mark.parametrize("factor", [1, 3, 4, 8, 16, 64, 128])
@pytest.mark.parametrize("area", [(0, 1300, 0, 1100), (512, 1201, 512, 1100), (7, 99, 4, 600)])
def test_any_part_is_the_maximum_of_its_pixels(
    store: Path, factor: int, area: tuple[int, int, int, int]
) -> None:
    image = np.asarray(scheduler.open(store).image)[0, 0]
    reader = StoredImage(open_files(store)).pixels
    s0, s1, f0, f1 = area
    found = reader.read([0], 0, range(s0, s1), range(f0, f1), factor)
    np.testing.assert_array_equal(found, maximum(image[s0:s1, f0:f1], factor))


def test_levels_do_not_depend_on_the_tiling_and_are_restored(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "tiles.zarr"
    scheduler.run(make_experiment(**SIZE), other, fsync=False, tile=(1024, 1024))

    def levels(path: Path) -> dict[str, bytes]:
        root = path / "pyramid"
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    whole = levels(store)
    assert len(whole) > 12
    assert levels(other) == whole
    # zarr reads them too
    import zarr

    image = np.asarray(scheduler.open(store).image)[0, 0]
    four = zarr.open_group(str(store), mode="r")["pyramid/4"][0, 0]
    np.testing.assert_array_equal(four, maximum(image, 4))
    victim = other / "pyramid" / "4" / "c" / "0" / "0" / "1" / "1"
    victim.write_bytes(b"x" + victim.read_bytes()[1:])
    reader = StoredImage(open_files(other)).pixels
    found = reader.read([0], 0, range(1300), range(1100), 8)
    np.testing.assert_array_equal(found, maximum(image, 8))
    verdict = verify(other, sample=0)
    assert [damage.reason for damage in verdict.damaged] == [
        "its part of the pyramid is missing or another"
    ]
    scheduler.run(
        make_experiment(**SIZE), other, fsync=False, resume=True, repair=True, tile=(1024, 1024)
    )
    assert levels(other) == whole


def test_without_a_pyramid_the_picture_is_the_same(store: Path, tmp_path: Path) -> None:
    bare = tmp_path / "run.zarr"  # the picture says the name
    shutil.copytree(store, bare)
    shutil.rmtree(bare / "pyramid")
    assert picture_png(bare) == picture_png(store)


def test_pixels_of_a_region_are_those_of_the_store(store: Path, tmp_path: Path) -> None:
    look = Look(region=(600, 800, 500, 700), rings=False, edge=200, scale="linear", low=0, high=5)
    file = picture(store, tmp_path / "r.png", look)
    made = np.asarray(Image.open(file).convert("L"))
    image = np.asarray(scheduler.open(store).image)[0, 0, 600:800, 500:700]
    left = (made.shape[1] - 200) // 2
    shown = np.array(Image.open(file))[:200, left : left + 200]
    wanted = coloured(image, choose_contrast(image, "linear", 0, 5), "grey")
    beam = 6  # the cross of the beam may be in it
    assert (shown != wanted).any(axis=2).mean() < 0.01 * beam
    assert made.shape[0] > 200


def test_facts_are_those_of_the_trace() -> None:
    experiment = make_experiment(size_px=(300, 200), rotation_deg=(3.0, -8.0, 1.0))
    scene = build_scene(experiment)
    found = pixel_facts(scene, 0, 0, [17, 150], [250, 3])
    for n, (slow, fast) in enumerate([(17, 250), (150, 3)]):
        told = trace(scene, 0, slow, fast, backend="cpu")
        np.testing.assert_allclose(found.hkl[n], told["hkl_frac"], atol=1e-9)
        np.testing.assert_allclose(found.position_mm[n], 1e3 * np.array(told["pixel_pos_meters"]))
        q = np.linalg.norm(told["scattering_vec_A_inv"])
        assert found.resolution_A[n] == pytest.approx(1e10 / q)


def test_predicted_spots_are_where_the_image_has_them(store: Path) -> None:
    stored = StoredImage(open_files(store))
    image = np.asarray(scheduler.open(store).image)[0, 0]
    spots = predict_spots(stored.scene, 0, dmin_A=2.0, most=20)
    assert len(spots.hkl) == 20
    bright = np.percentile(image, 99)
    hits = 0
    for n in range(20):
        slow, fast = int(spots.slow[n]), int(spots.fast[n])
        around = image[max(slow - 6, 0) : slow + 7, max(fast - 6, 0) : fast + 7]
        hits += bool(around.max() > bright)
        facts = pixel_facts(stored.scene, 0, 0, [spots.slow[n] - 0.5], [spots.fast[n] - 0.5])
        assert np.abs(facts.hkl[0] - spots.hkl[n]).max() < 0.5
    assert hits >= 19


def test_contours_lie_on_the_level() -> None:
    y, x = np.mgrid[-5:5:0.1, -5:5:0.1]
    lines = contour(x, y, np.hypot(x, y), 3.0)
    assert len(lines) > 50
    np.testing.assert_allclose(np.hypot(lines[..., 0], lines[..., 1]), 3.0, atol=0.01)
    length = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1).sum()
    assert length == pytest.approx(6 * np.pi, rel=0.01)


@given(st.floats(0.3, 60))
def test_rings_are_inside(finest: float) -> None:
    rings = ring_resolutions(finest)
    assert all(d > finest for d in rings)
    assert rings == sorted(rings, reverse=True)
    assert len(rings) >= 1


def test_panels_keep_their_places(tmp_path: Path) -> None:
    panels = [
        {"origin_mm": (-20.0, 18.0 - 30 * i, -100.0), "fast_axis": (1, 0, 0),
         "slow_axis": (0, -1, 0)} for i in range(2)
    ]  # fmt: skip
    experiment = make_experiment(
        size_px=(100, 60), pixel_mm=0.2, panels=panels, convention="custom"
    ).replace(
        beam={"wavelength_A": 1.0, "direction": (0, 0, -1), "polarization_axis": (1, 0, 0)},
        rotation={"axis": (1, 0, 0)},
    )  # fmt: skip
    store = tmp_path / "two.zarr"
    scheduler.run(experiment, store, fsync=False, threads=1)
    file = picture(store, tmp_path / "two.png", Look(edge=210, rings=False, colours="viridis"))
    made = np.asarray(Image.open(file))
    # 42 mm high at 5 pixels a mm: two panels of 60 rows, 90 rows between them.
    backdrop = (made[:210] == (238, 240, 243)).all(axis=2).all(axis=1)
    assert 85 <= backdrop.sum() <= 95
    assert not backdrop[:55].any()
    assert not backdrop[155:205].any()


def test_the_command(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    done = tiledsim("picture", store, "-o", file, "--spots", "20", "--colours", "inferno")
    assert done.returncode == 0, done.stderr
    assert Image.open(file).size[0] >= 600
    before = file.read_bytes()
    for words, says in {
        (): "exists; --overwrite it",
        ("--overwrite", "--region", "0:9"): "give slow and fast pixels as",
        ("--overwrite", "--region", "0:9,0:9999"): "the panel has slow 0:1300",
        ("--overwrite", "--scale", "cube"): "must be log or linear",
        ("--overwrite", "--colours", "pink"): "must be one of grey",
        ("--overwrite", "--low", "5", "--high", "1"): "leave nothing between them",
        ("--overwrite", "--shot", "3"): "the run has 1",
    }.items():
        assert says in refusal("picture", store, "-o", file, *words)
        assert file.read_bytes() == before
    assert "ends in .png" in refusal("picture", store, "-o", tmp_path / "a.jpg")
    assert "is no folder" in refusal("picture", store, "-o", tmp_path / "no" / "a.png")
    assert "does not exist" in refusal("picture", tmp_path / "x.zarr", "-o", tmp_path / "b.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]


def test_unfinished_stores(store: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.zarr"
    shutil.copytree(store, half)
    for part in sorted((half / "run" / "journal").iterdir()):
        part.unlink()
    with pytest.raises(StoreError, match="9 of 9 tiles are missing, the first at shot 0"):
        picture(half, tmp_path / "p.png")
    picture(half, tmp_path / "p.png", partial=True)


def test_a_run_draws_its_picture(tmp_path: Path) -> None:
    experiment = make_experiment(size_px=(100, 100))
    summary = scheduler.run(
        experiment, tmp_path / "a.zarr", fsync=False, threads=1, picture=tmp_path / "a.png"
    )
    assert Image.open(tmp_path / "a.png").size[0] > 100
    with pytest.raises(StoreError, match="pictures are PNG files"):
        scheduler.run(experiment, tmp_path / "b.zarr", picture=tmp_path / "b.tif")
    assert not (tmp_path / "b.zarr").exists()
    assert "<table" in summary._repr_html_()
    opened = scheduler.open(tmp_path / "a.zarr")
    assert opened._repr_png_() == picture_png(tmp_path / "a.zarr", Look(edge=700))
    assert "data:image/png" in opened._repr_html_()
    assert opened.isel(shot=0)._repr_png_() is None
