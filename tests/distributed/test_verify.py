"""Damage that happens to a finished store is found, and repaired."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.distributed.conftest import TESTS, make_experiment
from tests.distributed.test_faults import cut_short
from tiledsim.errors import OptionError
from tiledsim.experiment import Experiment
from tiledsim.scheduler import Summary, run
from tiledsim.scheduler.results.verify import verify
from tiledsim.scheduler.session.events import Event, TilesDone

Check = Callable[[Path, Summary], None]


def do_damage(store: Path, damage: str) -> None:
    """Harm the shard of tile 22."""
    shard = store / "image" / "c" / "0" / "0" / "4" / "2"
    whole = shard.read_bytes()
    match damage:
        case "truncated":
            shard.write_bytes(whole[: len(whole) // 2])
        case "empty":
            shard.write_bytes(b"")
        case "missing":
            shard.unlink()
        case "a flipped bit":
            shard.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        case "another pixel":
            image = zarr.open_array(store, path="image", mode="r+")
            image[0, 0, 2100, 1100] = np.float32(7.0)


def test_a_sound_store(undisturbed: tuple[Path, Summary]) -> None:
    verdict = verify(undisturbed[0], sample=3)
    assert verdict.sound
    assert (verdict.checked, verdict.rendered_again) == (30, 3)


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "missing", "a flipped bit", "another pixel"]
)
def test_damage_is_found_and_repaired(
    tmp_path: Path, experiment: Experiment, same_as_undisturbed: Check, damage: str
) -> None:
    store = tmp_path / "image.zarr"
    run(experiment, store, fsync=False)
    do_damage(store, damage)
    verdict = verify(store, sample=0)
    assert [found.index for found in verdict.damaged] == [22]
    assert not verdict.missing
    rendered: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, TilesDone):
            rendered.extend(record.index for record in event.records)

    same_as_undisturbed(store, run(experiment, store, resume=True, repair=True, callbacks=[watch]))
    assert rendered == [22]
    assert verify(store).sound


def test_a_record_of_other_pixels_is_found_by_rendering(
    tmp_path: Path, experiment: Experiment
) -> None:
    """The checksum of what is stored is right, yet it is not what the scene gives."""
    small = make_experiment(size_px=(100, 100))
    run(small, tmp_path / "a.zarr")
    other = small.replace(structure_factors={"default_F": 101.0})
    run(other, tmp_path / "b.zarr")
    shutil.rmtree(tmp_path / "a.zarr" / "run" / "journal")
    (tmp_path / "a.zarr" / "run" / "journal").mkdir()
    for part in ("image", "run/journal"):
        for path in (tmp_path / "b.zarr" / part).rglob("*"):
            if path.is_file():
                target = tmp_path / "a.zarr" / path.relative_to(tmp_path / "b.zarr")
                target.write_bytes(path.read_bytes())
    roots = [tmp_path / name / "zarr.json" for name in ("a.zarr", "b.zarr")]
    mine, others = (json.loads(root.read_text()) for root in roots)
    mine["attributes"] |= {key: others["attributes"][key] for key in ("run", "summary")}
    roots[0].write_text(json.dumps(mine))
    assert verify(tmp_path / "a.zarr", sample=0).sound
    (found,) = verify(tmp_path / "a.zarr", sample=1).damaged
    assert "rendered again it differs" in found.reason


def test_tiles_that_are_not_done_are_missing(tmp_path: Path, experiment: Experiment) -> None:
    store = tmp_path / "image.zarr"
    run(experiment, store, fsync=False)
    cut_short(store, keep=10)
    assert len(verify(store, sample=0).missing) == 20


def test_the_command(tmp_path: Path) -> None:
    store = tmp_path / "image.zarr"
    run(make_experiment(size_px=(100, 100)), store)

    def command() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tiledsim.cli.main", "verify", str(store), "--sample", "1"],
            cwd=TESTS, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert command().returncode == 0
    (store / "image" / "c" / "0" / "0" / "0" / "0").unlink()
    done = command()
    assert done.returncode == 1
    assert "1 damaged" in done.stdout
    assert "--repair" in done.stdout


def test_repair_needs_resume(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="`repair` needs `resume`"):
        run(make_experiment(size_px=(9, 9)), tmp_path / "image.zarr", repair=True)


def test_a_repair_of_a_sound_store_changes_nothing(tmp_path: Path) -> None:
    small = make_experiment(size_px=(100, 100))
    first = run(small, tmp_path / "image.zarr")
    assert run(small, tmp_path / "image.zarr", resume=True, repair=True) == first
