"""Comparisons of runs: which are comparable, what the numbers are, and that they are drawn."""

import json
from pathlib import Path
from typing import Any

import pytest

from tiledsim.errors import StoreError
from tiledsim.scheduler.results.scaling import compare, plot
from tiledsim.scheduler.results.summary import Summary


def make_store(
    folder: Path, *, threads: int, steps: float, seconds: float, scene: str = "s", **about: Any
) -> Path:
    """As much of a finished store as is compared."""
    summary = Summary(
        images=(), photons=0.0, scale={}, tiles=8, steps=int(steps), wall_seconds=seconds,
        tile_seconds=(0, 0, 0), tile_steps_per_second=(0, 0, 0), steps_per_second=steps / seconds,
        parallel_efficiency=1.0, workers=(), workers_count=threads, threads=threads, attempts=8,
        failed_attempts=0, lost_workers=2, slowest=(), sessions=(), retried=1,
        session_tiles=about.pop("session_tiles", 8),
    )  # fmt: skip
    attributes = {
        "format": "tiledsim", "format_version": 1, "scene_hash": scene, "backend": "cpu",
        "dtype": "float64", "mode": "spec", "summary": summary.to_json(),
    } | about  # fmt: skip
    folder.mkdir()
    (folder / "zarr.json").write_text(json.dumps({"attributes": attributes}))
    return folder


def test_strong_scaling(tmp_path: Path) -> None:
    four = make_store(tmp_path / "four", threads=4, steps=1e9, seconds=3.125)
    one = make_store(tmp_path / "one", threads=1, steps=1e9, seconds=10)
    found = compare([four, one])
    assert found.kind == "strong"
    assert [run.threads for run in found.runs] == [1, 4]
    assert [run.speed_up for run in found.runs] == pytest.approx([1, 3.2])
    assert [run.efficiency for run in found.runs] == pytest.approx([1, 0.8])
    assert [(run.retried, run.lost_workers) for run in found.runs] == [(1, 2), (1, 2)]
    assert json.loads(json.dumps(found.to_json()))["runs"][1]["wall_seconds"] == 3.125
    lines = found.text().splitlines()
    assert lines[0] == "strong scaling (the same images); against 1 thread(s):"
    assert lines[1].split()[-1] == "store"
    assert "80.0 %" in lines[3]


def test_weak_scaling(tmp_path: Path) -> None:
    one = make_store(tmp_path / "one", threads=2, steps=1e9, seconds=10, scene="a")
    four = make_store(tmp_path / "four", threads=8, steps=4.1e9, seconds=12.5, scene="b")
    found = compare([one, four])
    assert found.kind == "weak"
    assert found.runs[1].efficiency == pytest.approx(4.1 / 12.5 / 4 * 10)


def test_a_resumed_run_is_marked(tmp_path: Path) -> None:
    one = make_store(tmp_path / "one", threads=1, steps=1e9, seconds=10)
    two = make_store(tmp_path / "two", threads=2, steps=1e9, seconds=3, session_tiles=4)
    text = compare([one, two]).text()
    assert "    3*  " in text
    assert "* of several sessions together" in text


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"threads": 1}, "all runs had 1 thread"),
        ({"backend": "cuda"}, r"differ in backend \(cpu, cuda\)"),
        ({"dtype": "mixed"}, "differ in dtype"),
        ({"scene": "another"}, "neither strong nor weak"),
    ],
)
def test_runs_that_cannot_be_compared(tmp_path: Path, other: dict[str, Any], named: str) -> None:
    one = make_store(tmp_path / "one", threads=1, steps=1e9, seconds=10)
    two = make_store(tmp_path / "two", **{"threads": 2, "steps": 1e9, "seconds": 5} | other)
    with pytest.raises(StoreError, match=named):
        compare([one, two])


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    from matplotlib.image import imread

    stores = [
        make_store(tmp_path / str(n), threads=n, steps=1e9, seconds=10 / n**0.9)
        for n in (1, 2, 4, 16)
    ]
    plot(compare(stores), tmp_path / "scaling.png")
    picture = imread(tmp_path / "scaling.png")
    assert picture.shape[:2] == (480, 1080)
    assert 0.01 < (picture[..., :3].min(axis=-1) < 0.9).mean() < 0.5
    with pytest.raises(StoreError, match="cannot be written"):
        plot(compare(stores), tmp_path / "nowhere" / "scaling.png")
