"""The viewer in a real browser, and what it says against the store and the trace."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.distributed.conftest import make_experiment
from tests.unit.command import refusal
from tiledsim import scheduler
from tiledsim.cli.viewer.session import Shown
from tiledsim.scheduler.store.files import open_files

pytest.importorskip("bokeh")

CHROMIUM = next(
    (
        p
        for n in ("chromium", "chromium-headless-shell", "chromium-browser")
        if (p := shutil.which(n))
    ),
    None,
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("viewer") / "run.zarr"
    scheduler.run(make_experiment(size_px=(600, 500), pixel_mm=0.2), path, fsync=False, threads=1)
    return path


@pytest.fixture
def address(store: Path) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tiledsim.cli.main", "view", str(store), "--no-browser"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


def test_the_page_shows_what_the_store_has(store: Path, address: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    image = np.asarray(scheduler.open(store).image)[0, 0]
    complaints: list[str] = []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page: Any = browser.new_page(viewport={"width": 1700, "height": 1000})
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_function("window.Bokeh && Bokeh.documents.length && "
                               "Bokeh.documents[0].get_model_by_name('image')")  # fmt: skip
        get = "Bokeh.documents[0].get_model_by_name"
        page.wait_for_timeout(1500)
        box = page.locator(".bk-Figure").bounding_box()
        x, y = box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.40
        page.mouse.move(x, y)
        page.mouse.move(x + 3, y + 2)
        page.wait_for_function(f"{get}('pointer').text.includes('value')")
        page.wait_for_timeout(500)
        said = page.evaluate(f"{get}('pointer').text")
        slow, fast, value = re.match(r"slow (\d+)  fast (\d+)  value (\S+)", said).groups()
        assert float(value) == pytest.approx(float(image[int(slow), int(fast)]), rel=1e-5)
        before = page.evaluate(f"{get}('image').x_range.end - {get}('image').x_range.start")
        page.mouse.wheel(0, -600)
        page.wait_for_function(
            f"{get}('image').x_range.end - {get}('image').x_range.start < {before} * 0.9"
        )
        high = page.evaluate(f"{get}('high').value")
        page.get_by_text("linear", exact=True).click()
        page.wait_for_function(f"{get}('high').value != {json.dumps(high)}")
        page.mouse.click(x, y)
        page.wait_for_function(f"{get}('trace').text.includes('I_pixel_final')")
        browser.close()
    assert complaints == []


PANELS = [
    {"origin_mm": (-20.0, 18.0 - 30 * i, -100.0), "fast_axis": (1, 0.1 * i, 0),
     "slow_axis": (0.1 * i, -1, 0)} for i in range(2)
]  # fmt: skip


def test_one_panel_is_shown_as_it_is_stored(store: Path) -> None:
    image = np.asarray(scheduler.open(store).image)[0, 0]
    shown = Shown(open_files(store))
    sight = shown.sight(0, (20.3, 400.0), (-50.0, 300.2))
    assert (sight.x, sight.y, sight.cell) == (20.0, 0.0, 1.0)
    np.testing.assert_array_equal(sight.cells, image[:301, 20:400])
    assert shown.at(20.9, 300.1) == (0, 300, 20)
    assert shown.at(-0.1, 5.0) is None
    beside = shown.sight(0, (9000.0, 9900.0), (0.0, 100.0))
    assert np.isnan(beside.cells).all()


def test_panels_are_shown_where_they_stand(tmp_path: Path) -> None:
    experiment = make_experiment(
        size_px=(100, 60), pixel_mm=0.2, panels=PANELS, convention="custom"
    ).replace(
        beam={"wavelength_A": 1.0, "direction": (0, 0, -1), "polarization_axis": (1, 0, 0)},
        rotation={"axis": (1, 0, 0)},
    )  # fmt: skip
    scheduler.run(experiment, tmp_path / "two.zarr", fsync=False, threads=1)
    image = np.asarray(scheduler.open(tmp_path / "two.zarr").image)[0]
    shown = Shown(open_files(tmp_path / "two.zarr"))
    whole = shown.sight(0, (0.0, shown.width), (0.0, shown.height))
    assert np.nanmax(whole.cells) == image.max()
    inside = np.isfinite(whole.cells).sum() * whole.cell**2
    assert inside == pytest.approx(2 * 60 * 100, rel=0.03)
    for panel, slow, fast in [(0, 3, 90), (1, 31, 7), (1, 59, 99)]:
        x, y = shown.panels[panel].to_picture(np.array(slow + 0.5), np.array(fast + 0.5))
        assert shown.at(float(x), float(y)) == (panel, slow, fast)
        near = shown.sight(0, (x - 0.2, x + 0.2), (y - 0.2, y + 0.2))
        assert (near.cells == image[panel, slow, fast]).all()
        line = shown.under_pointer(0, float(x), float(y))
        assert line.startswith(f"panel {panel}  slow {slow}  fast {fast}  value ")
        assert f"slow {slow}" in line
    # Laboratory: 30 mm between the panels' first corners, at 5 pixels a mm.
    corners = [np.array(each.to_picture(np.array(0.0), np.array(0.0))) for each in shown.panels]
    np.testing.assert_allclose(corners[1] - corners[0], [0.0, 150.0], atol=1e-9)
    # A ring may pass between the panels; on both there are some.
    middles = np.concatenate([segments.mean(axis=1) for _, segments in shown.rings(0)])
    met = [shown.at(float(mx), float(my)) for mx, my in middles]
    assert {there[0] for there in met if there is not None} == {0, 1}
    assert len(shown.tiles(0, whole)) == 2
    x, y, hkl = shown.spots(0)
    assert len(x) == len(y) == len(hkl) > 0
    assert all(shown.at(*place) is not None for place in zip(x, y, strict=True))


def test_without_the_token_nothing_is_told(address: str) -> None:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    root = address.rsplit("/", 2)[0]
    assert root.startswith("http://127.0.0.1:")
    with pytest.raises(HTTPError, match="404"):
        urlopen(root + "/")
    assert urlopen(address).status == 200


def test_refusals(store: Path, tmp_path: Path, address: str) -> None:
    assert "does not exist" in refusal("view", tmp_path / "no.zarr", "--no-browser")
    port = re.search(r":(\d+)/", address)
    assert port is not None
    said = refusal("view", store, "--no-browser", "--port", port[1])
    assert f"port {port[1]} cannot be had" in said
    other = tmp_path / "other.zarr"
    scheduler.run(make_experiment(size_px=(50, 50)), other, fsync=False, threads=1)
    assert "only images of the same shape" in refusal("view", store, "--against", other)
